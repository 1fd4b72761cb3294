"""The colours of a scene: which ground and clutter its digits stand before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from gipi.data import scene_art as art
from gipi.data.scene_words import Box

CONTRAST = 64  # at least, of 255, between the brightness of the colour of a digit and of all that it stands before


def painted(
    numbers: Iterator[float], patches: list[art.Patch], boxes: list[Box], size: tuple[int, int]
) -> Float[np.ndarray, "3 h w"]:
    """An image of `size` (height, width) with the digits `patches` in the boxes.

    Ground and clutter are on one side of a brightness, digits on the other; off their boxes, some clutter is as bright as they.
    """
    middle = art.between(numbers, 80, 175)
    sides = (20, middle - CONTRAST / 2), (middle + CONTRAST / 2, 235)
    behind, before = sides if next(numbers) < 0.5 else sides[::-1]
    image = art.ground(numbers, behind, *size)
    for _ in range(art.whole(numbers, 2, 8)):
        art.lay(image, art.mark(numbers, *size), art.colour(numbers, *behind))
    clear = np.ones(size, bool)
    for x0, y0, x1, y1 in boxes:
        clear[max(0, y0 - art.GAP) : y1 + art.GAP, max(0, x0 - art.GAP) : x1 + art.GAP] = False
    for _ in range(art.whole(numbers, 5, 12)):
        patch, paint = art.mark(numbers, *size, scale=0.4), art.colour(numbers, *before)
        if clear[patch.rows, patch.columns][patch.alpha > 0].all():
            art.lay(image, patch, paint)
    for patch in patches:
        art.lay(image, patch, art.colour(numbers, *before))
    return image
