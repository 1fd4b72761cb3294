"""What a segmentation net says of a picture: a class for every pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gipi import showing
from gipi.data.mask_legend import palette_colour
from gipi.ops.overlay import Colour, overlay, palette, with_legend


@dataclass(frozen=True)
class Area:
    """What a class takes of a picture or a video. share: of all its pixels, 0 to 1."""

    name: str
    pixels: int
    share: float

    def __str__(self) -> str:
        return f"{self.name} ({self.share:.1%})"

    def json(self) -> dict[str, Any]:
        return {"name": self.name, "pixels": self.pixels, "share": self.share}


@dataclass(frozen=True)
class Segmentation:
    """An answer for one picture. colours: of each class; if there are none, those of PASCAL VOC's palette.

    pixels: the picture, uint8 (3, h, w).  mask: the number of each pixel's class, uint8 (h, w).
    """

    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    pixels: Tensor = field(repr=False)
    mask: Tensor = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "colours", class_colours(self.classes, self.colours))

    @property
    def areas(self) -> list[Area]:
        """Of the classes that are there, largest first."""
        return areas(self.classes, count(self.mask))

    def draw(self) -> Image.Image:
        """The picture with the colours laid over at half opacity, a legend with the areas below; a small one is enlarged."""
        colours = dict(zip(self.classes, self.colours, strict=True))
        lines = [(f"{area.name} {area.share:.1%}", colours[area.name]) for area in self.areas]
        return with_legend(overlay(self.pixels, self.mask, self.colours), lines)

    def _repr_png_(self) -> bytes:
        return showing.png(self.draw())

    def index_image(self) -> Image.Image:
        """The mask as a picture of mode "P": its values are the numbers of the classes, its palette their colours."""
        image = Image.fromarray(self.mask.numpy())
        image.putpalette(palette(self.colours).flatten().tolist())
        return image

    def json(self) -> dict[str, Any]:
        """classes: name, pixels and share of each that is there, largest first.  size: width and height."""
        return {"classes": [area.json() for area in self.areas], "size": [self.mask.shape[1], self.mask.shape[0]]}


def class_colours(classes: tuple[str, ...], colours: tuple[Colour, ...]) -> tuple[Colour, ...]:
    """Those given, or of each class its colour in PASCAL VOC's palette."""
    return colours or tuple(palette_colour(number) for number in range(len(classes)))


def count(mask: Tensor) -> Tensor:
    """Pixels of each number that a mask, or several, may hold: int64 (256)."""
    return torch.bincount(mask.flatten(), minlength=256)


def areas(classes: tuple[str, ...], counts: Tensor) -> list[Area]:
    """Of counts of pixels (256), or sums of such: the classes that are there, largest first. Void counts in the whole only."""
    whole = max(int(counts.sum()), 1)
    found = [Area(name, pixels, pixels / whole) for name, pixels in zip(classes, counts.tolist(), strict=False) if pixels]
    return sorted(found, key=lambda area: -area.pixels)
