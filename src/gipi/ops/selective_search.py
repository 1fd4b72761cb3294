"""Selective search: boxes in which a thing of any kind may be, from what belongs together in an image.

Source: Uijlings, van de Sande, Gevers and Smeulders, "Selective Search for Object Recognition", IJCV 2013: section 3.1 and
algorithm 1 (grouping), section 3.2 (colour spaces, the four similarities, several k), section 3.3 (order). The first regions are
those of `graph_segments`. The two neighbours most alike are joined, again and again, until one region is left; the box of every
region on the way is a candidate. All of it is done for several colour spaces, k and sets of similarities.

Deviations: two colour spaces as in the paper's "fast" mode, with three k, which are smaller for the smaller image that is
searched; slopes for the texture are those of a Gaussian in eight directions, of which the paper takes the positive parts, too.
The random numbers that mix the order are the same for all images, so that an image always gives the same boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from gipi.ops.graph_segments import segments
from gipi.ops.random import uniforms

LONG = 300  # pixels of the longer side of the image that is searched
ENLARGED = 1.5  # times, at most, so that a small image is not searched for long
KS = (30.0, 60.0, 120.0)  # of the first regions, for colours of 0 to 255
LEAST = 20  # pixels of a first region
STRATEGIES = (("colour", "texture", "size", "fill"), ("texture", "size", "fill"))
COLOURS, SLOPES, DIRECTIONS = 25, 10, 8  # bins of a channel's histogram of colours, of its slopes in each direction


@dataclass(frozen=True)
class Regions:
    """sizes: pixels.  boxes: x0, y0, x1, y1, of which x1 and y1 are edges.  colour, texture: histograms that each add up to 1.

    near: which regions touch which others.
    """

    sizes: Int64[np.ndarray, " r"]
    boxes: Int64[np.ndarray, "r 4"]
    colour: Float32[np.ndarray, "r c"]
    texture: Float32[np.ndarray, "r t"]
    near: Bool[np.ndarray, "s s"]


def selective_search(pixels: UInt8[Tensor, "3 h w"], most: int = 2000) -> Float[Tensor, "r 4"]:
    """Boxes x0, y0, x1, y1 in pixels of the image, at most so many, without repeats, the likelier ones first."""
    small = fitted(pixels)
    boxes, places = [], []
    for labels, colour, texture in first_segments(small):
        first = describe(labels, colour, texture)
        for strategy in STRATEGIES:
            boxes.append(group(first, strategy))
            places.append(np.arange(len(boxes[-1]), 0, -1))  # 1 is the whole image
    place = torch.from_numpy(np.concatenate(places))
    order = (place * uniforms(0, 0, torch.arange(len(place)), 1)[:, 0]).argsort(stable=True)
    found = [*dict.fromkeys(map(tuple, np.concatenate(boxes)[order.numpy()].tolist()))][:most]
    ratio = torch.tensor([pixels.shape[2] / small.shape[1], pixels.shape[1] / small.shape[0]])
    return torch.tensor(found, dtype=torch.float32) * ratio.repeat(2)


def first_segments(
    image: UInt8[np.ndarray, "h w 3"],
) -> list[tuple[Int64[np.ndarray, "h w"], Int64[np.ndarray, "h w 3"], Int64[np.ndarray, "h w t"]]]:
    """For each colour space and k: the number of every pixel's first region, and its bins of colour and of texture."""
    found = []
    for space in (hsv(image), lab(image)):
        bins = (space * (COLOURS / 256)).clip(0, COLOURS - 1).astype(np.int64), slope_bins(space)
        found += [(labels, *bins) for labels in segments(space, KS, LEAST)]
    return found


def fitted(pixels: UInt8[Tensor, "3 h w"]) -> UInt8[np.ndarray, "i j 3"]:
    """The image with a longer side of LONG pixels, or ENLARGED."""
    image = Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
    scale = min(LONG / max(image.size), ENLARGED)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def hsv(image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Hue, saturation, value, each 0 to 255."""
    return np.asarray(Image.fromarray(image).convert("HSV")).astype(np.float32)


def lab(image: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """CIE L*a*b* of sRGB under D65: L from 0 to 255, a and b plus 128."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)[image]
    to_xyz = np.array(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], np.float32
    )
    share = linear @ (to_xyz / to_xyz.sum(1, keepdims=True)).T  # of white
    x, y, z = np.moveaxis(np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116), 2, 0)
    return np.stack([2.55 * (116 * y - 16), 500 * (x - y) + 128, 200 * (y - z) + 128], 2)


def slope_bins(image: Float32[np.ndarray, "h w 3"]) -> Int64[np.ndarray, "h w t"]:
    """The bin of each channel's slope in each direction; what falls has none, and is in the first."""
    down, right = (gaussian_filter(image, (1, 1, 0), order=order) for order in ((1, 0, 0), (0, 1, 0)))  # pyright: ignore[reportArgumentType]
    bins = []
    for angle in 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        slope = np.float32(np.cos(angle)) * right + np.float32(np.sin(angle)) * down
        steepest = np.maximum(slope.max((0, 1)), 1e-6)
        bins.append((slope * (SLOPES / steepest)).clip(0, SLOPES - 1).astype(np.int64))
    return np.concatenate(bins, 2)


