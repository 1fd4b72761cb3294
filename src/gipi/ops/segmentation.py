"""Scores of masks, a class for every pixel: all from one mergeable confusion matrix, but for the boundaries'.

Masks are uint8 (n, h, w): the number of each pixel's class, or VOID where nobody knows it. Void pixels count nowhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from torch import Tensor

from gipi.errors import DataError
from gipi.ops.metrics import Mean, Metrics

VOID = 255  # not labelled: left out of training and of scores
TOLERANCE = 0.0075  # of a boundary's place, as a share of the image's diagonal
Masks = UInt8[Tensor, "n h w"]
Mask = UInt8[Tensor, "h w"]


def pixel_confusion(labels: Masks, answers: Masks, classes: int) -> Int64[Tensor, "k k"]:
    """Counts of pixels: row is the label, column the answer. Those of parts of a data set add up to that of the whole.

    Raises DataError for a label that is neither void nor below `classes`, and for an answer that is not below it.
    """
    pairs = labels.int().mul_(256).add_(answers).flatten()
    counts = torch.bincount(pairs, minlength=256 * 256).view(256, 256)[:VOID]  # no pixel is left out before it is counted
    confusion = counts[:classes, :classes].contiguous()
    if counts.sum() != confusion.sum():
        label, answer = counts.nonzero().amax(0).tolist()
        raise DataError(f"masks hold labels up to {label} and answers up to {answer}, allowed are 0 to {classes - 1}")
    return confusion


def iou(confusion: Int64[Tensor, "k k"]) -> Float64[Tensor, " k"]:
    """Intersection over union of each class, 0 to 1: pixels that are the class and called so, of those that are or are called.

    Not a number for a class that no pixel is or is called.
    """
    right = confusion.diagonal().double()
    return right / (confusion.sum(0) + confusion.sum(1) - right)


def segment_scores(confusion: Int64[Tensor, "k k"]) -> Metrics:
    """Scores of 0 to 1 after Long et al., CVPR 2015, section 5, of a whole data set: their sums over classes cannot be merged.

    mean_iou: over the classes that a pixel is or is called (theirs: over all).  pixel_accuracy: share of the pixels whose class
    is right.  class_accuracy: that share of each class's pixels, over the classes that a pixel is.
    """
    ious, right, pixels = iou(confusion), confusion.diagonal().double(), confusion.sum(1)
    accuracies = right / pixels
    return {
        "mean_iou": Mean(float(ious.nansum()), int((~ious.isnan()).sum())),
        "pixel_accuracy": Mean(float(right.sum()), int(pixels.sum())),
        "class_accuracy": Mean(float(accuracies.nansum()), int((pixels > 0).sum())),
    }


def class_weights(counts: Int64[Tensor, "n k"]) -> Float32[Tensor, " k"]:
    """Weights of the classes in a loss, by median frequency balancing: Eigen and Fergus, ICCV 2015, section 6.3.2, and SegNet.

    counts: labelled pixels of each class in each training image. A class's frequency is its share of the pixels of the images
    that it is in; its weight is the median frequency over its own, and 0 if it has no pixel. Theirs count void pixels among an
    image's, ours do not. Then all are scaled so that the mean weight of a labelled pixel is 1, and a learning rate means the same
    as without weights; so the median, a common factor, falls out. Raises DataError if no pixel is labelled.
    """
    counts = counts.double()
    pixels = counts.sum(0)
    if not pixels.any():
        raise DataError(f"no pixel of the {len(counts):,} training masks is labelled, so classes cannot be weighted")
    around = ((counts > 0) * counts.sum(1, keepdim=True)).sum(0)
    weights = torch.where(pixels > 0, around / pixels, 0.0)
    return (weights * pixels.sum() / (weights * pixels).sum()).float()


@dataclass(frozen=True)
class Boundary:
    """How well the answers' boundaries lie on the labels', 0 to 1. Those of parts of a data set add up to that of the whole.

    score: over images, of each the mean F1 of the classes with a boundary in its label.
    f1, images: of each class the sum of its F1 over the images with a boundary of it in their label, and their number.
    """

    score: Mean
    f1: Float64[Tensor, " k"]
    images: Int64[Tensor, " k"]

    def __add__(self, other: Boundary) -> Boundary:
        return Boundary(self.score + other.score, self.f1 + other.f1, self.images + other.images)

    @property
    def value(self) -> float:
        return self.score.value

    @property
    def classes(self) -> Float64[Tensor, " k"]:
        """The mean F1 of each class, not a number for one without a boundary."""
        return self.f1 / self.images


def boundary(labels: Masks, answers: Masks, classes: int, tolerance: float = TOLERANCE) -> Boundary:
    """Boundary F1 after Csurka et al., BMVC 2013, averaged as SegNet has it (Badrinarayanan et al., PAMI 2017, section 4).

    Of each image and class: precision is the share of the answer's boundary pixels with one of the label's no further away than
    `tolerance` times the diagonal, recall the share of the label's with one of the answer's; F1 their harmonic mean, 0 if both
    are. A boundary pixel has one of another class above, below or beside it, in the image; one side of a pair that is void in the
    label makes no boundary, neither of the label nor of the answer. A class without a boundary in the label does not count in
    that image. So of labels whose objects are wrapped in void, little is scored.
    """
    reach = tolerance * math.hypot(*labels.shape[1:])
    f1 = torch.full((len(labels), classes), math.nan, dtype=torch.float64, device=labels.device)
    for image, (label, answer) in enumerate(zip(labels, answers, strict=True)):  # one by one, for memory's and the cache's sake
        f1[image] = _boundary_f1(label, answer, classes, reach)
    there = ~f1.isnan()
    scored = there.any(1)
    return Boundary(Mean(float(f1[scored].nanmean(1).sum()), int(scored.sum())), f1.nansum(0), there.sum(0))


def _boundary_f1(label: Mask, answer: Mask, classes: int, reach: float) -> Float64[Tensor, " k"]:
    """reach: in pixels. Not a number for a class without a boundary in the label."""
    void = label == VOID
    truth, guess = (_edges(mask, void) for mask in (label, answer))
    recall, precision = _share(truth, guess, reach, classes), _share(guess, truth, reach, classes)
    f1 = (2 * recall * precision / (recall + precision)).nan_to_num(0.0)  # no boundary in the answer, or none near: 0
    return f1.where(~recall.isnan(), math.nan)


def _edges(mask: Mask, void: Bool[Tensor, "h w"]) -> Mask:
    """The class of each boundary pixel, VOID elsewhere."""
    edge = torch.zeros_like(void)
    for one, other in ((slice(1, None), slice(-1)), ((..., slice(1, None)), (..., slice(-1)))):
        differs = (mask[one] != mask[other]) & ~void[one] & ~void[other]
        edge[one] |= differs
        edge[other] |= differs
    return mask.masked_fill(~edge, VOID)


def _share(edges: Mask, others: Mask, reach: float, classes: int) -> Float64[Tensor, " k"]:
    """Of each class the share of the boundary pixels that have one of the other mask's within reach."""
    most = min(math.floor(reach), max(edges.shape))
    around = F.pad(others, [most] * 4, value=VOID)
    rows, columns = edges.ne(VOID).nonzero(as_tuple=True)
    place, own = (rows + most) * around.shape[1] + columns + most, edges[rows, columns]
    near = torch.zeros_like(own, dtype=torch.bool)
    for down in range(-most, most + 1):
        for right in range(-most, most + 1):
            if math.hypot(down, right) <= reach:
                near |= around.take(place + (down * around.shape[1] + right)) == own
    hits, total = (torch.bincount(chosen, minlength=256)[:classes].double() for chosen in (own[near], own))
    return hits / total
