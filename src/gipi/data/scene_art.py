"""What a scene is drawn with: colours of a wanted brightness, soft ground, strokes with soft edges, digits as alpha masks.

All of it is NumPy in float64, one operation after the other, without sines and powers, so that every machine draws the same.
Sizes and places are in pixels, colours 0 to 255, an alpha 0 (see-through) to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from gipi.data.scene_words import Box

LUMA = (0.299, 0.587, 0.114)  # brightness of red, green and blue, ITU-R BT.601
GAP = 3  # pixels at least between the boxes of two digits, and from any box to a thing as bright as a digit
INK = 0.45  # share of white above which a pixel of a digit's frame counts as stroke


class Patch(NamedTuple):
    """A part of a canvas, and how thick paint lies on it."""

    rows: slice
    columns: slice
    alpha: Float[np.ndarray, "i j"]


def between(numbers: Iterator[float], low: float, high: float) -> float:
    """The next of `numbers`, of 0 to 1, as one of `low` to `high`."""
    return low + (high - low) * next(numbers)


def whole(numbers: Iterator[float], low: int, high: int) -> int:
    """The next of `numbers` as an integer from `low` to `high`, both included."""
    return low + int(next(numbers) * (high - low + 1))


def colour(numbers: Iterator[float], low: float, high: float) -> Float[np.ndarray, " 3"]:
    """Any hue, with a brightness of `low` to `high`: too bright ones are dimmed, too dark ones mixed with white."""
    red, green, blue = (255 * next(numbers) for _ in range(3))
    now, wanted = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue, between(numbers, low, high)
    share, white = (wanted / now, 0.0) if now > wanted else ((255 - wanted) / (255 - now), 255.0)
    return np.array([white + share * (each - white) for each in (red, green, blue)])


def ground(numbers: Iterator[float], sides: tuple[float, float], height: int, width: int) -> Float[np.ndarray, "3 h w"]:
    """Colours of a brightness between `sides` on a coarse grid, blended smoothly; so no pixel is darker or brighter than all."""
    rows, columns = whole(numbers, 2, 4), whole(numbers, 2, 5)
    main, variety = colour(numbers, *sides), between(numbers, 0.1, 0.7)
    grid = np.array([main + variety * (colour(numbers, *sides) - main) for _ in range(rows * columns)])
    grid = grid.reshape(rows, columns, 3).transpose(2, 0, 1)
    return _ease(rows, height) @ grid @ _ease(columns, width).T


def _ease(count: int, length: int) -> Float[np.ndarray, "length count"]:
    """Weights of `count` points spread over `length` pixels; each pixel's two neighbours by smoothstep."""
    place = np.arange(length) * (count - 1) / (length - 1)
    distance = np.minimum(abs(place[:, None] - np.arange(count)), 1)
    return 1 - distance * distance * (3 - 2 * distance)


def lay(canvas: Float[np.ndarray, "3 h w"], patch: Patch, paint: Float[np.ndarray, " 3"]) -> None:
    """Paint over the canvas in place, as thick as the patch says."""
    part = canvas[:, patch.rows, patch.columns]
    part += (paint[:, None, None] - part) * patch.alpha


def mark(numbers: Iterator[float], height: int, width: int, scale: float = 1.0) -> Patch:
    """A thin line, a blob or a dot anywhere on a canvas; `scale` times as long and as thick."""
    x, y, kind, thick = between(numbers, 0, width), between(numbers, 0, height), next(numbers), next(numbers)
    reach, radius = (90, 0.5 + 1.5 * thick) if kind < 0.4 else (10, 3 + 8 * thick) if kind < 0.7 else (0, 2 + thick)
    end = x + scale * between(numbers, -reach, reach), y + scale * between(numbers, -reach, reach)
    return stroke((x, y), end, max(0.7, scale * radius), height, width)


def stroke(start: tuple[float, float], end: tuple[float, float], radius: float, height: int, width: int) -> Patch:
    """A line with round ends from `start` to `end` (x, y), one pixel of its edge soft. A short fat one is a blob."""
    (x0, y0), (x1, y1) = start, end
    rows, columns = (
        slice(max(0, int(min(ends) - radius)), min(size, int(max(0, max(ends) + radius)) + 2))
        for ends, size in (((y0, y1), height), ((x0, x1), width))
    )
    y, x = np.arange(rows.start, rows.stop)[:, None] - y0, np.arange(columns.start, columns.stop) - x0
    dx, dy = x1 - x0, y1 - y0
    along = _share((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9))
    off_x, off_y = x - along * dx, y - along * dy
    return Patch(rows, columns, _share(radius + 0.5 - np.sqrt(off_x * off_x + off_y * off_y)))


def place(
    numbers: Iterator[float], size: tuple[int, ...], boxes: list[Box], stacked: bool, canvas: tuple[int, int]
) -> tuple[int, int] | None:
    """(x, y) of a thing of `size` (height, width), anywhere on a canvas but `GAP` off the boxes; None if there is no room.

    stacked: above or below the first box if that can be.
    """
    (height, width), number = size, next(numbers)
    free = np.ones((canvas[0] - height + 1, canvas[1] - width + 1), bool)
    for x0, y0, x1, y1 in boxes:
        free[max(0, y0 - GAP - height + 1) : y1 + GAP, max(0, x0 - GAP - width + 1) : x1 + GAP] = False
    if stacked and boxes:
        near = abs(2 * np.arange(free.shape[1]) + width - boxes[0][0] - boxes[0][2]) <= canvas[1] // 4
        free = free & near if (free & near).any() else free
    places = free.ravel().nonzero()[0]
    if not len(places):
        return None
    y, x = divmod(int(places[int(number * len(places))]), free.shape[1])
    return x, y


def digit(frame: UInt8[np.ndarray, "28 28"], height: int) -> Float[np.ndarray, "h w"]:
    """Alpha of a digit about `height` pixels high, its edge one to two pixels soft, cut tight around alpha above one half."""
    ink = frame > INK * 255
    rows, columns = ink.any(1).nonzero()[0], ink.any(0).nonzero()[0]
    scale = height / len(range(rows[0], rows[-1] + 1))
    value = _slope(rows, scale) @ (frame / 255.0) @ _slope(columns, scale).T
    alpha = _share(0.5 + (value - INK) * max(2 * scale, 2.5))
    rows, columns = (alpha > 0.5).any(1).nonzero()[0], (alpha > 0.5).any(0).nonzero()[0]
    return alpha[rows[0] - 1 : rows[-1] + 2, columns[0] - 1 : columns[-1] + 2]


def _slope(taken: np.ndarray, scale: float) -> Float[np.ndarray, "length 28"]:
    """Weights of linear interpolation that enlarge pixels taken[0] to taken[-1] of 28, and a margin, `scale` times."""
    length = round((taken[-1] - taken[0] + 1) * scale)
    place = (np.arange(-3, length + 3) + 0.5) / scale - 0.5 + taken[0]
    return _share(1 - abs(place[:, None] - np.arange(28)))


def _share(values: Float[np.ndarray, "i j"]) -> Float[np.ndarray, "i j"]:
    """Cut to 0 to 1; on arrays this small several times as fast as `np.clip`."""
    return np.minimum(np.maximum(values, 0), 1)
