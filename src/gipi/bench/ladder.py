"""The ladder: what each way to train a net faster gives on this machine, measured in one run, each with its accuracy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch

from gipi.bench.loops import comparable, fresh_net
from gipi.bench.picture import ladder_figure
from gipi.bench.rungs import LeftOut, Rung, build
from gipi.bench.table import Line, Measured, Peaks, Work, lines, text
from gipi.bench.timing import WINDOW_S
from gipi.bench.worker import in_process
from gipi.config import Config
from gipi.data.stream import ImageSet, ImageStream
from gipi.engine.place import Place, place_for
from gipi.errors import ConfigError, RunError
from gipi.inspect.figures import png_bytes
from gipi.inspect.layers import layer_table
from gipi.runs import environment, new_run_path, write_atomic
from gipi.tasks.images import training_images

STEPS = 160  # of training before the accuracy is checked: enough that rounding alone hardly changes it
VIEWS = ("flatten", "dropout", "identity")  # layers that put out nothing new, or nothing that stays

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ladder:
    """What came out. folder: of ladder.json and ladder.png.  steps: of training before the accuracy was checked."""

    folder: Path
    config: Config
    steps: int
    work: Work
    peaks: Peaks
    lines: tuple[Line, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def wrong(self) -> tuple[str, ...]:
        """The rungs that learn less than plain PyTorch does."""
        return tuple(line.measured.rung.name for line in self.lines if line.wrong)

    def text(self) -> str:
        """The table for a terminal, with what it was measured against."""
        products = ", ".join(f"{peak / 1e9:,.0f} GFLOP/s in {name}" for name, peak in self.peaks.matmul.items())
        return f"{text(self.lines, self.left_out)}\npeak      product {products}; copy {self.peaks.copy / 1e9:,.1f} GB/s"

    def json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        return {
            "recipe": self.config.recipe,
            "net": self.config.net.name,
            "data": self.config.data.name,
            "batch": self.config.data.batch,
            "steps": self.steps,
            "work": {**asdict(self.work), "operations": self.work.operations},
            "peaks": {"matmul": dict(self.peaks.matmul), "copy": self.peaks.copy},
            "rungs": [line.json() for line in self.lines],
            "left_out": [one._asdict() for one in self.left_out],
            "machine": environment(),
        }


def ladder(config: Config, *, steps: int = STEPS, out: Path | None = None, say: Say | None = None) -> Ladder:
    """Measure every rung that this machine has, each in its own process, into the folder `out` (runs/bench-ladder-NNN if None).

    All rungs train the recipe's net from nothing on its data without augmentation, by Adam at one rate: `steps` steps until the
    accuracy is checked, then some against the clock.  say: hears of each rung.
    Raises ConfigError or DataError for a recipe that cannot be trained, RunError if a process fails or `out` holds a ladder.
    """
    folder = out or new_run_path("bench-ladder")
    if (folder / "ladder.json").exists():
        raise RunError(f"{folder} already holds a ladder: choose another folder with --out")
    config, place, images = prepared(config, steps)
    with torch.random.fork_rng():
        table = layer_table(*fresh_net(config, images))
    rungs, left_out = build(config.net.name, place.device)
    precisions = list(dict.fromkeys(rung.precision for rung in rungs))
    answer = in_process({"job": "peaks", "device": str(place.device), "precisions": precisions})
    peaks = Peaks(answer["matmul"], answer["copy"])
    measured: dict[str, Measured] = {}
    for rung in rungs:
        below = measured.get(rung.below)
        try:
            measured[rung.name] = measure(rung, config, steps, below if rung.processes > 1 else None)
        except RunError as error:
            if not rung.compile_mode:
                raise
            left_out.append(LeftOut(rung.name, str(error)))  # a compiler that does not work here
            continue
        if say:
            say(said(measured[rung.name]))
    work = Work(table.multiply_adds, sum(prod(layer.shape) for layer in table.layers if layer.kind not in VIEWS))
    done = tuple(lines(list(measured.values()), rungs, work, peaks))
    result = Ladder(folder, config, steps, work, peaks, done, tuple(left_out))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "ladder.png", png_bytes(ladder_figure(done, left_out, title=_title(config))))
        write_atomic(folder / "ladder.json", (json.dumps(result.json(), indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise RunError(f"cannot write the folder {folder}: {error.strerror}") from error
    return result


def prepared(config: Config, steps: int) -> tuple[Config, Place, ImageSet]:
    """(the configuration as every rung trains it, on a device that is decided; that place; its training images)

    Raises what makes it impossible to train, before any process is started.
    """
    if steps < 1:
        raise ConfigError(f"steps is {steps}, allowed are 1 and more")
    place = place_for(config.run)
    config = comparable(replace(config, run=replace(config.run, device=str(place.device))))
    images = training_images(config, place).train
    ImageStream(images, config.data.batch, config.run.seed)  # refuses a batch that the images do not fill
    return config, place, images


def measure(rung: Rung, config: Config, steps: int, below: Measured | None) -> Measured:
    """One rung in its own process or processes, which share the threads out.

    below: whose speed says how many steps a window of several processes has.
    """
    threads = max(1, (config.run.threads or torch.get_num_threads()) // rung.processes)
    config = replace(config, run=replace(config.run, threads=threads))
    window = max(1, round(WINDOW_S * max(below.images_per_s) / config.data.batch)) if below else 0
    job = {"job": "train", "rung": asdict(rung), "config": config.to_json(), "steps": steps, "window": window}
    answer = in_process(job, processes=rung.processes)
    answer.pop("wall_s")
    return Measured(rung, tuple(answer.pop("images_per_s")), **answer)


def said(one: Measured) -> str:
    """A line about a rung that is done."""
    middle = sorted(one.images_per_s)[len(one.images_per_s) // 2]
    return f"{one.rung.name:20} {middle:>10,.0f} images/s  accuracy {one.accuracy:.2%} of {one.checked:,}"


def _title(config: Config) -> str:
    return f"{config.net.name} on {config.data.name}, batch {config.data.batch}: images a second in training, and times the first"
