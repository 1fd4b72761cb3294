"""Augmentation of image batches on their device: every random number has an address (seed, epoch, index of the sample).

One image's change does not depend on its batch, except that mixup and cutmix take the next image of the batch as partner.
All moves of pixels (turn, slant, zoom, crop, mirror, shift, bend) are one resampling: they cost and blur once.

Sources: elastic deformation after Simard, Steinkraus and Platt, ICDAR 2003 (theirs smooths noise at every pixel; ours is a cubic
B-spline over a coarse grid of random displacements); random erasing, Zhong et al., arXiv 1708.04896 (theirs fills with noise,
ours with one random grey); mixup, Zhang et al., arXiv 1710.09412, and CutMix, Yun et al., arXiv 1905.04899 (theirs draw one
weight for a batch, ours one for each image).
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gipi.config import AugmentConfig
from gipi.ops.image import centre_crop
from gipi.ops.random import uniforms

CELLS = 4  # of the elastic grid, each way
KNOTS = CELLS + 3
ERASED = 0.02, 0.33  # share of the area
ASPECT = 0.3, 1 / 0.3  # of an erased rectangle
Images = Float[Tensor, "n c h w"]

# Columns of the random numbers of a sample. A new one goes to the end, before the grid's, so that older recipes keep theirs.
ANGLE, RIGHT, DOWN, ZOOM, SLANT, CUT, CUT_X, CUT_Y, MIRROR, LIGHT, CONTRAST = range(11)
ERASE, ERASE_AREA, ERASE_ASPECT, ERASE_X, ERASE_Y, ERASE_GREY, BLEND, BLEND_X, BLEND_Y = range(11, 20)
GRID = 20


def augment(
    images: Images, change: AugmentConfig, seed: int, epoch: int, index: Int64[Tensor, " n"], size: tuple[int, int] | None = None
) -> Float[Tensor, "n c i j"]:
    """Images of 0 to 255 as training sees them, but for mixing: each one's change is a function of (seed, epoch, its index).

    size: height and width of the result, the image's own if None. Of a larger image a part is seen: anywhere in it, or its middle
    if nothing is to change.
    """
    size = size or (images.shape[2], images.shape[3])
    if change == AugmentConfig():
        return images if tuple(images.shape[-2:]) == size else centre_crop(images, size)
    draw = uniforms(seed, epoch, index, GRID + (2 * KNOTS * KNOTS if change.elastic_px else 0))
    images = _move(images, change, draw, size)
    if change.brightness or change.contrast:
        images = _relight(images, change, draw)
    return _erase(images, change, draw) if change.erase else images


def mix(
    images: Images, change: AugmentConfig, seed: int, epoch: int, index: Int64[Tensor, " n"]
) -> tuple[Images, Float[Tensor, " n"]]:
    """(images mixed with the next of the batch, the last with the first; share of the own label): mixup or cutmix."""
    draw = uniforms(seed, epoch, index, GRID)
    own = beta_quantile(change.mixup or change.cutmix, draw[:, BLEND])
    other = images.roll(-1, 0)
    if change.mixup:
        return torch.lerp(other, images, own.view(-1, 1, 1, 1)), own
    side = (1 - own).sqrt()
    box = _inside(images, draw[:, BLEND_X], draw[:, BLEND_Y], side, side)
    return torch.where(box, other, images), 1 - box.float().mean((1, 2, 3))


def _move(images: Images, change: AugmentConfig, draw: Float[Tensor, "n d"], size: tuple[int, int]) -> Float[Tensor, "n c i j"]:
    bends = (change.rotate_deg, change.scale, change.shear_deg, change.crop, change.elastic_px)
    whole, seen = (draw.new_tensor([width, height]) for height, width in (images.shape[-2:], size))  # (across, down)
    if not any((*bends, change.shift_px, change.flip)) and tuple(images.shape[-2:]) == size:
        return images
    either = draw * 2 - 1
    zoom = 1 + either[:, ZOOM] * change.scale
    # A window of the image, anywhere in it, becomes the whole result; its size is that of the result unless a crop decides it.
    enlarged = zoom.new_ones(len(zoom), 1)
    if change.crop:
        enlarged = (seen / (whole * (1 - draw[:, CUT : CUT + 1] * change.crop))).amax(1, keepdim=True)
    window = seen / enlarged
    away = either[:, CUT_X : CUT_Y + 1] * (whole - window) / 2  # of its centre from the image's
    shift = either[:, RIGHT : DOWN + 1] * change.shift_px
    if not any(bends):  # whole pixels, so that nothing is blurred
        away = (draw[:, CUT_X : CUT_Y + 1] * (whole - window + 1)).floor() - (whole - window) / 2
        shift = shift.round()
    enlarged = zoom.unsqueeze(1) * enlarged
    return warp(
        images,
        angle_deg=either[:, ANGLE] * change.rotate_deg,
        shear_deg=either[:, SLANT] * change.shear_deg,
        scale=enlarged[:, 0],
        shift_px=shift + away * enlarged,
        mirror=draw[:, MIRROR] < change.flip,
        bend_px=_bend(draw[:, GRID:], *size) * change.elastic_px if change.elastic_px else None,
        size=size,
    )


def warp(
    images: Images,
    *,
    angle_deg: Float[Tensor, " n"],
    shear_deg: Float[Tensor, " n"],
    scale: Float[Tensor, " n"],
    shift_px: Float[Tensor, "n 2"],
    mirror: Bool[Tensor, " n"],
    bend_px: Float[Tensor, "n i j 2"] | None = None,
    size: tuple[int, int] | None = None,
) -> Float[Tensor, "n c i j"]:
    """Each image mirrored, slanted, enlarged by `scale` and turned counter-clockwise about its centre, then moved.

    size: height and width of the result, the image's if None; the centres of both lie upon each other.
    shear_deg: the angle by which upright lines lean to the left.  shift_px: (right, down).  bend_px: how much further (right,
    down) each pixel of the result looks in the source.  One bilinear resampling; zeros come in from outside. The memory format
    stays that of `images`.
    """
    n, _, height, width = images.shape
    tall, wide = size or (height, width)
    angle = angle_deg * (math.pi / 180)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    slant, sign = (shear_deg * (math.pi / 180)).tan(), 1 - 2 * mirror.float()
    # From a pixel of the result (x right, y down, from the centre) to its source: undo the shift, turn, scale, slant, mirror.
    across = torch.stack([sign * (cos - slant * sin), -sign * (sin + slant * cos)], 1)
    back = torch.stack([across, torch.stack([sin, cos], 1)], 1)
    start = -(back @ shift_px.unsqueeze(2))
    half = back.new_tensor([width / 2, height / 2])  # affine_grid counts in half widths and half heights
    theta = torch.cat([back * back.new_tensor([wide / 2, tall / 2]) / half.unsqueeze(1), start / half.unsqueeze(1)], 2)
    grid = F.affine_grid(theta, [n, 1, tall, wide], align_corners=False)
    if bend_px is not None:
        grid = grid + bend_px / half
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return moved.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _bend(draw: Float[Tensor, "n d"], height: int, width: int) -> Float[Tensor, "n h w 2"]:
    """Smooth fields of displacement, each within -1 and 1."""
    knots = (draw * 2 - 1).view(len(draw), 2, KNOTS, KNOTS)
    rows, columns = (_spline(length).to(draw) for length in (height, width))
    return (rows @ knots @ columns.T).permute(0, 2, 3, 1)


@cache
def _spline(length: int) -> Float[Tensor, "l k"]:
    """Weights of the KNOTS of a uniform cubic B-spline at the centre of each of `length` pixels; each row sums to 1."""
    place = (torch.arange(length) + 0.5) * CELLS / length
    cell = place.floor().clamp(max=CELLS - 1).long()
    t = place - cell
    weights = torch.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (t + t**2 - t**3) + 1, t**3], 1) / 6
    return torch.zeros(length, KNOTS).scatter_(1, cell.unsqueeze(1) + torch.arange(4), weights)


def _relight(images: Images, change: AugmentConfig, draw: Float[Tensor, "n d"]) -> Images:
    """Contrast about the image's own mean, then brightness as a factor; within 0 and 255."""
    light, contrast = (1 + (draw[:, column] * 2 - 1).view(-1, 1, 1, 1) * size
                       for column, size in ((LIGHT, change.brightness), (CONTRAST, change.contrast)))  # fmt: skip
    mean = images.mean((1, 2, 3), keepdim=True)
    return ((mean + (images - mean) * contrast) * light).clamp(0, 255)


