"""Drawing what every pixel of a picture is: the classes' colours laid over it, a legend.

Masks are uint8: the number of each pixel's class, or VOID. Colours are red, green and blue, 0 to 255.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]
Line = tuple[str, Colour]  # of a legend
INK, PAPER = "#222222", "#FFFFFF"
LONGEST = 40  # letters of a name that are written


def palette(colours: Sequence[Colour]) -> UInt8[Tensor, "256 3"]:
    """The colour of each number that a mask may hold; black where there is no class."""
    table = torch.zeros(256, 3, dtype=torch.uint8)
    table[: len(colours)] = torch.tensor(colours, dtype=torch.uint8)
    return table


def overlay(
    pixels: UInt8[Tensor, "*n 3 h w"], mask: UInt8[Tensor, "*n h w"], colours: Sequence[Colour | None]
) -> UInt8[Tensor, "*n 3 h w"]:
    """The pictures, each pixel halfway to the colour of its class: (pixel + colour) // 2.

    As they are stay the pixels of classes without a colour (None), and those of no class, such as VOID.
    """
    places, table = mask.flatten().int(), palette([colour or (0, 0, 0) for colour in colours])
    painted = torch.tensor([colour is not None for colour in colours] + [False] * (256 - len(colours)))
    channels = [torch.index_select(channel, 0, places).view(mask.shape) for channel in table.T.contiguous()]
    paint = torch.stack(channels, -3)
    half = (pixels & paint) + ((pixels ^ paint) >> 1)  # the mean of two bytes without a wider type
    return torch.where(torch.index_select(painted, 0, places).view(mask.shape).unsqueeze(-3), half, pixels)


def legend(lines: Sequence[Line], width: int, size: int = 14) -> Image.Image:
    """Texts, each behind a swatch of its colour, in columns from left to right; as high as they need.

    width: in pixels, at least; more if one text needs more.  size: of the letters, in pixels.
    """
    font, texts = _font(size), [_short(text) for text, _ in lines]
    gap, row = size // 2, size * 3 // 2
    cell = max((int(font.getlength(text)) for text in texts), default=0) + size + 3 * gap
    columns = max(1, (width - gap) // cell)
    rows = -(-len(lines) // columns)
    image = Image.new("RGB", (max(width, cell + gap), rows * row + gap), PAPER)
    draw = ImageDraw.Draw(image)
    for place, (text, (_, colour)) in enumerate(zip(texts, lines, strict=True)):
        left, top = gap + place % columns * cell, gap // 2 + place // columns * row + (row - size) // 2
        draw.rectangle((left, top, left + size - 1, top + size - 1), fill=colour, outline=INK)
        draw.text((left + size + gap, top + size // 2), text, fill=INK, font=font, anchor="lm")
    return image


def with_legend(pixels: UInt8[Tensor, "3 h w"], lines: Sequence[Line], least: int = 480) -> Image.Image:
    """A picture with a legend below it. A small one is enlarged by a whole number, until its longer side has `least` pixels."""
    picture = enlarged(pixels, least)
    return stacked(picture, legend(lines, picture.width, max(14, picture.width // 60)))


def enlarged(pixels: UInt8[Tensor, "3 h w"], least: int) -> Image.Image:
    """A picture, a small one enlarged by a whole number, until its longer side has `least` pixels."""
    picture = as_image(pixels)
    times = -(-least // max(picture.size)) if max(picture.size) < least else 1
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def stacked(picture: Image.Image, below: Image.Image) -> Image.Image:
    """A picture and what is as wide or wider below it, on white."""
    canvas = Image.new("RGB", (below.width, picture.height + below.height), PAPER)
    canvas.paste(picture, (0, 0))
    canvas.paste(below, (0, picture.height))
    return canvas


def as_image(pixels: UInt8[Tensor, "3 h w"]) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def as_pixels(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's: of the fonts that come with what we need, the one with the most letters."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
