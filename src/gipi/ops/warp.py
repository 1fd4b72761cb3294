"""Moves of the pixels of image batches: where each pixel of the result comes from, and what is found there."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from gipi.ops.segmentation import VOID

CELLS = 4  # of the elastic grid, each way
KNOTS = CELLS + 3
Images = Float[Tensor, "n c h w"]
Grid = Float[Tensor, "n i j 2"]  # as grid_sample has it: -1 and 1 are the outer edges of the source


def moves(
    source: tuple[int, int],
    size: tuple[int, int],
    *,
    angle_deg: Float[Tensor, " n"],
    shear_deg: Float[Tensor, " n"],
    scale: Float[Tensor, " n"],
    shift_px: Float[Tensor, "n 2"],
    mirror: Bool[Tensor, " n"],
    bend_px: Float[Tensor, "n i j 2"] | None = None,
) -> Grid:
    """Each image mirrored, slanted, enlarged by `scale` and turned counter-clockwise about its centre, then moved.

    source, size: height and width of the images and of the result; the centres of both lie upon each other.
    shear_deg: the angle by which upright lines lean to the left.  shift_px: (right, down).  bend_px: how much further (right,
    down) each pixel of the result looks in the source.
    """
    (height, width), (tall, wide) = source, size
    angle = angle_deg * (math.pi / 180)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    slant, sign = (shear_deg * (math.pi / 180)).tan(), 1 - 2 * mirror.float()
    # From a pixel of the result (x right, y down, from the centre) to its source: undo the shift, turn, scale, slant, mirror.
    across = torch.stack([sign * (cos - slant * sin), -sign * (sin + slant * cos)], 1)
    back = torch.stack([across, torch.stack([sin, cos], 1)], 1)
    start = -(back @ shift_px.unsqueeze(2))
    half = back.new_tensor([width / 2, height / 2])  # affine_grid counts in half widths and half heights
    theta = torch.cat([back * back.new_tensor([wide / 2, tall / 2]) / half.unsqueeze(1), start / half.unsqueeze(1)], 2)
    grid = F.affine_grid(theta, [len(theta), 1, tall, wide], align_corners=False)
    return grid if bend_px is None else grid + bend_px / half


def sample(images: Images, grid: Grid) -> Float[Tensor, "n c i j"]:
    """The images where the grid looks, bilinear, zero outside. The memory format stays that of `images`."""
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return moved.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def sample_masks(masks: UInt8[Tensor, "n h w"], grid: Grid) -> UInt8[Tensor, "n i j"]:
    """The class of the pixel nearest to where the grid looks, VOID outside."""
    from_void = (VOID - masks).float().unsqueeze(1)  # so that the zeros from outside are void
    nearest = F.grid_sample(from_void, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return VOID - nearest.squeeze(1).to(torch.uint8)


def move_boxes(boxes: Float[Tensor, "n m 4"], grid: Grid, source: tuple[int, int]) -> Float[Tensor, "n m 4"]:
    """Boxes in images of `source` height and width where `sample` puts what they hold: (x0, y0, x1, y1) in pixels of the result.

    The boxes of their four moved corners, so of a turned one larger than what it holds; not clipped.
    grid: without a bend, so that three of its points, of at least 2 x 2, say where every pixel comes from.
    """
    height, width = source
    places = (grid[:, [0, 0, -1], [0, -1, 0]] + 1) / 2 * grid.new_tensor([width, height])  # of the pixels in three corners
    first = places[:, :1]
    right, down = (places[:, 1:2] - first) / (grid.shape[2] - 1), (places[:, 2:] - first) / (grid.shape[1] - 1)
    way = boxes[..., [0, 1, 2, 1, 0, 3, 2, 3]].unflatten(2, (4, 2)).flatten(1, 2) - first
    x, y = _cross(way, down) / _cross(right, down) + 0.5, _cross(right, way) / _cross(right, down) + 0.5
    low, high = torch.stack([x, y], 2).unflatten(1, (-1, 4)).aminmax(dim=2)
    return torch.cat([low, high], 2)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def bend(draw: Float[Tensor, "n d"], height: int, width: int) -> Float[Tensor, "n h w 2"]:
    """Smooth fields of displacement, each within -1 and 1."""
    knots = (draw * 2 - 1).view(len(draw), 2, KNOTS, KNOTS)
    rows, columns = (spline(length).to(draw) for length in (height, width))
    return (rows @ knots @ columns.T).permute(0, 2, 3, 1)


@cache
def spline(length: int) -> Float[Tensor, "l k"]:
    """Weights of the KNOTS of a uniform cubic B-spline at the centre of each of `length` pixels; each row sums to 1."""
    place = (torch.arange(length) + 0.5) * CELLS / length
    cell = place.floor().clamp(max=CELLS - 1).long()
    t = place - cell
    weights = torch.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (t + t**2 - t**3) + 1, t**3], 1) / 6
    return torch.zeros(length, KNOTS).scatter_(1, cell.unsqueeze(1) + torch.arange(4), weights)
