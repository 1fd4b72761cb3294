"""Scores of detections against pycocotools, and against VOC's and the confusion's rules written as loops with exact fractions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gipi.ops.detection import box_confusion, class_scores, curve, detection_scores, f1
from gipi.ops.matching import match
from gipi.ops.metrics import values
from oracle.finds import case, coco, confusion, voc

CASES = [  # many kinds of image, then each kind that is special
    *({"seed": seed} for seed in range(4)),
    {"seed": 4, "ignored": 0.6},
    {"seed": 5, "ignored": 0.0, "steps": 2},  # most scores are equal
    {"seed": 6, "n": 2, "k": 130, "classes": 1},  # more than a hundred finds of a class
    {"seed": 7, "n": 12, "k": 3, "m": 1},
]
K = 4  # the last classes of each case have no truth


@pytest.mark.parametrize("made", CASES)
def test_scores_are_those_of_pycocotools(made: dict) -> None:
    whole = case(**made)
    matches = match(*whole)
    scores, result = class_scores(matches, K), coco(whole, K)
    precision, recall = result.eval["precision"][..., -1], result.eval["recall"][..., -1]  # IoU, recall, class, size
    wanted = {
        **{name: precision[..., size].mean((0, 1)) for size, name in enumerate(["ap", "ap_small", "ap_medium", "ap_large"])},
        "ap50": precision[0, ..., 0].mean(0),
        "ap75": precision[5, ..., 0].mean(0),
        "ar100": recall[..., 0].mean(0),
    }
    assert any((values > -1).any() for values in wanted.values())
    for name, values_ in wanted.items():
        np.testing.assert_allclose(scores[name].numpy(), np.where(values_ < 0, np.nan, values_), rtol=0, atol=1e-12, err_msg=name)
    result.summarize()
    means = dict(
        zip(["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"], result.stats[:6], strict=True), ar100=result.stats[8]
    )
    ours = values(detection_scores(matches, K))
    assert {name: mean for name, mean in means.items() if mean > -1} == pytest.approx(
        {name: ours[name] for name in means if name in ours}
    )


@pytest.mark.parametrize("made", CASES)
def test_voc_is_that_of_the_devkit_in_loops(made: dict) -> None:
    whole = case(**made)
    scores = class_scores(match(*whole), K)
    wanted = [voc(whole, label) or (math.nan, math.nan) for label in range(K)]
    got = torch.stack([scores["voc_ap"], scores["voc_ap11"]], 1).numpy()
    np.testing.assert_allclose(got, [[float(share) for share in pair] for pair in wanted], rtol=0, atol=1e-12)


@pytest.mark.parametrize("made", [made for made in CASES if made.get("k", 0) <= 100])
@pytest.mark.parametrize("shown", [0.25, 0.5])
def test_confusion_and_f1_are_those_of_loops(made: dict, shown: float) -> None:
    whole = case(**made)
    matches = match(*whole, shown=shown)
    counts, wanted = confusion(whole, K, shown)
    assert box_confusion(matches, K).tolist() == counts
    assert f1(matches).tolist() == pytest.approx([float(share) for share in wanted])


def test_curve_passes_through_the_counts_at_a_score_and_its_area_is_the_average_precision() -> None:
    whole = case(1, ignored=0.0, steps=10**6)
    matches = match(*whole)
    matrix = box_confusion(matches, K)
    for label in range(3):
        recall, precision, score = curve(matches, label)
        at = int((score >= 0.5).sum()) - 1
        assert recall[at].item() == pytest.approx(matrix[label, label].item() / matrix[label].sum().item())
        assert precision[at].item() == pytest.approx(matrix[label, label].item() / matrix[:, label].sum().item())
        best = precision.flip(0).cummax(0).values.flip(0)
        places = torch.searchsorted(recall, torch.from_numpy(np.linspace(0, 1, 101)))
        sampled = torch.nn.functional.pad(best, (0, 1))[places].mean()
        assert class_scores(matches, K)["ap50"][label].item() == pytest.approx(sampled.item())


def test_worked_example_of_both_vocs() -> None:
    """Two truths; right, wrong, right: precision 1 up to recall 1/2, then 2/3."""
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]]])
    places = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 60.0, 10.0], [20.0, 0.0, 30.0, 10.0]]])
    found = places, torch.tensor([[0.9, 0.8, 0.7]]), torch.zeros(1, 3, dtype=torch.int64)
    matches = match(boxes, torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.bool), torch.ones(1), found)
    scores = values(detection_scores(matches, 1))
    assert scores["voc_ap"] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert scores["voc_ap11"] == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert scores["ap"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert list(scores) == ["ap", "ap50", "ap75", "ap_small", "ar100", "voc_ap", "voc_ap11"], "no truth is medium or large"


def test_of_truths_equally_near_the_last_is_taken_as_by_pycocotools() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [4.0, 0.0, 14.0, 10.0]]])
    places = torch.tensor([[[2.0, 0.0, 12.0, 10.0], [4.0, 0.0, 14.0, 10.0]]])
    labels = torch.zeros(1, 2, dtype=torch.int64)
    whole = boxes, labels, torch.zeros(1, 2, dtype=torch.bool), torch.ones(1), (places, torch.tensor([[0.9, 0.8]]), labels)
    matches = match(*whole)
    assert matches.verdict[:, 0, 0].tolist() == [1, 0]
    assert class_scores(matches, 1)["ap50"].item() == pytest.approx(coco(whole, 1).eval["precision"][0, :, 0, 0, -1].mean())