def _erase(images: Images, change: AugmentConfig, draw: Float[Tensor, "n d"]) -> Images:
    area = ERASED[0] + draw[:, ERASE_AREA] * (ERASED[1] - ERASED[0])
    low, high = math.log(ASPECT[0]), math.log(ASPECT[1])
    aspect = (low + draw[:, ERASE_ASPECT] * (high - low)).exp()
    tall, wide = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    box = _inside(images, wide / 2 + draw[:, ERASE_X] * (1 - wide), tall / 2 + draw[:, ERASE_Y] * (1 - tall), wide, tall)
    chosen = (draw[:, ERASE] < change.erase).view(-1, 1, 1, 1)
    return torch.where(box & chosen, (draw[:, ERASE_GREY] * 255).view(-1, 1, 1, 1), images)


def _inside(images: Images, x: Tensor, y: Tensor, wide: Tensor, tall: Tensor) -> Tensor:
    """Whether each pixel's centre is in the rectangle about (x, y): (n, 1, h, w). All are (n), in shares of the image's sides."""
    height, width = images.shape[-2:]
    across = (torch.arange(width, device=images.device) + 0.5) / width
    down = (torch.arange(height, device=images.device) + 0.5) / height
    columns = (across - x.unsqueeze(1)).abs() < wide.unsqueeze(1) / 2
    rows = (down - y.unsqueeze(1)).abs() < tall.unsqueeze(1) / 2
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


def beta_quantile(alpha: float, share: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The value below which Beta(alpha, alpha) lies with probability `share`: a uniform number becomes one of that distribution.

    Interpolated between 1,025 exact values.
    """
    table = _beta_table(alpha).to(share)
    place = share * (len(table) - 1)
    low = place.long().clamp(max=len(table) - 2)
    return torch.lerp(table[low], table[low + 1], place - low)


@cache
def _beta_table(alpha: float) -> Float[Tensor, " t"]:
    from scipy.special import betaincinv  # slow to import

    return torch.from_numpy(betaincinv(alpha, alpha, torch.linspace(0, 1, 1025, dtype=torch.float64).numpy())).float()
