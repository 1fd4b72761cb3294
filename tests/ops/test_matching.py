"""Matches of finds and truths: hand-made cases, parts that merge to the whole, and rules that they must keep."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gipi.ops import matching
from gipi.ops.detection import box_confusion, class_scores, detection_scores, f1
from gipi.ops.matching import BACKGROUND, RIGHT, SIZES, SPARED, UNCOUNTED, WRONG, match, merge
from gipi.ops.metrics import values
from oracle.finds import case

SQUARE = [0.0, 0.0, 10.0, 10.0]
HALF = [0.0, 0.0, 5.0, 10.0]  # of the square: an IoU of exactly 0.5


def one(truths: list, finds: list, *, ignored: list[bool] | None = None, scale: float = 1.0):
    """An image's matches. truths: (box, label); finds: (box, score, label)."""
    boxes, labels = (torch.tensor([part]) for part in zip(*truths, strict=True))
    found = tuple(torch.tensor([part]) for part in zip(*finds, strict=True))
    return match(boxes, labels, torch.tensor([ignored or [False] * len(truths)]), torch.tensor([scale]), found)


def coco50(matches) -> list[int]:
    return matches.verdict[:, 0, 0].tolist()


def test_second_find_of_a_truth_is_wrong_and_an_iou_of_exactly_one_half_is_enough() -> None:
    matches = one([(SQUARE, 0)], [(HALF, 0.9, 0), (SQUARE, 0.8, 0), (SQUARE, 0.7, 1)])
    assert coco50(matches) == [RIGHT, WRONG, WRONG]
    assert matches.voc.tolist() == [RIGHT, WRONG, WRONG]
    assert matches.verdict[:, 0, 1:].tolist() == [[WRONG] * 9, [RIGHT] * 9, [WRONG] * 9]


def test_coco_takes_the_nearest_free_truth_but_voc_the_nearest() -> None:
    other = [0.0, 2.0, 10.0, 12.0]  # an IoU of 2/3 with the square
    matches = one([(SQUARE, 0), (other, 0)], [(SQUARE, 0.9, 0), (SQUARE, 0.8, 0)])
    assert coco50(matches) == [RIGHT, RIGHT]
    assert matches.voc.tolist() == [RIGHT, WRONG]


def test_any_number_of_finds_in_an_ignored_truth_count_neither_way() -> None:
    inside = [1.0, 1.0, 3.0, 3.0]  # far from an IoU of 0.5, but wholly within
    matches = one([(SQUARE, 0)], [(inside, 0.9, 0), (SQUARE, 0.8, 0), (SQUARE, 0.7, 0)], ignored=[True])
    assert coco50(matches) == [SPARED] * 3
    assert matches.voc.tolist() == [WRONG, SPARED, SPARED]
    assert not matches.counted.any()
    assert matches.read.tolist() == [UNCOUNTED]
    assert matches.meant.tolist() == [UNCOUNTED] * 3
    assert not box_confusion(matches, 1).any()
    assert f1(matches).tolist() == [1.0]


def test_truth_that_counts_goes_before_a_nearer_one_that_is_ignored() -> None:
    matches = one([(SQUARE, 0), (HALF, 0)], [(SQUARE, 0.9, 0)], ignored=[True, False])
    assert coco50(matches) == [RIGHT]
    assert matches.voc.tolist() == [SPARED]


@pytest.mark.parametrize(("side", "scale", "sizes"), [
    (32.0, 1.0, ["small", "medium"]), (31.0, 1.0, ["small"]), (31.0, 0.5, ["medium"]), (32.0, 0.25, ["large"]), (96.0, 1.0, ["medium", "large"]),
    (97.0, 2.0, ["medium"]),
])  # fmt: skip
def test_sizes_are_of_the_original_and_include_their_ends(side: float, scale: float, sizes: list[str]) -> None:
    box = [0.0, 0.0, side, side]
    matches = one([(box, 0)], [(box, 0.9, 0)], scale=scale)
    assert [name for name, there in zip(SIZES, matches.counted[0].tolist(), strict=True) if there] == ["all", *sizes]
    assert [name for name, verdict in zip(SIZES, matches.verdict[0, :, 0].tolist(), strict=True) if verdict == RIGHT] == [
        "all",
        *sizes,
    ]
    assert (matches.verdict != WRONG).all(), "of another size it is neither right nor wrong"


