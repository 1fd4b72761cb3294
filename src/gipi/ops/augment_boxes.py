"""Augmentation of images with boxes: both make the same move."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gipi.config import AugmentConfig
from gipi.errors import ConfigError
from gipi.ops.augment import changed
from gipi.ops.warp import move_boxes

KEPT = 0.3  # share of a box's area that has to be seen for it to remain
UNFIT = ("elastic_px", "mixup", "cutmix")


def fit_for_boxes(change: AugmentConfig) -> None:
    """Raises ConfigError for changes that leave no box around what it held: bends, and images mixed with others."""
    for name in UNFIT:
        if size := getattr(change, name):
            raise ConfigError(f"data.augment.{name} {size} is not for images with boxes, which it leaves wrong: set it to 0")


def augment_boxes(
    images: Float[Tensor, "n 3 h w"],
    boxes: Float[Tensor, "n m 4"],
    labels: Int64[Tensor, "n m"],
    change: AugmentConfig,
    seed: int,
    epoch: int,
    index: Int64[Tensor, " n"],
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n m 4"], Int64[Tensor, "n m"]]:
    """(images as `augment` gives them, their boxes moved alike and clipped, their labels); each box keeps its row.

    labels: -1 where a row is none. It becomes -1, and its box 0, where less than `KEPT` of the moved box is seen: the rest is
    outside or erased. Of a turned or slanted box it is the box of its four corners, which is larger than what it holds.
    Raises ConfigError, see `fit_for_boxes`.
    """
    fit_for_boxes(change)
    if change == AugmentConfig():
        return images, boxes, labels
    height, width = images.shape[2:]
    images, grid, erased = changed(images, change, seed, epoch, index, (height, width))
    moved = boxes if grid is None else move_boxes(boxes, grid, (height, width))
    clipped = moved.clamp(min=0).minimum(moved.new_tensor([width, height, width, height]))
    seen = _area(clipped)
    if erased is not None:
        seen = seen - _area(_common(clipped, _extent(erased.squeeze(1))))
    gone = (labels < 0) | (seen < KEPT * _area(moved))
    return images, clipped.masked_fill(gone.unsqueeze(2), 0), labels.masked_fill(gone, -1)


def _area(boxes: Float[Tensor, "n m 4"]) -> Float[Tensor, "n m"]:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(2)


def _common(boxes: Float[Tensor, "n m 4"], others: Float[Tensor, "n 1 4"]) -> Float[Tensor, "n m 4"]:
    return torch.cat([boxes[..., :2].maximum(others[..., :2]), boxes[..., 2:].minimum(others[..., 2:])], 2)


def _extent(erased: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 1 4"]:
    """The box of the erased rectangle of each image; without area where there is none."""
    sides = [erased.any(1), erased.any(2)]  # across, down
    start = torch.stack([side.int().argmax(1) for side in sides], 1)
    return torch.cat([start, start + torch.stack([side.sum(1) for side in sides], 1)], 1).unsqueeze(1).float()