def describe(
    labels: Int64[np.ndarray, "h w"], colour: Int64[np.ndarray, "h w 3"], texture: Int64[np.ndarray, "h w t"]
) -> Regions:
    """What is known of the regions of which `labels` has the numbers."""
    sizes = np.bincount(labels.ravel())
    order = labels.ravel().argsort(kind="stable")
    starts = np.append(0, sizes.cumsum()[:-1])
    row, column = (index.ravel()[order] for index in np.indices(labels.shape))
    low = (np.minimum.reduceat(index, starts) for index in (column, row))
    high = (np.maximum.reduceat(index, starts) + 1 for index in (column, row))
    near = np.zeros((len(sizes), len(sizes)), bool)
    for one, other in (
        (labels[:, 1:], labels[:, :-1]),
        (labels[1:], labels[:-1]),
        (labels[1:, 1:], labels[:-1, :-1]),
        (labels[1:, :-1], labels[:-1, 1:]),
    ):
        near[one, other] = near[other, one] = True
    np.fill_diagonal(near, False)
    return Regions(
        sizes, np.stack([*low, *high], 1), _histograms(labels, colour, COLOURS), _histograms(labels, texture, SLOPES), near
    )


def _histograms(labels: Int64[np.ndarray, "h w"], bins: Int64[np.ndarray, "h w c"], count: int) -> Float32[np.ndarray, "r d"]:
    """Of each region the share of pixels and channels in each of `count` bins a channel."""
    regions, first = int(labels.max()) + 1, labels.ravel() * count
    counts = [np.bincount(first + channel.ravel(), minlength=regions * count) for channel in np.moveaxis(bins, 2, 0)]
    histogram = np.stack([each.reshape(regions, count) for each in counts], 1).reshape(regions, -1)
    return (histogram / histogram.sum(1, keepdims=True)).astype(np.float32)


def group(first: Regions, strategy: tuple[str, ...]) -> Int64[np.ndarray, "n 4"]:
    """The boxes of the first regions, then of each made of two others, the whole image last; by these similarities."""
    count, area = len(first.sizes), int(first.sizes.sum())
    sizes, boxes, colour, texture = (
        np.concatenate([part, np.zeros((count - 1, *part.shape[1:]), part.dtype)])
        for part in (first.sizes, first.boxes, first.colour, first.texture)
    )
    regions = Regions(sizes, boxes, colour, texture, first.near)
    near = {one: set(np.flatnonzero(row).tolist()) for one, row in enumerate(first.near)}  # of the regions that are left
    queue: list[tuple[float, int, int]] = []
    for one, others in near.items():
        later = sorted(other for other in others if other > one)
        queue += [(-alike, one, other) for alike, other in zip(likeness(regions, one, later, area, strategy), later, strict=True)]
    heapify(queue)
    new = count
    while queue:
        _, one, other = heappop(queue)
        if one not in near or other not in near:
            continue
        sizes[new] = sizes[one] + sizes[other]
        boxes[new, :2] = np.minimum(boxes[one, :2], boxes[other, :2])
        boxes[new, 2:] = np.maximum(boxes[one, 2:], boxes[other, 2:])
        for histogram in (colour, texture):
            histogram[new] = (sizes[one] * histogram[one] + sizes[other] * histogram[other]) / sizes[new]
        around = sorted((near.pop(one) | near.pop(other)) - {one, other})
        for neighbour in around:
            near[neighbour] = near[neighbour] - {one, other} | {new}
        near[new] = set(around)
        for alike, neighbour in zip(likeness(regions, new, around, area, strategy), around, strict=True):
            heappush(queue, (-alike, neighbour, new))
        new += 1
    return boxes[:new]


def likeness(regions: Regions, one: int, others: list[int], area: int, strategy: tuple[str, ...]) -> list[float]:
    """How alike a region is to others: the sum of the similarities of the strategy, each 0 to 1 (section 3.2).

    colour, texture: what their histograms have in common.  size: 1 less the share of the image, of `area` pixels, that both have.
    fill: 1 less the share of it that the box around both has beside them.
    """
    total = np.zeros(len(others))
    if "colour" in strategy:
        total += np.minimum(regions.colour[one], regions.colour[others]).sum(1)
    if "texture" in strategy:
        total += np.minimum(regions.texture[one], regions.texture[others]).sum(1)
    both = regions.sizes[one] + regions.sizes[others]
    if "size" in strategy:
        total += 1 - both / area
    if "fill" in strategy:
        box, boxes = regions.boxes[one], regions.boxes[others]
        sides = np.maximum(box[2:], boxes[:, 2:]) - np.minimum(box[:2], boxes[:, :2])
        total += 1 - (sides.prod(1) - both) / area
    return total.tolist()
