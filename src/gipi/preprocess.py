"""How a picture becomes the input of a net: what a model's card says about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gipi.errors import ConfigError

Framing = Literal["digit", "resize", "crop", "whole"]


@dataclass(frozen=True)
class Preprocess:
    """Size of a net's input, how a picture is brought to it and how its pixels are scaled.

    image: channels, height, width.
    framing: "digit" finds one digit and centres it; "resize" scales to the size, aspect ratio not kept; "crop" scales the shorter
    side to `short` pixels and takes the middle; "whole" scales the shorter side to `short` pixels and takes all.
    mean, std: of pixels of 0 to 1, one for all channels or one for each: an input value is (pixel / 255 - mean) / std.
    Raises ConfigError for sizes below 1, a `short` below the image's and numbers that do not fit the channels.
    """

    image: tuple[int, int, int]
    framing: Framing
    short: int = 0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if min(self.image) < 1:
            raise ConfigError(f"preprocessing to images of {self.image}: allowed are sizes from 1 on")
        if self.framing == "crop" and self.short < max(self.image[1:]):
            raise ConfigError(f"a crop of {self.image[1]}x{self.image[2]} does not fit a shorter side of {self.short} pixels")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, self.image[0]) or not all(map(math.isfinite, numbers)):
                raise ConfigError(f"preprocessing has {name} {numbers} for {self.image[0]} channels")
        if 0 in self.std:
            raise ConfigError(f"preprocessing has std {self.std}: allowed are numbers other than 0")


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
