"""The ladder's arithmetic: what each rung gained, how near the device's peak it came, whether it still learns the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gipi.bench.rungs import PLAIN, LeftOut, Rung
from gipi.bench.timing import Spread

SURE = 3.0  # standard errors by which an accuracy may lie below that of plain PyTorch
GIB = 1 << 30


@dataclass(frozen=True)
class Measured:
    """A rung as its process measured it.

    images_per_s: of each repeat.  accuracy: share of the `checked` held-out images that are read right.
    loss: of the last step before the check, in the first process.  first_step_s: with the compiling, if any.
    """

    rung: Rung
    images_per_s: tuple[float, ...]
    accuracy: float
    checked: int
    loss: float
    first_step_s: float
    peak_bytes: int
    device_peak_bytes: int


@dataclass(frozen=True)
class Work:
    """What an image costs, forward. multiply_adds: of convolutions and affine layers.  values: that all layers put out."""

    multiply_adds: int
    values: int

    @property
    def operations(self) -> int:
        """Of a training step: forward, gradient of the inputs, gradient of the weights; a multiply-add counts as two."""
        return 3 * 2 * self.multiply_adds

    def moved(self, size: int) -> int:
        """Bytes, if each value of `size` bytes is written and read once, and its gradient as well."""
        return 4 * size * self.values


@dataclass(frozen=True)
class Peaks:
    """matmul: operations a second of a large product, by number format.  copy: bytes a second, read and written."""

    matmul: Mapping[str, float]
    copy: float


@dataclass(frozen=True)
class Line:
    """A rung in the table. over_below, over_first: speed-up over the rung it stands on and over the first one.

    matmul_share, copy_share: of the device's peaks, 0 to 1.  change: of the accuracy, against plain PyTorch.
    wrong: it learns less than plain PyTorch, by more than chance explains.
    """

    measured: Measured
    speed: Spread
    below: str
    over_below: float
    over_first: float
    matmul_share: float
    copy_share: float
    change: float
    wrong: bool

    def json(self) -> dict[str, Any]:
        """Everything that was measured and what was made of it."""
        numbers = {name: getattr(self, name) for name in
                   ("below", "over_below", "over_first", "matmul_share", "copy_share", "change", "wrong")}  # fmt: skip
        rung = asdict(self.measured.rung)
        raw = {name: value for name, value in asdict(self.measured).items() if name != "rung"}
        return {**rung, **raw, "speed": self.speed.json(), **numbers}


def lines(measured: Sequence[Measured], rungs: Sequence[Rung], work: Work, peaks: Peaks) -> list[Line]:
    """The table of the rungs that were measured, lowest first.

    rungs: all that were to be, so that one that stands on a rung without a measurement is held against the next one below.
    """
    done = {one.rung.name: one for one in measured}
    wanted = {rung.name: rung.below for rung in rungs}
    speeds = {name: Spread.of(one.images_per_s) for name, one in done.items()}
    first, plain = speeds[measured[0].rung.name].median, done[PLAIN]

    def line(one: Measured) -> Line:
        below = one.rung.below
        while below and below not in done:
            below = wanted[below]
        speed = speeds[one.rung.name]
        size = 4 if one.rung.precision in ("fp32", "tf32") else 2
        return Line(
            one,
            speed,
            below,
            over_below=speed.median / speeds[below].median if below else 1.0,
            over_first=speed.median / first,
            matmul_share=work.operations * speed.median / peaks.matmul[one.rung.precision],
            copy_share=work.moved(size) * speed.median / peaks.copy,
            change=one.accuracy - plain.accuracy,
            wrong=falls(one.accuracy, plain.accuracy, one.checked),
        )

    return [line(one) for one in measured]


def falls(accuracy: float, reference: float, count: int) -> bool:
    """Whether an accuracy on `count` images is below another by more than chance: SURE standard errors of the difference.

    Two nets are compared on the same images, which agree more than two draws of images would, so this errs on the kind side.
    """
    error = math.sqrt((accuracy * (1 - accuracy) + reference * (1 - reference)) / count)
    return reference - accuracy > SURE * error


def text(table: Sequence[Line], left_out: Sequence[LeftOut]) -> str:
    """The table for a terminal, and below it what is not in it."""
    header = [
        "rung",
        "images/s",
        "low",
        "high",
        "x below",
        "x first",
        "of product",
        "of copy",
        "memory",
        "accuracy",
        "change",
        "",
    ]
    rows = [header, *(_cells(line, before) for line, before in zip(table, [None, *table], strict=False))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = [
        "  ".join(f"{cell:{'<' if n in (0, 11) else '>'}{widths[n]}}" for n, cell in enumerate(row)).rstrip() for row in rows
    ]
    compiled = [f"{line.measured.rung.name}: the first step took {line.measured.first_step_s:.1f} s, which is the compiling"
                for line in table if line.measured.rung.compile_mode]  # fmt: skip
    return "\n".join([*shown, "", *compiled, *(f"left out  {name}: {reason}" for name, reason in left_out)]).rstrip()


def _cells(line: Line, before: Line | None) -> list[str]:
    one, speed = line.measured, line.speed
    memory = f"{one.peak_bytes / GIB:.2f}" + (f"+{one.device_peak_bytes / GIB:.2f}" if one.device_peak_bytes else "") + " GiB"
    elsewhere = line.below and before and line.below != before.measured.rung.name
    return [
        one.rung.name,
        *(f"{value:,.0f}" for value in (speed.median, speed.low, speed.high)),
        f"{line.over_below:.2f}" if line.below else "",
        f"{line.over_first:.2f}",
        *(f"{share:.1%}" for share in (line.matmul_share, line.copy_share)),
        memory,
        f"{one.accuracy:.2%}",
        f"{100 * line.change:+.2f}",
        " ".join([*(["WRONG"] if line.wrong else []), *([f"stands on {line.below}"] if elsewhere else [])]),
    ]
