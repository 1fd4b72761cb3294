"""Framing the handwritten digit of any picture the way that MNIST was made, so that a net trained on MNIST can read it.

Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998, section III.A: white on
black, scaled with anti-aliasing to fit 20x20, then moved by whole pixels until the centre of mass is that of a 28x28 field.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int32, UInt8
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

from gipi.errors import DataError

FIELD, BOX = 28, 20
LARGEST = 2000  # pixels of the longest side beyond which a picture is reduced
WORK = 320  # pixels of the longest side at which a digit is looked for
COARSE = 41  # the same where only the colours of ink and paper are looked for
WIDEST = 0.6  # what is wider than this part of the picture, both ways, is background
FAINTEST = 12  # grey levels of 255 by which ink must stand out

Plane = Float32[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]


def frame_digit(image: Image.Image) -> UInt8[Tensor, "1 28 28"]:
    """The one handwritten digit of a scan, a photograph or a drawing, in ink of any colour on plain paper of another.

    Uneven light, noise, specks and the edges of the page are left out. A picture framed like MNIST comes back as it is.
    Raises DataError where nothing stands out from the background.
    """
    if image.size == (FIELD, FIELD):
        grey = np.array(image.convert("L"))
        if _is_framed(grey):
            return torch.from_numpy(grey)[None]
    image = _with_margin(image.convert("RGB").reduce(math.ceil(max(image.size) / LARGEST)))
    _, digit = _find(image)
    zoom = max(image.size) / WORK
    top, bottom, left, right = _bounds(digit)
    margin = 0.35 * max(bottom - top, right - left) + 2
    low = int(max(0, (left - margin) * zoom)), int(max(0, (top - margin) * zoom))
    high = (
        min(image.width, math.ceil((right + margin) * zoom)),
        min(image.height, math.ceil((bottom + margin) * zoom)),
    )
    return torch.from_numpy(_framed(*_find(image.crop(low + high))))[None]  # found again, in the close-up


def _is_framed(grey: UInt8[np.ndarray, "28 28"]) -> bool:
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if not grey.any() or 2 * np.count_nonzero(border) >= border.size:
        return False
    top, bottom, left, right = _bounds(grey > 0)
    return max(bottom - top, right - left) == BOX and all(abs(place - FIELD / 2) <= 0.5 for place in _centre(grey))


def _with_margin(image: Image.Image) -> Image.Image:
    """A picture whose border is plain paper gets more of it: a digit that fills its picture shows too little of its own."""
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int64)
    paper = np.median(border, 0)
    if np.median(np.abs(border - paper), 0).max() > FAINTEST / 6:
        return image  # a photograph: its noise must stay to be measured
    red, green, blue = (int(level) for level in paper)
    return ImageOps.expand(image, max(image.size) // 2, (red, green, blue))


def _find(image: Image.Image) -> tuple[Plane, Mask]:
    """(how much each pixel stands out as ink, which pixels are the digit), the longest side scaled to `WORK`."""
    zoom = WORK / max(image.size)
    small = image.resize(
        (max(1, round(image.width * zoom)), max(1, round(image.height * zoom))),
        Image.Resampling.BILINEAR,
        reducing_gap=2,
    )
    ink = np.asarray(small, np.float32) @ _ink_colour(small)
    ink -= _opening(ink, round(WIDEST * WORK))
    ink -= np.median(ink)
    return ink, _digit(ink)


def _ink_colour(small: Image.Image) -> Float32[np.ndarray, 3]:
    """The direction in RGB from paper to ink: that of the most lopsided departures from a local median.

    A narrow median shows thin strokes on uneven light, a wide one shows thick strokes. What touches the border counts less.
    """
    size = max(1, small.width * COARSE // WORK), max(1, small.height * COARSE // WORK)
    coarse = np.asarray(small.resize(size, Image.Resampling.BOX))
    y, x = np.ogrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    weight = ((1 - 0.99 * y * y) * (1 - 0.99 * x * x))[..., None]
    most, colour, grey = 0.0, np.zeros(3), (coarse == coarse[..., :1]).all()
    for reach in (COARSE // 8, COARSE // 3):
        padded = Image.fromarray(np.pad(coarse, ((reach, reach), (reach, reach), (0, 0)), mode="edge"))
        padded = padded.convert("L") if grey else padded  # three equal planes are filtered once
        paper = np.asarray(padded.filter(ImageFilter.MedianFilter(2 * reach + 1)).convert("RGB"))[reach:-reach, reach:-reach]
        departure = ((coarse.astype(np.float64) - paper) * weight).reshape(-1, 3)
        axis = np.linalg.eigh(departure.T @ departure)[1][:, -1]
        along = departure @ axis
        skewness = (along**3).mean() / ((along**2).mean() + 1) ** 1.5
        if abs(skewness) > most:
            most, colour = abs(skewness), axis * np.sign(skewness)
    return colour.astype(np.float32)


def _opening(plane: Plane, width: int) -> Plane:
    """The greyscale opening by a square: what is left of `plane` without its bright parts narrower than `width`.

    The picture goes on beyond its border as it ends there, so that a strip of desk beside the page counts as wide.
    """
    opened = np.pad(plane, width - 1, mode="edge")
    for extreme in (np.minimum, np.maximum):
        for _ in range(2):  # along the columns, then, turned over, along the rows
            span = 1
            while span < width:  # a window of `span` and one a `step` further make one of `span + step`
                step = min(span, width - span)
                opened = extreme(opened[:-step], opened[step:])
                span += step
            opened = opened.T
    return opened


def _digit(ink: Plane) -> Mask:
    noise = 4 * 1.4826 * float(np.median(np.abs(ink)))
    least = noise + FAINTEST
    if ink.max() <= least:
        raise DataError(
            f"no digit found: nothing stands out from the background (by {ink.max():.0f} of 255 levels, needed are "
            f"{least:.0f}); show one digit, dark on light or light on dark"
        )
    mask = ink > max(_otsu(ink.clip(noise)), noise)
    part = _components(mask)
    count = int(part.max()) + 1
    mass = np.bincount(part.ravel(), (ink * mask).ravel(), count)
    border = np.bincount(np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]]), minlength=count) > 0
    inner = np.where(border, 0, mass)
    best = (inner if inner.max() > 0.15 * mass.max() else mass).argmax()
    top, bottom, left, right = _bounds(part == best)
    reach = int(0.25 * max(bottom - top, right - left)) + 1
    around = part[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach]
    near = np.bincount(around.ravel(), minlength=count) > 0
    kept = near & ~border & (mass > 0.05 * mass[best])  # the bar of a five may stand apart; a speck is no part
    kept[best] = True
    return kept[part] & mask


def _otsu(values: Plane) -> float:
    """The threshold that leaves the least variance within the two classes (Otsu, IEEE Trans. SMC 1979)."""
    counts, edges = np.histogram(values, 256)
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    total = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    between = below * above * (total[:-1] / below - (total[-1] - total[:-1]) / above) ** 2
    return float(edges[1 + between.argmax()])


def _components(mask: Mask) -> Int32[np.ndarray, "h w"]:
    """One number from 1 on for all pixels that touch, sides and corners; 0 off the mask."""
    from scipy.ndimage import label  # slow to import

    return label(mask, np.ones((3, 3)))[0]  # pyright: ignore[reportReturnType, reportIndexIssue]


def _framed(ink: Plane, digit: Mask) -> UInt8[np.ndarray, "28 28"]:
    top, bottom, left, right = _bounds(digit)
    fringe = F.max_pool2d(torch.from_numpy(digit)[None].float(), 7, stride=1, padding=3)[0].numpy()
    drawn = Image.fromarray((ink * fringe).clip(0)[top:bottom, left:right])
    zoom = BOX / max(drawn.size)
    size = max(1, round(drawn.width * zoom)), max(1, round(drawn.height * zoom))
    glyph = torch.from_numpy(np.array(drawn.resize(size, Image.Resampling.BILINEAR)))[None]
    # A stroke that lies in shadow, or is thinner than a pixel, is as white as any other: its own neighbourhood is the measure.
    peak = F.max_pool2d(glyph, 7, stride=1, padding=3).clamp(min=0.3 * float(glyph.max()))
    levels = (255 * glyph / peak)[0].round().numpy().astype(np.uint8)
    y, x = (round(FIELD / 2 - place) for place in _centre(levels))
    y, x = min(max(0, y), FIELD - size[1]), min(max(0, x), FIELD - size[0])
    field = np.zeros((FIELD, FIELD), np.uint8)
    field[y : y + size[1], x : x + size[0]] = levels
    return field


def _bounds(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of what is set; bottom and right lie one beyond."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _centre(levels: UInt8[np.ndarray, "h w"]) -> tuple[float, float]:
    """(row, column) of the centre of mass, in pixel indices, as MNIST counts."""
    rows, columns = (levels.sum(axis, dtype=np.int64) for axis in (1, 0))
    return float(rows @ np.arange(rows.size) / rows.sum()), float(columns @ np.arange(columns.size) / columns.sum())
