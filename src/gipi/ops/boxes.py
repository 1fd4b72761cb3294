"""Boxes: areas, overlaps, offsets from anchors, and non-maximum suppression.

A box is x0, y0, x1, y1 in pixels from the top left corner of its image; x1 and y1 are edges: over pixels 2, 3 and 4 it is 2..5.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gipi.errors import DataError

GROWTH = math.log(1000 / 16)  # most that a box may be larger than its anchor, as a logarithm
BLOCK = 256  # boxes of nms that are compared with the rest at once
Boxes = Float[Tensor, "n 4"]
Weights = tuple[float, float, float, float]
EVEN = (1.0, 1.0, 1.0, 1.0)


def areas(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Square pixels; 0 where an edge lies on, or on the wrong side of, its opposite."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def iou(a: Boxes, b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Intersection over union of each of `a` with each of `b`, 0 to 1; 0 where both are without area."""
    common = _intersection(a, b)
    union = (areas(a).unsqueeze(1) + areas(b).clamp(min=torch.finfo(b.dtype).tiny)).sub_(common)
    return common / union


def coverage(a: Boxes, b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """The share of each of `a` that lies in each of `b`, 0 to 1; 0 for one without area. What counts before a crowd."""
    return _intersection(a, b) / areas(a).clamp(min=torch.finfo(a.dtype).tiny).unsqueeze(1)


def _intersection(a: Boxes, b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    (left, top, right, bottom), others = a.T.contiguous().unsqueeze(2), b.T.contiguous()  # several times as fast as with strides
    wide = torch.minimum(right, others[2]).sub_(torch.maximum(left, others[0])).clamp_(min=0)
    tall = torch.minimum(bottom, others[3]).sub_(torch.maximum(top, others[1])).clamp_(min=0)
    return wide * tall


def clip(boxes: Float[Tensor, "*n 4"], sizes: tuple[int, int] | Int64[Tensor, "k 2"]) -> Float[Tensor, "*n 4"]:
    """Boxes cut off at the edges of their image. sizes: its height and width, or a row of them for each image of (k, m, 4)."""
    if isinstance(sizes, Tensor):
        most = sizes.flip(1).repeat(1, 2).unsqueeze(1).to(boxes)
        return torch.minimum(boxes.clamp(min=0), most)
    height, width = sizes
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def encode(boxes: Float[Tensor, "*n 4"], anchors: Float[Tensor, "*m 4"], weights: Weights = EVEN) -> Float[Tensor, "... 4"]:
    """How to get from anchors to boxes: R-CNN's dx, dy, dw, dh (Girshick et al. 2014, appendix C), each times its weight.

    Shifts of the centre are counted in the anchor's width and height, growths are logarithms. Both must have an area.
    """
    centre, size = _centred(boxes)
    around, extent = _centred(anchors)
    return torch.cat([(centre - around) / extent, (size / extent).log()], -1) * anchors.new_tensor(weights)


def decode(deltas: Float[Tensor, "*n 4"], anchors: Float[Tensor, "*m 4"], weights: Weights = EVEN) -> Float[Tensor, "... 4"]:
    """The boxes that are `deltas` away from anchors, in the anchors' number format; dw and dh are held at most at GROWTH."""
    deltas = deltas.to(anchors) / anchors.new_tensor(weights)
    around, extent = _centred(anchors)
    centre = around + deltas[..., :2] * extent
    half = extent * deltas[..., 2:].clamp(max=GROWTH).exp() / 2
    return torch.cat([centre - half, centre + half], -1)


def _centred(boxes: Float[Tensor, "*n 4"]) -> tuple[Float[Tensor, "*n 2"], Float[Tensor, "*n 2"]]:
    """Centre and size, both (horizontal, vertical)."""
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + size / 2, size


def nms(boxes: Boxes, scores: Float[Tensor, " n"], overlap: float) -> Int64[Tensor, " k"]:
    """Non-maximum suppression: the indices of the boxes that no better kept one overlaps by an IoU of more than `overlap`.

    By falling score; of equal scores the lower index is better. Exact, and in memory for BLOCK rows of IoUs.
    Raises DataError for a corner that is not finite and for a score that is not a number.
    """
    return torch.ops.gipi.suppress(boxes.detach(), scores.detach(), None, overlap)


def nms_by_class(boxes: Boxes, scores: Float[Tensor, " n"], labels: Int64[Tensor, " n"], overlap: float) -> Int64[Tensor, " k"]:
    """As nms, but only a box of the same label suppresses; those that are kept, of all labels together, by falling score.

    labels: of what kind each is, be it a class, an image or a level of a pyramid; any numbers below 2 ** 24.
    """
    return torch.ops.gipi.suppress(boxes.detach(), scores.detach(), labels, overlap)


# An operator of its own is one node of an exported graph, which an export can translate into that of another library.
torch.library.define("gipi::suppress", "(Tensor boxes, Tensor scores, Tensor? labels, float overlap) -> Tensor")


@torch.library.impl("gipi::suppress", "CompositeExplicitAutograd")
def _suppress(
    boxes: Boxes, scores: Float[Tensor, " n"], labels: Int64[Tensor, " n"] | None, overlap: float
) -> Int64[Tensor, " k"]:
    if bool(scores.isnan().any() | ~boxes.isfinite().all()):
        raise DataError(
            f"of {len(boxes):,} boxes a corner or the score is not a finite number, so none is best; did the training diverge?"
        )
    order = scores.sort(descending=True, stable=True).indices
    boxes, kept, rest = boxes[order], [order[:0]], torch.arange(len(order), device=order.device)
    kinds = None if labels is None else labels[order].to(boxes.dtype)  # float, since comparing is fast where the result is float

    def overlaps(a: Int64[Tensor, " k"], b: Int64[Tensor, " m"]) -> Float[Tensor, "k m"]:
        ious = iou(boxes[a], boxes[b])
        return ious if kinds is None else ious.mul_((kinds[a].unsqueeze(1) - kinds[b]).eq_(0))

    while len(rest):
        block, rest = rest[:BLOCK], rest[BLOCK:]
        block = block[_unsuppressed(overlaps(block, block) > overlap)]
        kept.append(block)
        if len(rest):
            rest = rest[overlaps(block, rest).amax(0) <= overlap]
    return order[torch.cat(kept)]


@torch.library.register_fake("gipi::suppress")
def _some(boxes: Boxes, scores: Float[Tensor, " n"], labels: Int64[Tensor, " n"] | None, overlap: float) -> Int64[Tensor, " k"]:
    return scores.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)


def _unsuppressed(over: Bool[Tensor, "n n"]) -> Bool[Tensor, " n"]:
    """Which of some boxes by falling score are kept: those that no kept one before them overlaps.

    At first all are, then the rule is applied until it changes nothing: after k times at least the first k are right.
    """
    before = over.triu(1).float()
    old, keep = torch.zeros_like(before[0]), torch.ones_like(before[0])
    while not torch.equal(keep, old):
        old, keep = keep, (keep @ before).eq(0).float()
    return keep.bool()
