"""Which finds of a detector are right, image by image, so that the matches of parts of a data set merge into those of the whole.

Boxes are x0, y0, x1, y1 in pixels; labels are -1 in rows that hold none. An ignored truth (difficult, or a crowd) is neither to
be found nor a mistake to find. What becomes of the matches is in `detection`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int8, Int64
from torch import Tensor

from gipi.ops.boxes import areas, coverage, iou

IOUS = torch.from_numpy(np.linspace(0.5, 0.95, 10))  # COCO's; torch's own linspace rounds otherwise
SIZES = {"all": (0, math.inf), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, math.inf)}  # pixels, ends included
MOST = 100  # finds of a class in an image that COCO's scores look at: those of highest score
SHOWN = 0.5  # least score of a find that the confusion of classes and F1 count
RIGHT, WRONG, SPARED = 1, 0, -1  # verdicts on a find: the last counts neither way
BACKGROUND, UNCOUNTED = -1, -2
IMAGES = 256  # matched at once, at most, for memory's sake


class Matches(NamedTuple):
    """All that scores need of n images with f finds and t truths, which are those of the images one after another.

    images: numbers of the images.  image, label, score: of each find, in an image by falling score.
    verdict: on each find by COCO's rules, for truths of each of SIZES at each of IOUS.  voc: by PASCAL VOC's, at IoU 0.5.
    meant: label of the truth that it is on, BACKGROUND, or UNCOUNTED if it is spared or its score too low; see `match`.
    owner, truth: image and label of each truth.  counted: whether it is to be found, among those of each of SIZES.
    read: label of the find that is on it, BACKGROUND if it is missed, UNCOUNTED if it is ignored.
    """

    images: Int64[Tensor, " n"]
    image: Int64[Tensor, " f"]
    label: Int64[Tensor, " f"]
    score: Float[Tensor, " f"]
    verdict: Int8[Tensor, "f 4 10"]
    voc: Int8[Tensor, " f"]
    meant: Int64[Tensor, " f"]
    owner: Int64[Tensor, " t"]
    truth: Int64[Tensor, " t"]
    counted: Bool[Tensor, "t 4"]
    read: Int64[Tensor, " t"]


def merge(parts: Sequence[Matches]) -> Matches:
    """The matches of all parts; their order is of no consequence for any score."""
    return Matches(*map(torch.cat, zip(*parts, strict=True)))


def match(
    boxes: Float[Tensor, "n m 4"],
    labels: Int64[Tensor, "n m"],
    ignored: Bool[Tensor, "n m"],
    scales: Float[Tensor, " n"],
    found: tuple[Float[Tensor, "n k 4"], Float[Tensor, "n k"], Int64[Tensor, "n k"]],
    numbers: Int64[Tensor, " n"] | None = None,
    *,
    shown: float = SHOWN,
) -> Matches:
    """What is right of what was found in n images: boxes, their scores and labels, in any order. n and m are at least 1.

    scales: pixels here to one of the original, in which SIZES count.  numbers: of the images in the whole set, 0, 1, ... if None.
    Each find has its turn by falling score; of equal scores that of the lower image, then of the earlier row. Rules:

    COCO (Lin et al., ECCV 2014, as pycocotools has them): it takes of the free truths of its class that of highest IoU, if that
    reaches the threshold; only if none does, one that does not count: ignored, or of another size. An ignored one takes any
    number of finds, by the share of the find that lies in it: theirs does so for crowds. A find that took one that does not
    count, or none and is of another size, is spared. The area of a truth is that of its box (theirs: of its mask).
    VOC (Everingham et al., IJCV 2010, as the devkit has them): it stands for the truth of its class of highest IoU, if that is
    0.5 at least: it is spared if that is ignored, right if it is the first to, else wrong.
    Confusion of classes: of the finds of a score of `shown` at least, those are on a truth that take one by COCO's rules at IoU
    0.5; then each other one takes of the truths left, of any class, that of highest IoU, if that is 0.5 at least.
    """
    numbers = torch.arange(len(labels)) if numbers is None else numbers
    parts = zip(*(part.split(IMAGES) for part in (numbers, boxes, labels, ignored, scales, *found)), strict=True)
    return merge([_match(*part, shown=shown) for part in parts])


def _match(
    numbers: Int64[Tensor, " n"],
    boxes: Float[Tensor, "n m 4"],
    labels: Int64[Tensor, "n m"],
    ignored: Bool[Tensor, "n m"],
    scales: Float[Tensor, " n"],
    places: Float[Tensor, "n k 4"],
    scores: Float[Tensor, "n k"],
    answers: Int64[Tensor, "n k"],
    shown: float,
) -> Matches:
    scores, order = scores.masked_fill(answers < 0, -math.inf).sort(descending=True, stable=True)
    places, answers = places.gather(1, order.unsqueeze(2).expand_as(places)).double(), answers.gather(1, order)
    real, given, boxes = labels >= 0, answers >= 0, boxes.double()
    overlap = torch.stack([*map(iou, places, boxes)]) * real.unsqueeze(1)
    within = overlap
    if ignored.any():
        within = torch.where(ignored.unsqueeze(1), torch.stack([*map(coverage, places, boxes)]), overlap)
    same = answers.unsqueeze(2) == labels.unsqueeze(1)
    late = _place_in_class(answers) >= MOST

    spared = _outside(boxes, scales) | ignored.unsqueeze(1)
    taken = _taken(within * same * ~late.unsqueeze(2), spared, ignored, IOUS)
    verdict = _verdict(taken, spared, _outside(places, scales) | late.unsqueeze(1))
    every = verdict[:, :, 0, 0]  # of all sizes, at the lowest threshold

    at = taken[:, :, 0, 0].where((every == RIGHT) & (scores >= shown), -1)
    read = torch.full_like(labels, BACKGROUND).masked_fill(ignored, UNCOUNTED)
    image, find = (at >= 0).nonzero(as_tuple=True)
    read[image, at[image, find]] = answers[image, find]
    false, missed = (every == WRONG) & (scores >= shown), real & (read == BACKGROUND)
    left = overlap * false.unsqueeze(2) * missed.unsqueeze(1)
    on = _taken(left, ignored.unsqueeze(1), ignored, IOUS[:1]).flatten(1)
    image, find = (on >= 0).nonzero(as_tuple=True)
    read[image, on[image, find]] = answers[image, find]
    at = torch.maximum(at, on)
    meant = torch.where(at >= 0, labels.gather(1, at.clamp(min=0)), BACKGROUND)
    meant = meant.masked_fill((scores < shown) | (every == SPARED), UNCOUNTED)

    return Matches(
        numbers,
        *(numbers.unsqueeze(1).expand_as(answers)[given], answers[given], scores[given]),
        *(verdict[given], _voc(overlap * same, ignored)[given], meant[given]),
        *(numbers.unsqueeze(1).expand_as(labels)[real], labels[real], ~spared.movedim(1, 2)[real], read[real]),
    )


def _place_in_class(answers: Int64[Tensor, "n k"]) -> Int64[Tensor, "n k"]:
    """How many finds of the same class an image has before each."""
    labels, order = answers.sort(dim=1, stable=True)
    places = torch.arange(answers.shape[1]) - torch.searchsorted(labels, labels)
    return torch.zeros_like(answers).scatter(1, order, places)


def _outside(boxes: Float64[Tensor, "n b 4"], scales: Float[Tensor, " n"]) -> Bool[Tensor, "n 4 b"]:
    """Whether a box is of another size than each of SIZES."""
    area = (areas(boxes) / scales.double().unsqueeze(1) ** 2).unsqueeze(1)
    low, high = torch.tensor([*SIZES.values()], dtype=torch.float64).T.unsqueeze(2)
    return (area < low) | (area > high)


def _taken(
    near: Float64[Tensor, "n k m"], spared: Bool[Tensor, "n a m"], crowd: Bool[Tensor, "n m"], ious: Float64[Tensor, " i"]
) -> Int64[Tensor, "n k a i"]:
    """Which truth each find takes, -1 for none: a free one, rather one that is not spared, the nearest, the last of equals.

    near: overlap of finds, by falling score, and truths; 0 where they do not go together.
    """
    (n, k, m), (sizes, levels) = near.shape, (spared.shape[1], len(ious))
    free, taken = torch.ones(n, sizes, levels, m, dtype=torch.bool), torch.full((n, k, sizes, levels), -1)
    reaching = (near >= ious[0]).any(2)
    turn = reaching.cumsum(1) * reaching  # finds that reach no truth need none
    for number in range(1, max(reaching.sum(1).tolist(), default=0) + 1):
        image, find = (turn == number).nonzero(as_tuple=True)  # one of each image that has so many
        overlap = near[image, find][:, None, None]
        fits = free[image] & (overlap >= ious[:, None])
        better = fits & ~spared[image].unsqueeze(2)
        fits = torch.where(better.any(3, keepdim=True), better, fits)
        best = m - 1 - torch.where(fits, overlap, -1.0).flip(3).argmax(3)
        best = best.where(fits.any(3), -1)
        taken[image, find] = best
        free[image] &= (best.unsqueeze(3) != torch.arange(m)) | crowd[image][:, None, None]
    return taken


def _verdict(
    taken: Int64[Tensor, "n k a i"], spared: Bool[Tensor, "n a m"], beyond: Bool[Tensor, "n a k"]
) -> Int8[Tensor, "n k a i"]:
    """beyond: finds that are spared if they take nothing."""
    n, k, sizes, levels = taken.shape
    of_each = spared[:, None, :, None].expand(n, k, sizes, levels, spared.shape[2])
    of_taken = of_each.gather(4, taken.clamp(min=0).unsqueeze(4)).squeeze(4)
    left_out = torch.where(taken < 0, beyond.movedim(1, 2).unsqueeze(3), of_taken)
    return (taken >= 0).to(torch.int8).masked_fill_(left_out, SPARED)  # WRONG is 0, RIGHT is 1


def _voc(near: Float64[Tensor, "n k m"], ignored: Bool[Tensor, "n m"]) -> Int8[Tensor, "n k"]:
    """Verdicts by VOC's rules. near: IoU of finds, by falling score, and truths; 0 where their classes differ."""
    best = near.argmax(2)
    reached = near.amax(2) >= IOUS[0]
    chosen = (best.unsqueeze(2) == torch.arange(near.shape[2])) & reached.unsqueeze(2)
    first = (chosen & (chosen.cumsum(1) == 1)).any(2)
    return torch.where(reached & ignored.gather(1, best), SPARED, torch.where(first, RIGHT, WRONG)).to(torch.int8)
