"""What this machine can do at best: a large matrix product and a large copy, the two ceilings of a roofline."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from gipi.engine.place import Place

SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices
COPIED = {"cpu": 256 << 20, "cuda": 2 << 30}  # bytes, far more than any cache holds
REPEATS = 5


def matmul_peak(place: Place) -> float:
    """Floating-point operations a second of a product of large square matrices in the place's number format, the best of five."""
    side = SIDE[place.device.type]
    left, right = (torch.rand(side, side, device=place.device, dtype=place.dtype) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * side**3 / _best_s(lambda: torch.mm(left, right, out=out), place)


def copy_peak(place: Place) -> float:
    """Bytes a second that a large copy reads and writes, both counted, the best of five."""
    source = torch.ones(COPIED[place.device.type], dtype=torch.uint8, device=place.device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best_s(lambda: target.copy_(source), place)


def _best_s(work: Callable[[], object], place: Place) -> float:
    def once() -> float:
        wait(place)
        start = time.perf_counter()
        work()
        wait(place)
        return time.perf_counter() - start

    once()  # the first one touches the memory
    return min(once() for _ in range(REPEATS))


def wait(place: Place) -> None:
    """Until the device has done all that it was given."""
    if place.device.type == "cuda":
        torch.cuda.synchronize(place.device)
