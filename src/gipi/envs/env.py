"""What every environment offers: several of one kind, stepped together."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from gipi.errors import RunError


class Seen(NamedTuple):
    """What a step of n environments gives, row k of environment k.

    frames: (n, c, h, w), the newest observation.  rewards: (n,) float32, as the environment gives them.
    terminated: (n,) bool, the task itself is over.  truncated: (n,) bool, a time limit has come.
    """

    frames: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class Envs(Protocol):
    """Environments of one kind. An episode is a function of its seed and the actions; none begins by itself.

    frame: channels, height, width of one observation.  pixels: they are uint8 of 0 to 255; else float32 numbers.
    actions: their names.  pace_ms: how long a decision lasts for a person who watches.
    """

    name: str
    count: int
    frame: tuple[int, int, int]
    pixels: bool
    actions: tuple[str, ...]
    pace_ms: int

    def reset(self, which: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Begin episodes in the environments of these numbers. Returns what they show first, (len(which), c, h, w)."""
        ...

    def send(self, actions: np.ndarray) -> None:
        """An action for each, (n,) int64; environments may go on while the caller does something else. Ended ones rest."""
        ...

    def receive(self) -> Seen:
        """What the actions sent have led to. Raises EnvError if an environment raises an error."""
        ...

    def picture(self, number: int) -> np.ndarray:
        """(h, w, 3) uint8: an environment as a person would see it; if opened with pictures."""
        ...

    def close(self) -> None: ...


class EnvError(RunError):
    """An environment raised an error, which is this one's cause."""
