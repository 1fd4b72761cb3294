"""Scores of detections over all images. Those of parts do not merge, but the matches do that they are made of: see `matching`.

COCO's: Lin et al., ECCV 2014, as pycocotools computes them. VOC's: Everingham et al., IJCV 2010 and 2015, as the devkit does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int8, Int64
from torch import Tensor

from gipi.ops.matching import BACKGROUND, RIGHT, SIZES, SPARED, UNCOUNTED, WRONG, Matches
from gipi.ops.metrics import Mean, Metrics

RECALLS = torch.from_numpy(np.linspace(0, 1, 101))  # at which COCO samples precision; torch's own linspace rounds otherwise
ELEVEN = torch.arange(11)  # tenths of the truths found, at which VOC 2007 does


class Curve(NamedTuple):
    """Precision and recall, 0 to 1, of the finds of a score of `score` and above, one point for each find, by falling score."""

    recall: Float64[Tensor, " f"]
    precision: Float64[Tensor, " f"]
    score: Float[Tensor, " f"]


def detection_scores(matches: Matches, classes: int) -> Metrics:
    """Means over the classes that have a truth to be found, each 0 to 1; those by size only if there is one.

    ap: COCO's average precision, the mean over IoU 0.5 to 0.95.  ap50, ap75: at one IoU.  ap_small, ap_medium, ap_large: of
    truths of a size, see SIZES.  ar100: share of truths found by at most 100 finds of a class in an image, the mean over those
    IoUs.  voc_ap: VOC's average precision since 2010, the area under the curve.  voc_ap11: VOC's of 2007, at 11 recalls.
    """
    scores = class_scores(matches, classes)
    there = {name: values[~values.isnan()] for name, values in scores.items()}
    return {
        name: Mean(float(values.sum()), len(values))
        for name, values in there.items()
        if len(values) or name.removeprefix("ap_") not in SIZES
    }


def class_scores(matches: Matches, classes: int) -> dict[str, Float64[Tensor, " k"]]:
    """The scores of each class, by name as in `detection_scores`; not a number for one without a truth to be found."""
    rows = [_scores(matches, label) for label in range(classes)]
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def curve(matches: Matches, label: int) -> Curve:
    """Of one class, for truths of all sizes at IoU 0.5, by COCO's rules. Finds that are spared are left out."""
    finds, positives = _of(matches, label)
    finds = finds[matches.verdict[finds, 0, 0] != SPARED]
    right = (matches.verdict[finds, 0, 0] == RIGHT).cumsum(0).double()
    return Curve(right / positives[0], right / torch.arange(1, len(finds) + 1), matches.score[finds])


def box_confusion(matches: Matches, classes: int) -> Int64[Tensor, "c c"]:
    """Counts of boxes, c is classes + 1: row is the label, column the answer. The last row is of false finds, the last column of
    missed truths. At IoU 0.5, see `match`.
    """
    missed, false = matches.read > UNCOUNTED, matches.meant == BACKGROUND
    rows = torch.cat([matches.truth[missed], matches.meant[false]]) % (classes + 1)  # BACKGROUND becomes the last
    columns = torch.cat([matches.read[missed], matches.label[false]]) % (classes + 1)
    return torch.bincount(rows * (classes + 1) + columns, minlength=(classes + 1) ** 2).view(classes + 1, classes + 1)


def f1(matches: Matches) -> Float64[Tensor, " n"]:
    """F1 of each image, by its number: 2 x right / (2 x right + false + missed), 0 to 1; 1 where nothing is and nothing is found.

    Those are the boxes that `box_confusion` counts; one taken for another class is false and missed.
    """
    images = matches.images.sort().values

    def count(image: Int64[Tensor, " c"]) -> Float64[Tensor, " n"]:
        return torch.bincount(torch.searchsorted(images, image), minlength=len(images)).double()

    right = count(matches.image[matches.meant == matches.label])
    both = count(matches.image[matches.meant > UNCOUNTED]) + count(matches.owner[matches.read > UNCOUNTED])
    return torch.where(both > 0, 2 * right / both, 1.0)


def _of(matches: Matches, label: int) -> tuple[Int64[Tensor, " f"], Float64[Tensor, " 4"]]:
    """(places of a class's finds, by falling score, and how many truths of each of SIZES it has)."""
    finds = (matches.label == label).nonzero().squeeze(1)
    finds = finds[matches.image[finds].argsort(stable=True)]
    finds = finds[matches.score[finds].argsort(descending=True, stable=True)]
    return finds, matches.counted[matches.truth == label].sum(0).double()


def _scores(matches: Matches, label: int) -> dict[str, Float64[Tensor, ""]]:
    """Of one class, see `class_scores`."""
    finds, positives = _of(matches, label)
    right, best = _course(matches.verdict[finds].movedim(0, 2).contiguous())
    recall = right / positives[:, None, None]
    none = positives == 0
    precisions = _sampled(recall.nan_to_num(0.0), best, RECALLS).mean(2).masked_fill(none[:, None], torch.nan)
    found = recall[0, :, -1].mean()
    mean = precisions.mean(1)
    hits, envelope = _course(matches.voc[finds])
    area = (hits.diff() * envelope[1:]).sum() / positives[0]
    eleven = _sampled(10 * hits, envelope, ELEVEN * positives[0]).mean().masked_fill(none[0], torch.nan)
    return {
        "ap": mean[0],
        "ap50": precisions[0, 0],
        "ap75": precisions[0, 5],
        **{f"ap_{size}": value for size, value in zip(SIZES, mean, strict=True) if size != "all"},
        "ar100": found,
        "voc_ap": area,
        "voc_ap11": eleven,
    }


def _course(verdict: Int8[Tensor, "*rows f"]) -> tuple[Float64[Tensor, "*rows g"], Float64[Tensor, "*rows g"]]:
    """(right finds, highest precision at so many or more) among the first 0, 1, 2, ... f finds."""
    right, wrong = (torch.nn.functional.pad((verdict == value).cumsum(-1), (1, 0)).double() for value in (RIGHT, WRONG))
    precision = right / (right + wrong).clamp(min=1)
    return right, precision.flip(-1).cummax(-1).values.flip(-1)


def _sampled(
    reached: Float64[Tensor, "*rows g"], envelope: Float64[Tensor, "*rows g"], wanted: Float64[Tensor, " w"]
) -> Float64[Tensor, "*rows w"]:
    """The envelope where `reached`, which rises, is first at each of `wanted`; 0 where it never is."""
    rows = wanted.expand(*reached.shape[:-1], len(wanted)).contiguous()
    return torch.nn.functional.pad(envelope, (0, 1)).gather(-1, torch.searchsorted(reached, rows))
