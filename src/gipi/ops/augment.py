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
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from gipi.config import AugmentConfig
from gipi.errors import ConfigError
from gipi.ops.image import centre_crop
from gipi.ops.random import uniforms
from gipi.ops.segmentation import VOID
from gipi.ops.warp import KNOTS, Grid, Images, bend, moves, sample, sample_masks

ERASED = 0.02, 0.33  # share of the area
ASPECT = 0.3, 1 / 0.3  # of an erased rectangle
LUMA = 0.299, 0.587, 0.114  # of red, green and blue in grey: ITU-R BT.601

# Columns of the random numbers of a sample. A new one goes to the end, so that older recipes keep theirs.
ANGLE, RIGHT, DOWN, ZOOM, SLANT, CUT, CUT_X, CUT_Y, MIRROR, LIGHT, CONTRAST = range(11)
ERASE, ERASE_AREA, ERASE_ASPECT, ERASE_X, ERASE_Y, ERASE_GREY, BLEND, BLEND_X, BLEND_Y = range(11, 20)
GRID = 20  # the first of 2 * KNOTS**2
SATURATION = GRID + 2 * KNOTS * KNOTS


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
    return changed(images, change, seed, epoch, index, size)[0]


def changed(
    images: Images, change: AugmentConfig, seed: int, epoch: int, index: Int64[Tensor, " n"], size: tuple[int, int]
) -> tuple[Float[Tensor, "n c i j"], Grid | None, Bool[Tensor, "n 1 i j"] | None]:
    """(images as `augment` gives them, where each of their pixels comes from, whether it is erased).

    None: nothing moves, nothing is erased. For whatever has to make the move of its image.
    """
    draw = uniforms(seed, epoch, index, SATURATION + 1 if change.elastic_px or change.saturation else GRID)
    grid = _grid((images.shape[2], images.shape[3]), change, draw, size)
    images = _relight(images if grid is None else sample(images, grid), change, draw)
    if not change.erase:
        return images, grid, None
    erased = _erased(images, change, draw)
    return torch.where(erased, (draw[:, ERASE_GREY] * 255).view(-1, 1, 1, 1), images), grid, erased


def augment_masks(
    images: Float[Tensor, "n 3 h w"],
    labels: UInt8[Tensor, "n h w"],
    change: AugmentConfig,
    seed: int,
    epoch: int,
    index: Int64[Tensor, " n"],
) -> tuple[Float[Tensor, "n 3 h w"], UInt8[Tensor, "n h w"]]:
    """(images as `augment` gives them, their masks moved alike): each pixel of a mask takes the class of the nearest one.

    Labels are VOID where a pixel comes from outside the image, or is erased; light changes leave them alone.
    """
    if change == AugmentConfig():
        return images, labels
    images, grid, erased = changed(images, change, seed, epoch, index, (images.shape[2], images.shape[3]))
    labels = labels if grid is None else sample_masks(labels, grid)
    return images, labels if erased is None else labels.masked_fill(erased.squeeze(1), VOID)


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


def _grid(source: tuple[int, int], change: AugmentConfig, draw: Float[Tensor, "n d"], size: tuple[int, int]) -> Grid | None:
    """Where each pixel of the result comes from; None: nothing moves."""
    bends = (change.rotate_deg, change.scale, change.shear_deg, change.crop, change.elastic_px)
    whole, seen = (draw.new_tensor([width, height]) for height, width in (source, size))  # (across, down)
    if not any((*bends, change.shift_px, change.flip)) and source == size:
        return None
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
    return moves(
        source,
        size,
        angle_deg=either[:, ANGLE] * change.rotate_deg,
        shear_deg=either[:, SLANT] * change.shear_deg,
        scale=enlarged[:, 0],
        shift_px=shift + away * enlarged,
        mirror=draw[:, MIRROR] < change.flip,
        bend_px=bend(draw[:, GRID:SATURATION], *size) * change.elastic_px if change.elastic_px else None,
    )


def _relight(images: Images, change: AugmentConfig, draw: Float[Tensor, "n d"]) -> Images:
    """Saturation about each pixel's grey, contrast about the image's own mean, then brightness as a factor; within 0 and 255."""
    if not (change.saturation or change.brightness or change.contrast):
        return images
    if change.saturation:
        if images.shape[1] != 3:
            got = f"got {images.shape[1]}: set it to 0"
            raise ConfigError(f"data.augment.saturation {change.saturation} needs colour images, of 3 channels, {got}")
        grey = (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        images = grey + (images - grey) * _factor(change.saturation, draw[:, SATURATION])
    mean = images.mean((1, 2, 3), keepdim=True)
    spread = mean + (images - mean) * _factor(change.contrast, draw[:, CONTRAST])
    return (spread * _factor(change.brightness, draw[:, LIGHT])).clamp(0, 255)


def _factor(most: float, draw: Float[Tensor, " n"]) -> Float[Tensor, "n 1 1 1"]:
    return 1 + (draw * 2 - 1).view(-1, 1, 1, 1) * most


def _erased(images: Images, change: AugmentConfig, draw: Float[Tensor, "n d"]) -> Bool[Tensor, "n 1 h w"]:
    """Whether each pixel is in the rectangle of an image that is chosen."""
    area = ERASED[0] + draw[:, ERASE_AREA] * (ERASED[1] - ERASED[0])
    low, high = math.log(ASPECT[0]), math.log(ASPECT[1])
    aspect = (low + draw[:, ERASE_ASPECT] * (high - low)).exp()
    tall, wide = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    box = _inside(images, wide / 2 + draw[:, ERASE_X] * (1 - wide), tall / 2 + draw[:, ERASE_Y] * (1 - tall), wide, tall)
    return box & (draw[:, ERASE] < change.erase).view(-1, 1, 1, 1)


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
