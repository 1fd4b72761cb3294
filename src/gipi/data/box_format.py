"""Boxes that are not in the format in which they are read: corners for corner and size, or the other way round, or shares."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

Written = Literal["xyxy", "xywh"]
NAMES = {"xyxy": "x0, y0, x1, y1", "xywh": "x, y, width, height"}
MENDS = {"xyxy": "x + width and y + height are x1 and y1", "xywh": "x1 - x0 and y1 - y0 are width and height"}
FEW = 0.1  # share of boxes that may fit nowhere, for they are only wrong
SLACK = 0.02  # share of an image's sides by which its boxes may leave it


def wrong_format(boxes: Float[ndarray, "n 4"], sizes: Float[ndarray, "n 2"], written: Written) -> str:
    """What is said against a list of boxes that seem to be in another format than `written`; "" if they do not.

    boxes: x0, y0, x1, y1 in pixels as they are read, not clipped.  sizes: height and width of the image of each.
    They are taken for another format if more than `FEW` of them do not fit into their images as they are read, and no more than a
    quarter of those would not the other way either. If all lie near the upper left corner, nothing tells the two apart.
    """
    if not len(boxes):
        return ""
    start, end = boxes[:, :2], boxes[:, 2:]
    numbers = boxes if written == "xyxy" else np.hstack([start, end - start])
    if numbers.max() <= 1:
        return "its boxes have no number above 1: they seem to be shares of the image, where pixels are expected; multiply them"
    other: Written = "xywh" if written == "xyxy" else "xyxy"
    swapped = np.hstack([start, start + end] if written == "xyxy" else [start, end - start])
    wrong, still = ~_fit(boxes, sizes), ~_fit(swapped, sizes)
    if wrong.sum() <= FEW * len(boxes) or 4 * still.sum() > wrong.sum():
        return ""
    first = int(wrong.argmax())
    height, width = sizes[first]
    example = ", ".join(f"{number:g}" for number in numbers[first]) + f" in {width:g}x{height:g} pixels"
    return (
        f"its boxes seem to be {NAMES[other]}, where {NAMES[written]} is expected: as such {wrong.sum():,} of {len(boxes):,} "
        f"have negative sides or leave their image, like {example}, the other way {still.sum():,}; "
        f"write them anew: {MENDS[written]}"
    )


def _fit(boxes: Float[ndarray, "n 4"], sizes: Float[ndarray, "n 2"]) -> Bool[ndarray, " n"]:
    sides = sizes[:, ::-1]
    slack = SLACK * sides
    return np.all((boxes[:, 2:] >= boxes[:, :2]) & (boxes[:, :2] >= -slack) & (boxes[:, 2:] <= sides + slack), axis=1)
