"""Anchors, and which boxes a net learns from: they are matched to the truth, and a few are drawn.

Source: Ren, He, Girshick and Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", NIPS 2015,
arXiv 1506.01497: section 3.1.1 (anchors), section 3.1.2 (which are positive), section 3.1.3 (how many are drawn).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gipi.ops.boxes import coverage, iou
from gipi.ops.random import uniforms

RATIOS = (0.5, 1.0, 2.0)  # of height to width
COVERED = 0.5  # share of a box from which on an ignored one hides what it shows


def anchor_boxes(
    image: tuple[int, int], grid: tuple[int, int], sides: Sequence[int], like: Float[Tensor, "*any"]
) -> Float[Tensor, "a 4"]:
    """All anchors of a map: of each place, row by row, of each ratio those of all sides (square roots of their areas).

    image, grid: height and width of the image and of the map.  like: gives the device.
    As in torchvision, whose weights are used to it, edges are rounded around their centre, a place lies at whole multiples of
    image // grid, and the first in the corner of the image.
    """
    side = torch.tensor(sides, dtype=torch.float32, device=like.device)
    tall = torch.tensor(RATIOS, device=like.device).sqrt()
    height, width = (tall[:, None] * side).flatten(), ((1 / tall)[:, None] * side).flatten()
    around = (torch.stack([-width, -height, width, height], 1) / 2).round()
    y, x = (torch.arange(places, device=like.device) * (pixels // places) for pixels, places in zip(image, grid, strict=True))
    y, x = torch.meshgrid(y, x, indexing="ij")
    return (torch.stack([x, y, x, y], 2).reshape(-1, 1, 4) + around).reshape(-1, 4)


def match(
    boxes: Float[Tensor, "a 4"],
    truth: Float[Tensor, "m 4"],
    ignored: Float[Tensor, "k 4"],
    *,
    high: float,
    low: float,
    best: bool = False,
) -> tuple[Int64[Tensor, " a"], Int64[Tensor, " a"]]:
    """(index of the true box that each box overlaps most, its state: 1 positive, 0 negative, -1 neither).

    Positive are boxes with an IoU of `high` or more, and if `best` those that overlap a true box as much as any does; negative
    are those below `low`. What an ignored box covers by half or more is neither.
    """
    index = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    state = torch.zeros_like(index)
    if len(truth):
        overlaps = iou(boxes, truth)
        most, index = overlaps.max(1)
        state = (most >= high).long() - ((most >= low) & (most < high)).long()
        if best:
            top = overlaps.amax(0)
            state[((overlaps == top) & (top > 0)).any(1)] = 1
    if len(ignored):
        state[(coverage(boxes, ignored) >= COVERED).any(1)] = -1
    return index, state


def draw(
    state: Int64[Tensor, " a"], count: int, share: float, seed: int, epoch: int, number: Int64[Tensor, ""]
) -> Bool[Tensor, " a"]:
    """Which of the boxes of image `number` are drawn: positive ones, that share of `count` at most, then negative ones."""
    keys = uniforms(seed, epoch, number.view(1), len(state))[0]
    chosen = torch.zeros_like(state, dtype=torch.bool)
    for kind, most in ((1, int(count * share)), (0, count)):
        of = (state == kind).nonzero()[:, 0]
        room = min(most, count - int(chosen.sum()), len(of))
        chosen[of[keys[of].topk(room, largest=False, sorted=False).indices]] = True
    return chosen
