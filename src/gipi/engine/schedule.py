"""Learning rates as pure functions of the step: a share of the highest rate, 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(step: int, steps: int) -> float:
    return 1.0


def one_cycle(step: int, steps: int) -> float:
    """A cosine up from 1/25 over the first 30 % of the steps, then a cosine down to 0.

    Source: Smith and Topin, Super-Convergence (arXiv 1708.07120), in the two-phase cosine form common today; momentum stays.
    """
    peak = max(1, round(0.3 * steps))
    if step < peak:
        return 1 + (1 / 25 - 1) * (1 + math.cos(math.pi * step / peak)) / 2
    return (1 + math.cos(math.pi * (step - peak) / max(1, steps - peak))) / 2


SCHEDULES: dict[str, Callable[[int, int], float]] = {"constant": constant, "one-cycle": one_cycle}
