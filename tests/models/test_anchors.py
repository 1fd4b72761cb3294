"""Anchors and the boxes that are learned from, against loops over one box at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gipi.models.anchors import anchor_boxes, draw, match

NONE = torch.zeros(0, 4)


def area(box: list[float]) -> float:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def common(a: list[float], b: list[float]) -> float:
    return area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])


def boxes(count: int, seed: int) -> Tensor:
    """Whole numbers, so that overlaps are often equal."""
    draws = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 24, (count, 2), generator=draws)
    return torch.cat([corner, corner + torch.randint(2, 16, (count, 2), generator=draws)], 1).float()


@pytest.mark.parametrize("sides", [(32,), (128, 256, 512)])
def test_anchors_lie_at_every_place_in_torchvisions_order(sides: tuple[int, ...]):
    got, wanted = anchor_boxes((100, 160), (7, 10), sides, NONE), []
    for row in range(7):
        for column in range(10):
            for ratio in (0.5, 1, 2):
                for side in sides:
                    height, width = side * math.sqrt(ratio), side / math.sqrt(ratio)
                    left, top = round(width / 2), round(height / 2)  # to even, as torch rounds
                    x, y = column * 16, row * 14
                    wanted.append([x - left, y - top, x + left, y + top])
    assert got.tolist() == wanted


def test_published_anchors():
    """The nine of torchvision's five levels at the first place, as its weights are used to."""
    got = [anchor_boxes((64, 64), (1, 1), (side,), NONE)[:3].tolist() for side in (32, 64)]
    assert got[0] == [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]
    assert got[1] == [[-45, -23, 45, 23], [-32, -32, 32, 32], [-23, -45, 23, 45]]


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_matching_is_that_of_loops(seed: int, best: bool):
    anchors, truth, ignored = boxes(60, seed), boxes(4, seed + 10), boxes(2, seed + 20)
    index, state = match(anchors, truth, ignored, high=0.5, low=0.3, best=best)

    def overlap(a: list[float], b: list[float]) -> float:
        return common(a, b) / (area(a) + area(b) - common(a, b))

    table = [[overlap(anchor, box) for box in truth.tolist()] for anchor in anchors.tolist()]
    most = [max(row[place] for row in table) for place in range(len(truth))]
    for number, (anchor, row) in enumerate(zip(anchors.tolist(), table, strict=True)):
        wanted = 1 if max(row) >= 0.5 else 0 if max(row) < 0.3 else -1
        if best and any(value == top and top > 0 for value, top in zip(row, most, strict=True)):
            wanted = 1
        if any(common(anchor, box) / area(anchor) >= 0.5 for box in ignored.tolist()):
            wanted = -1
        assert state[number] == wanted
        assert row[int(index[number])] == max(row)


def test_without_true_boxes_all_is_background():
    index, state = match(boxes(9, 0), NONE, NONE, high=0.7, low=0.3, best=True)
    assert not state.any()
    assert not index.any()


def test_a_true_box_that_no_anchor_touches_makes_none_positive():
    far = torch.tensor([[900.0, 900, 910, 910]])
    assert not match(boxes(9, 0), far, NONE, high=0.7, low=0.3, best=True)[1].any()


@pytest.mark.parametrize(
    ("positive", "negative", "wanted"), [(100, 900, (16, 48)), (5, 900, (5, 59)), (100, 10, (16, 10)), (0, 3, (0, 3))]
)
def test_as_many_are_drawn_as_there_is_room(positive: int, negative: int, wanted: tuple[int, int]):
    state = torch.tensor([1] * positive + [0] * negative + [-1] * 50)
    chosen = draw(state, 64, 0.25, 0, 3, torch.tensor(7))
    assert (int((chosen & (state == 1)).sum()), int((chosen & (state == 0)).sum())) == wanted
    assert int(chosen.sum()) == sum(wanted)


def test_a_draw_depends_on_its_address_alone():
    state = torch.arange(500) % 3 - 1
    first = draw(state, 64, 0.5, 1, 2, torch.tensor(3))
    torch.rand(5)
    assert torch.equal(first, draw(state, 64, 0.5, 1, 2, torch.tensor(3)))
    for seed, epoch, number in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not torch.equal(first, draw(state, 64, 0.5, seed, epoch, torch.tensor(number)))


def test_every_box_is_drawn_equally_often():
    state = torch.zeros(20, dtype=torch.int64)
    counts = sum(draw(state, 5, 0.5, 0, epoch, torch.tensor(1)).double() for epoch in range(200))
    assert isinstance(counts, Tensor)
    assert (counts - 50).abs().max() < 5 * math.sqrt(200 * 0.25 * 0.75)
