"""How a speed is measured: equal windows of work after a warm-up, their median, lowest and highest."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gipi.engine.peaks import wait
from gipi.engine.place import Place

if sys.platform != "win32":
    import resource

WINDOWS = 5  # at least so many repeats of every measurement
WINDOW_S = 1.0  # about how long each is


class Spread(NamedTuple):
    """Of `n` repeats."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: tuple[float, ...]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def json(self) -> dict[str, Any]:
        return {name: round(value, 6) for name, value in self._asdict().items()}


def seconds(work: Callable[[], object], place: Place) -> float:
    """What one piece of work takes, until the device has done it."""
    wait(place)
    start = time.perf_counter()
    work()
    wait(place)
    return time.perf_counter() - start


def windows(work: Callable[[], object], place: Place, count: int = 0, window_s: float = WINDOW_S) -> tuple[float, ...]:
    """Seconds that one piece of work takes, in each of five windows of `count` pieces; 0: so many that one takes `window_s`.

    Work that is cold at first has been done before.
    """
    count = count or max(1, round(window_s / seconds(work, place)))

    def window() -> None:
        for _ in range(count):
            work()

    return tuple(seconds(window, place) / count for _ in range(WINDOWS))


def peak_memory(place: Place) -> dict[str, int]:
    """Bytes that this process took at most: of main memory, and of the CUDA device.

    Linux counts the pages of a new process's parent in `getrusage`, but not in VmHWM.
    """
    device = torch.cuda.max_memory_allocated(place.device) if place.device.type == "cuda" else 0
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return {"peak_bytes": int(line.split()[1]) << 10, "device_peak_bytes": device}
    if sys.platform == "win32":
        return {"peak_bytes": 0, "device_peak_bytes": device}
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    return {"peak_bytes": largest, "device_peak_bytes": device}
