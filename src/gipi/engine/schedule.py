"""Learning rates as pure functions of the step: a share of the highest rate, 0 to 1.

Each schedule is a function of (progress, final): `progress` is the share of the training that is done, 0 to below 1, and
`final` the share of the rate that a falling schedule leaves at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch.nn import Parameter

BANDS = 8  # of layers that take different learning rates
PEAK = 0.3  # share of a one-cycle training before its highest rate


def constant(progress: float, final: float) -> float:
    return 1.0


def step_decay(progress: float, final: float) -> float:
    """Two equal drops, after a half and after three quarters, as in He et al., "Deep Residual Learning", 2016, section 4.2."""
    return final ** (((progress >= 0.5) + (progress >= 0.75)) / 2)


def thirds(progress: float, final: float) -> float:
    """Two equal drops, after each third, as for ImageNet after 30 and 60 of 90 epochs: Goyal et al., arXiv 1706.02677, 5.1."""
    return final ** (((progress >= 1 / 3) + (progress >= 2 / 3)) / 2)


def exponential(progress: float, final: float) -> float:
    return final**progress


def cosine(progress: float, final: float) -> float:
    """Loshchilov and Hutter, SGDR (arXiv 1608.03983), equation 5, without restarts."""
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def one_cycle(progress: float, final: float) -> float:
    """A cosine up from 1/25 over the first 30 %, then a cosine down to 0.

    Source: Smith and Topin, Super-Convergence (arXiv 1708.07120), in the two-phase cosine form common today; momentum stays.
    """
    if progress < PEAK:
        return 1 + (1 / 25 - 1) * (1 + math.cos(math.pi * progress / PEAK)) / 2
    return (1 + math.cos(math.pi * (progress - PEAK) / (1 - PEAK))) / 2


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "step": step_decay,
    "thirds": thirds,
    "exponential": exponential,
    "cosine": cosine,
    "one-cycle": one_cycle,
}


def share(name: str, step: int, steps: int, *, warmup: float, final: float) -> float:
    """The share of the highest rate that `step` (from 0) of `steps` takes.

    warmup: share of the steps in which the rate first rises in a straight line; the schedule has the rest.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return SCHEDULES[name]((step - rising) / max(1, steps - rising), final)


def by_depth(weights: list[Parameter], first_rate: float) -> list[dict[str, Any]]:
    """Up to `BANDS` groups of weights, shallow to deep, each with its share of the learning rate: a geometric series up to 1."""
    count = BANDS if first_rate < 1 else 1
    size = -(-len(weights) // count)
    bands = [weights[start : start + size] for start in range(0, len(weights), size)]
    last = max(1, len(bands) - 1)
    return [{"params": band, "share": first_rate ** (1 - number / last)} for number, band in enumerate(bands)]
