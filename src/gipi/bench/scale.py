"""One training by more and more processes on the same machine: what each of them adds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gipi.bench.ladder import STEPS, Say, measure, prepared, said
from gipi.bench.rungs import GIPI, Rung, most_processes
from gipi.bench.table import Measured, falls
from gipi.bench.timing import Spread
from gipi.config import Config
from gipi.engine.machine import cores
from gipi.errors import ConfigError, DeviceError


@dataclass(frozen=True)
class Scale:
    """measured: by number of processes, 1 first.  device: "cpu" or "cuda"."""

    net: str
    data: str
    batch: int
    device: str
    measured: tuple[Measured, ...]

    def efficiency(self, one: Measured) -> float:
        """Speed over that of one process, for each share of the machine in use: on a CPU all of its cores always are."""
        alone, speed = (Spread.of(each.images_per_s).median for each in (self.measured[0], one))
        return speed / alone / (one.rung.processes if self.device == "cuda" else 1)

    @property
    def wrong(self) -> tuple[str, ...]:
        """What learns less than one process does."""
        first = self.measured[0]
        return tuple(one.rung.name for one in self.measured if falls(one.accuracy, first.accuracy, one.checked))

    def json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        rows = [
            {
                "processes": one.rung.processes,
                "images_per_s": Spread.of(one.images_per_s).json(),
                "efficiency": self.efficiency(one),
                "accuracy": one.accuracy,
                "wrong": one.rung.name in self.wrong,
            }
            for one in self.measured
        ]
        return {"net": self.net, "data": self.data, "batch": self.batch, "device": self.device, "rows": rows}

    def text(self) -> str:
        """A table for a terminal."""
        table = [f"{'processes':>9}{'images/s':>12}{'low':>10}{'high':>10}{'efficiency':>12}{'accuracy':>10}"]
        for one in self.measured:
            speed = Spread.of(one.images_per_s)
            numbers = (
                f"{speed.median:>12,.0f}{speed.low:>10,.0f}{speed.high:>10,.0f}{self.efficiency(one):>12.1%}{one.accuracy:>10.2%}"
            )
            table.append(f"{one.rung.processes:>9}{numbers}{'  WRONG' if one.rung.name in self.wrong else ''}")
        kept = "the cores are shared out" if self.device == "cpu" else "each has a CUDA device"
        return "\n".join([*table, f"{self.net} on {self.data}, global batch {self.batch}; {kept}"])


def scale(config: Config, *, processes: int | None = None, steps: int = STEPS, say: Say | None = None) -> Scale:
    """Measure the engine's step with 1, 2, 4, ... up to `processes` processes; None: as many as there are cores or CUDA devices.

    The batch of all together stays the recipe's.
    Raises ConfigError for fewer than one process, DeviceError for more than the machine can hold, RunError if one fails.
    """
    if processes is not None and processes < 1:
        raise ConfigError(f"processes is {processes}, allowed are 1 and more")
    config, place, _ = prepared(config, steps)
    device = place.device.type
    config = replace(config, run=replace(config.run, threads=cores()))  # in all, whatever the environment says
    most = most_processes(place.device)
    if processes is not None and processes > most:
        what = "CUDA devices" if device == "cuda" else "cores"
        raise DeviceError(f"{processes} processes, but this machine has {most} {what}: give --processes {most} or fewer")
    measured: list[Measured] = []
    for count in counts(processes or most):
        rung = replace(Rung(GIPI, "", loop="gipi"), name=f"{count} process{'es' if count > 1 else ''}", processes=count)
        measured.append(measure(rung, config, steps, measured[0] if measured else None))
        if say:
            say(said(measured[-1]))
    return Scale(config.net.name, config.data.name, config.data.batch, device, tuple(measured))


def counts(most: int) -> list[int]:
    """1, 2, 4, ... and `most` itself."""
    return sorted({2**power for power in range(most.bit_length())} | {most})
