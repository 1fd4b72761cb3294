"""How surveys of all kinds of data sets tell what they have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from gipi.data.alike import Alike
from gipi.data.entry import listed


def opening(error: str, refusals: Sequence[str]) -> list[str]:
    """The first verdicts: that it can be trained on, or why it cannot."""
    return [f"not ready to train: {why}" for why in ([error] if error else refusals)] or ["ready to train"]


def too_many(unreadable: str, allowed: float) -> str:
    """Why a split is refused. unreadable: how many of how many of it cannot be read.  allowed: share of them that may be."""
    return (
        f"{unreadable} cannot be read: training refuses above {allowed:.0%}; mend or remove them, or allow more by --data.broken"
    )


def leaking(groups: Sequence[Alike], pictures: str) -> list[str]:
    """That scores will be too good, if any of the pictures is in train and in another split."""
    leaks = sum(group.leaks for group in groups)
    said = f"test or validation {pictures} that are in train, too, or nearly so: {leaks:,}; scores will be too good"
    return [said] if leaks else []


def lists(found: Mapping[str, Sequence[str]]) -> list[str]:
    """Of each that is not empty its title, how long it is, and its first ten lines."""
    return [f"{title}: {len(lines):,}\n  " + listed(lines, "\n  ") for title, lines in found.items() if lines]


def counted(numbers: Mapping[str, int]) -> str:
    """The first ten things, and how many there are of each."""
    return listed([f"{thing} {number:,}" for thing, number in numbers.items()])


def spread(numbers: Float[ndarray, " n"]) -> tuple[float, ...]:
    """The lowest, the median and the highest of them; () of none."""
    return tuple(float(np.quantile(numbers, share)) for share in (0, 0.5, 1)) if len(numbers) else ()


def ranged(of: tuple[float, ...], none: str) -> str:
    """What `spread` found, in words."""
    return f"{of[0]:.3g} to {of[2]:.3g}, median {of[1]:.3g}" if of else none
