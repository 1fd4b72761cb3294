"""Random truths and finds, pycocotools' scores of them, and VOC's and the confusion of classes by loops written from their rules."""

from __future__ import annotations

import contextlib
import io
from fractions import Fraction

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

Case = tuple[Tensor, Tensor, Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]  # as gipi.ops.matching.match takes them


def case(seed: int, n: int = 6, m: int = 7, k: int = 25, classes: int = 4, *, ignored: float = 0.2, steps: int = 12) -> Case:
    """Boxes on a grid of half pixels, many finds near a truth, scores in few `steps` so that some are equal; rows of -1 at any place.

    Finds are by falling score. Some images have no truth, some no finds, and the last class has no truth.
    """
    mixed = np.random.default_rng(seed)
    corner, size = mixed.integers(0, 200, (n, m, 2)) / 2, np.exp(mixed.uniform(1.5, 5.0, (n, m, 2))).round()
    boxes = np.concatenate([corner, corner + size], 2)
    labels = np.where(mixed.random((n, m)) < 0.3, -1, mixed.integers(0, max(1, classes - 1), (n, m)))
    labels[mixed.random(n) < 0.15] = -1
    picked = mixed.integers(0, m, (n, k))
    rows = np.arange(n)[:, None]
    places = boxes[rows, picked] + (mixed.normal(0, 0.06, (n, k, 4)) * np.tile(size, 2)[rows, picked] * 2).round() / 2
    places[..., 2:] = np.maximum(places[..., 2:], places[..., :2] + 1)
    answers = np.where(mixed.random((n, k)) < 0.7, labels[rows, picked], mixed.integers(0, classes, (n, k)))
    answers[mixed.random(n) < 0.15] = -1
    scores = np.where(answers < 0, 0, -np.sort(-mixed.integers(1, steps + 1, (n, k)) / steps, 1))
    boxes[labels < 0] = 0
    crowd = (mixed.random((n, m)) < ignored) & (labels >= 0)
    scales = 2.0 ** mixed.integers(-1, 2, n)
    floats = [torch.from_numpy(part).float() for part in (boxes, scales, places, scores)]
    return (
        *(floats[0], torch.from_numpy(labels), torch.from_numpy(crowd), floats[1]),
        (floats[2], floats[3], torch.from_numpy(answers)),
    )


def coco(case: Case, classes: int) -> COCOeval:
    """What pycocotools makes of it, in pixels of the originals, accumulated."""
    boxes, labels, ignored, scales, (places, scores, answers) = case
    truths, finds = [], []
    for image, scale in enumerate(scales.tolist()):
        for box, label, crowd in zip(
            (boxes[image] / scale).tolist(), labels[image].tolist(), ignored[image].tolist(), strict=True
        ):
            if label >= 0:
                corner, size = box[:2], [box[2] - box[0], box[3] - box[1]]
                truth = {"bbox": corner + size, "area": size[0] * size[1], "iscrowd": int(crowd)}
                truths.append({**truth, "id": len(truths) + 1, "image_id": image, "category_id": label})
        rows = zip((places[image] / scale).tolist(), scores[image].tolist(), answers[image].tolist(), strict=True)
        for box, score, label in rows:
            if label >= 0:
                corner, size = box[:2], [box[2] - box[0], box[3] - box[1]]
                finds.append({"bbox": corner + size, "score": score, "image_id": image, "category_id": label})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        images, categories = [{"id": number} for number in range(len(labels))], [{"id": number} for number in range(classes)]
        truth.dataset = {"images": images, "annotations": truths, "categories": categories}
        truth.createIndex()
        found = truth.loadRes(finds) if finds else COCO()
        result = COCOeval(truth, found, "bbox")
        result.evaluate()
        result.accumulate()
    return result


def overlap(a: list[float], b: list[float]) -> Fraction:
    """IoU of two boxes, exact."""
    a, b = ([Fraction(edge) for edge in box] for box in (a, b))
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(wide, Fraction(0)) * max(high, Fraction(0))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def voc(case: Case, label: int) -> tuple[Fraction, Fraction] | None:
    """(AP since 2010, AP of 2007) of a class after the devkit's VOCevaldet and VOCap; None without a truth."""
    boxes, labels, ignored, _, (places, scores, answers) = case
    finds = [(-score, image, row) for (image, row), score in np.ndenumerate(scores.numpy()) if answers[image, row] == label]
    positives = int(((labels == label) & ~ignored).sum())
    if not positives:
        return None
    detected, right, wrong, curve = set(), 0, 0, []
    for _, image, row in sorted(finds):
        best, which = Fraction(-1), None
        for truth in range(labels.shape[1]):
            if labels[image, truth] == label:
                ov = overlap(places[image, row].tolist(), boxes[image, truth].tolist())
                if ov > best:
                    best, which = ov, truth
        if best < Fraction(1, 2):
            wrong += 1
        elif not ignored[image, which]:
            wrong += (image, which) in detected
            right += (image, which) not in detected
            detected.add((image, which))
        if right + wrong:
            curve.append((Fraction(right, positives), Fraction(right, right + wrong)))
    eleven = [max([p for r, p in curve if r >= Fraction(t, 10)], default=Fraction(0)) for t in range(11)]
    area, before = Fraction(0), Fraction(0)
    for index, (recall, _) in enumerate(curve):
        area += (recall - before) * max(p for _, p in curve[index:])
        before = recall
    return area, sum(eleven, Fraction(0)) / 11


def confusion(case: Case, classes: int, shown: float) -> tuple[list[list[int]], list[Fraction]]:
    """(counts by label and answer, the last of each being background; F1 of each image), by loops."""
    boxes, labels, ignored, _, (places, scores, answers) = case
    counts, f1 = [[0] * (classes + 1) for _ in range(classes + 1)], []
    for image in range(len(labels)):
        truths = [row for row in range(labels.shape[1]) if labels[image, row] >= 0]
        finds = [row for row in range(answers.shape[1]) if answers[image, row] >= 0 and scores[image, row] >= shown]
        ious = {(f, t): overlap(places[image, f].tolist(), boxes[image, t].tolist()) for f in finds for t in truths}
        free, rest, right, false = [t for t in truths if not ignored[image, t]], [], 0, 0
        for find in finds:
            own = [t for t in free if labels[image, t] == answers[image, find] and ious[find, t] >= Fraction(1, 2)]
            if own:
                taken = max(own, key=lambda t: (ious[find, t], t))
                free.remove(taken)
                counts[labels[image, taken]][answers[image, find]] += 1
                right += 1
            elif not any(
                labels[image, t] == answers[image, find] and _inside(places[image, find].tolist(), boxes[image, t].tolist())
                for t in truths
                if ignored[image, t]
            ):
                rest.append(find)
                false += 1
        missed = len(free)
        for find in rest:
            near = [t for t in free if ious[find, t] >= Fraction(1, 2)]
            if near:
                taken = max(near, key=lambda t: (ious[find, t], t))
                free.remove(taken)
            counts[labels[image, taken] if near else classes][answers[image, find]] += 1
        for truth in free:
            counts[labels[image, truth]][classes] += 1
        f1.append(Fraction(2 * right, 2 * right + false + missed) if right + false + missed else Fraction(1))
    return counts, f1


def _inside(a: list[float], b: list[float]) -> bool:
    """Whether half of `a` lies in `b`."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide > 0 and high > 0 and 2 * wide * high >= (a[2] - a[0]) * (a[3] - a[1])
