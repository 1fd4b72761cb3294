"""Drawing boxes over a picture: a frame in the colour of its class, and a label on the same colour.

Written for frames of a video: slices of an array are painted, letters are drawn once a text. Of texts that meet, the first stays
whole. Colours are red, green and blue, 0 to 255.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from gipi.ops.overlay import Colour, _font, _short, as_pixels

DARK, BRIGHT = (0, 0, 0), (255, 255, 255)
LEAST = 480  # pixels of the longer side to which small pictures are enlarged
LETTERS = 13  # pixels, at least
KEPT = 1000  # labels that are remembered


def enlargement(height: int, width: int) -> int:
    """The whole number by which to enlarge a small picture before boxes are drawn on it, as `with_legend` enlarges it."""
    return max(1, -(-LEAST // max(height, width)))


def draw_boxes(
    pixels: UInt8[Tensor, "3 h w"], boxes: Float[Tensor, "k 4"], texts: Sequence[str], colours: Sequence[Colour]
) -> UInt8[Tensor, "3 h w"]:
    """The picture with each box (x0, y0, x1, y1 in pixels) in its colour and its text beside it; the first box lies on top.

    The frame is drawn inside the box's edges, rounded to whole pixels and clipped, with a thin line of black or white around it,
    whichever tells it from its colour. A text goes where `label_places` puts it; without one goes a box whose text is empty or
    larger than the picture.
    """
    height, width = pixels.shape[1:]
    size = max(LETTERS, min(height, width) // 40)
    line = max(2, size // 6)
    canvas, rows = pixels.clone(), _whole(boxes, height, width)
    array = canvas.numpy()
    for (x0, y0, x1, y1), colour in reversed(list(zip(rows.tolist(), colours, strict=True))):
        _frame(array, (x0 - 1, y0 - 1, x1 + 1, y1 + 1), _against(colour), 1)
        _frame(array, (x0, y0, x1, y1), colour, line)
    labels = [_label(_short(text), colour, size) for text, colour in zip(texts, colours, strict=True)]
    shown = [n for n, one in enumerate(labels) if texts[n] and one.shape[1] <= height and one.shape[2] <= width]
    sizes = torch.tensor([labels[n].shape[1:] for n in shown], dtype=torch.int64).view(-1, 2)
    places = label_places(rows[shown], sizes, height, width).tolist()
    for n, (left, top) in reversed(list(zip(shown, places, strict=True))):
        _, high, wide = labels[n].shape
        array[:, top : top + high, left : left + wide] = labels[n]
    return canvas


def label_places(boxes: Int64[Tensor, "k 4"], sizes: Int64[Tensor, "k 2"], height: int, width: int) -> Int64[Tensor, "k 2"]:
    """Left and top of the label of each box, all inside the picture. sizes: height, width of each, not above the picture's.

    Of eight places (above the box, inside at the top, below, inside at the bottom, each at the left and at the right edge), each
    moved into the picture, a label takes the first that covers no earlier label, or else the one that covers least of them.
    """
    if not len(boxes):
        return torch.zeros(0, 2, dtype=torch.int64)
    (x0, y0, x1, y1), (high, wide) = boxes.numpy().T[:, :, None], sizes.numpy().T[:, :, None]
    left = np.tile(np.concatenate([x0, x1 - wide], 1), (1, 4)).clip(0, width - wide)
    top = np.concatenate([y0 - high, y0, y1, y1 - high], 1).repeat(2, 1).clip(0, height - high)
    spots = np.stack([left, top, left + wide, top + high], 2)  # (k, 8, 4)
    taken = np.zeros((len(boxes), 4), np.int64)
    for n, choices in enumerate(spots):
        low = np.maximum(choices[:, None, :2], taken[None, :n, :2])
        meet = (np.minimum(choices[:, None, 2:], taken[None, :n, 2:]) - low).clip(0)
        taken[n] = choices[meet.prod(2).sum(1).argmin()]
    return torch.from_numpy(taken[:, :2].copy())


def _whole(boxes: Float[Tensor, "k 4"], height: int, width: int) -> Int64[Tensor, "k 4"]:
    """Whole pixels, inside the picture, one at least."""
    limit = torch.tensor([width, height])
    low = torch.minimum(boxes[:, :2].round().long().clamp(min=0), limit - 1)
    return torch.cat([low, torch.minimum(torch.maximum(boxes[:, 2:].round().long(), low + 1), limit)], 1)


def _frame(array: np.ndarray, box: tuple[int, int, int, int], colour: Colour, line: int) -> None:
    """Paint the edges of a box, `line` pixels wide, inside it; what is outside the array is left out."""
    paint, (x0, y0, x1, y1) = np.array(colour, np.uint8)[:, None, None], box
    for left, top, right, bottom in (
        (x0, y0, x1, min(y0 + line, y1)),
        (x0, max(y1 - line, y0), x1, y1),
        (x0, y0, min(x0 + line, x1), y1),
        (max(x1 - line, x0), y0, x1, y1),
    ):
        array[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = paint


def _against(colour: Colour) -> Colour:
    """Black or white, whichever is further from it: by luminance, Rec. 601."""
    red, green, blue = colour
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 127 else BRIGHT


@functools.lru_cache(KEPT)
def _label(text: str, colour: Colour, size: int) -> np.ndarray:
    """A text of letters of `size` pixels on its colour, uint8 (3, h, w)."""
    font = _font(size)
    image = Image.new("RGB", (int(font.getlength(text)) + size // 2, size + size // 3), colour)
    ImageDraw.Draw(image).text((image.width // 2, image.height // 2), text, fill=_against(colour), font=font, anchor="mm")
    return as_pixels(image).numpy()
