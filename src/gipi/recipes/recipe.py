"""What a recipe is."""

from __future__ import annotations

from dataclasses import dataclass

from gipi.config import Config


@dataclass(frozen=True)
class Recipe:
    """cost: where and how long.  accuracy: mean test accuracy of 5 seeds in percent, as measured; None: not yet.

    published: what others reached by such a training, in percent, where we have not run it.
    """

    config: Config
    about: str
    source: str
    cost: str
    accuracy: float | None
    published: float | None = None
