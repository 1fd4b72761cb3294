"""Pictures of many small images: a grid of them, and what is added and taken away with what comes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from gipi.ops.lettering import lettering
from gipi.ops.overlay import INK

GAP = 2  # pixels between images
LEAST = 56  # pixels of an image's shorter side as it is drawn
WHITE = 255
MINUS = "\N{MINUS SIGN}"


def grid(images: UInt8[Tensor, "n c h w"], columns: int | None = None) -> Image.Image:
    """Images of one or three channels from left to right, row by row, white between them; as many rows as columns if not given.

    Small ones are enlarged by a whole number. Grey ones give a grey picture.
    """
    images = enlarged(images)
    count, channels, height, width = images.shape
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    down, right = height + GAP, width + GAP
    canvas = images.new_full((channels, -(-count // columns) * down - GAP, columns * right - GAP), WHITE)
    for number, image in enumerate(images):
        top, left = number // columns * down, number % columns * right
        canvas[:, top : top + height, left : left + width] = image
    return as_picture(canvas)


def equation(
    sources: Sequence[UInt8[Tensor, "_ c h w"]],
    terms: UInt8[Tensor, "t c h w"],
    signs: Sequence[str],
    result: UInt8[Tensor, "c h w"],
) -> Image.Image:
    """Terms in a row, each behind its sign, and what comes of them; above a term of several images these.

    signs: "+" or "-" of each term; that of the first is drawn if it is "-".
    """
    parts = [*terms, result]
    above = [grid(images, 1) if len(images) > 1 else None for images in sources]
    tiles = [as_picture(part) for part in enlarged(torch.stack(parts))]
    side, sign = tiles[0].width, max(LEAST, tiles[0].width) // 2
    head = max((picture.height + 4 * GAP for picture in above if picture), default=0)
    canvas = Image.new(tiles[0].mode, (len(tiles) * (side + sign) - sign * (signs[0] == "+"), head + tiles[0].height), "white")
    draw, font, left = ImageDraw.Draw(canvas), lettering("+=", sign), 0
    for number, (tile, between) in enumerate(zip(tiles, [*signs, "="], strict=True)):
        if number or between == "-":
            middle = left + sign // 2, head + tile.height // 2
            draw.text(middle, between.replace("-", MINUS), fill=INK, font=font, anchor="mm")
            left += sign
        if number < len(above) and (picture := above[number]):
            canvas.paste(picture, (left, head - 4 * GAP - picture.height))
        canvas.paste(tile, (left, head))
        left += side
    return canvas


def enlarged(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c H W"]:
    """By a whole number, until their shorter side has 56 pixels."""
    times = max(1, -(-LEAST // min(images.shape[2:])))
    return images.repeat_interleave(times, 2).repeat_interleave(times, 3)


def as_picture(pixels: UInt8[Tensor, "c h w"]) -> Image.Image:
    """An image of one channel, in grey, or of three."""
    values = pixels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