def test_confusion_first_looks_at_the_right_class_and_then_at_any() -> None:
    far = [50.0, 50.0, 60.0, 60.0]
    truths = [(SQUARE, 0), (far, 1)]
    finds = [(SQUARE, 0.9, 1), (SQUARE, 0.8, 0), (far, 0.7, 2), (far, 0.6, 2), (far, 0.4, 1)]
    matches = one(truths, finds)
    assert matches.meant.tolist() == [BACKGROUND, 0, 1, BACKGROUND, UNCOUNTED]
    assert matches.read.tolist() == [0, 2]
    assert box_confusion(matches, 3).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    assert f1(matches).item() == pytest.approx(2 / (2 + 3 + 1))


def test_101st_find_of_a_class_in_an_image_is_left_out_by_coco_but_not_by_voc() -> None:
    far = [50.0, 50.0, 60.0, 60.0]
    finds = [(far, 0.9 - index / 1000, 0) for index in range(100)]
    matches = one([(SQUARE, 0)], [*finds, (SQUARE, 0.1, 0)])
    assert coco50(matches) == [WRONG] * 100 + [SPARED]
    assert matches.voc.tolist() == [WRONG] * 100 + [RIGHT]
    scores = values(detection_scores(matches, 1))
    assert scores["ap"] == scores["ar100"] == 0
    assert scores["voc_ap"] == pytest.approx(1 / 101)
    mixed = one([(SQUARE, 1)], [*finds, (SQUARE, 0.1, 1)])
    assert coco50(mixed)[-1] == RIGHT, "a hundred of each class"


def parts_of(whole, cuts: list[int], order: list[int]):
    boxes, labels, ignored, scales, found = whole
    rows = torch.arange(len(labels)).tensor_split(cuts)
    return [
        match(boxes[part], labels[part], ignored[part], scales[part], tuple(each[part] for each in found), part)
        for part in (rows[number] for number in order)
    ]


@pytest.mark.parametrize(("cuts", "order"), [([3], [0, 1]), ([1, 2, 5], [3, 0, 2, 1]), ([4, 6], [2, 1, 0])])
def test_parts_in_any_order_merge_to_the_scores_of_the_whole(cuts: list[int], order: list[int]) -> None:
    whole = case(5, n=7, steps=4)  # many equal scores
    straight, merged = match(*whole), merge(parts_of(whole, cuts, order))
    assert values(detection_scores(merged, 4)) == pytest.approx(values(detection_scores(straight, 4)), abs=0, rel=0)
    assert torch.equal(box_confusion(merged, 4), box_confusion(straight, 4))
    assert torch.equal(f1(merged), f1(straight))


def test_images_beyond_one_part_are_numbered_on(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = case(2, n=7)
    straight = match(*whole)
    monkeypatch.setattr(matching, "IMAGES", 3)
    for left, right in zip(straight, match(*whole), strict=True):
        assert torch.equal(left, right)
    assert straight.images.tolist() == list(range(7))


def test_order_of_finds_and_rows_that_hold_none_change_nothing() -> None:
    boxes, labels, ignored, scales, (places, scores, answers) = case(3, steps=10**6)
    shuffled = torch.randperm(answers.shape[1], generator=torch.Generator().manual_seed(1))
    wide = [
        torch.nn.functional.pad(part, pad, value=fill) for part, pad, fill in ((boxes, (0, 0, 0, 3), 0.0), (labels, (0, 3), -1))
    ]
    one, other = (
        match(boxes, labels, ignored, scales, (places, scores, answers)),
        match(
            wide[0],
            wide[1],
            torch.nn.functional.pad(ignored, (0, 3)),
            scales,
            (places[:, shuffled], scores[:, shuffled], answers[:, shuffled]),
        ),
    )
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left, right)


def test_images_without_truths_or_without_finds() -> None:
    boxes, labels = torch.zeros(2, 1, 4), torch.tensor([[-1], [0]])
    boxes[1] = torch.tensor(SQUARE)
    nothing = torch.zeros(2, 0, 4), torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.int64)
    matches = match(boxes, labels, torch.zeros(2, 1, dtype=torch.bool), torch.ones(2), nothing)
    assert f1(matches).tolist() == [1.0, 0.0]
    assert values(detection_scores(matches, 2)) == dict.fromkeys(
        ["ap", "ap50", "ap75", "ap_small", "ar100", "voc_ap", "voc_ap11"], 0.0
    )
    assert class_scores(matches, 2)["ap"].isnan().tolist() == [False, True]
    only: tuple[Tensor, ...] = torch.tensor([[SQUARE], [SQUARE]]), torch.ones(2, 1), torch.ones(2, 1, dtype=torch.int64)
    assert box_confusion(match(boxes, labels, torch.zeros(2, 1, dtype=torch.bool), torch.ones(2), only), 2).tolist() == [
        [0, 1, 0],
        [0, 0, 0],
        [0, 1, 0],
    ]
