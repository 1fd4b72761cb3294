"""How a generator and its discriminator are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gipi.config.checks import among, within

GanLoss = Literal["non-saturating", "hinge"]


@dataclass(frozen=True)
class GanConfig:
    """Of generation: how the discriminator is built and trained, and who judges the images that are made."""

    loss: GanLoss = "non-saturating"
    """what the two nets are trained by"""
    conditional: bool = False
    """learn to make an image of a class that is asked for"""
    spectral_norm: bool = False
    """bound the discriminator's layers by spectral norm instead of batch norm"""
    width: int = 0
    """channels of the discriminator's first map; 0 takes the generator's of its last one"""
    rate: float = 1.0
    """learning rate of the discriminator as a multiple of the generator's"""
    judge: str = "auto"
    """whose features images are compared by: a classifier (model or run), inception with its published file at hand, or random;
    auto takes the shipped classifier of digits or clothing for these, else random"""
    samples: int = 5_000
    """images made and judged after each epoch, at most; 10,000 at the end"""

    def __post_init__(self) -> None:
        among("gan.loss", self.loss, GanLoss)
        within("gan.width", self.width, 0, 4096)
        within("gan.rate", self.rate, 1e-3, 1e3)
        within("gan.samples", self.samples, 2, 1_000_000)
