"""Overlaps, offsets and suppression of boxes against loops over boxes and pixels, and against torchvision's where it is installed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gipi.errors import DataError
from gipi.ops.boxes import BLOCK, GROWTH, areas, clip, coverage, decode, encode, iou, nms, nms_by_class

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 9999)
counts = st.integers(0, 40)


def some(n: int, seed: int, size: int = 12) -> Tensor:
    """Boxes with whole corners, many of them alike, some without area."""
    dice = torch.Generator().manual_seed(seed)
    start = torch.randint(0, size, (n, 2), generator=dice)
    return torch.cat([start, start + torch.randint(0, size // 2, (n, 2), generator=dice)], 1).float()


def spread(n: int, seed: int, size: float = 400.0) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes as a detector has them, scores of which some are equal, labels."""
    dice = torch.Generator().manual_seed(seed)
    start = torch.rand(n, 2, generator=dice) * size
    boxes = torch.cat([start, start + torch.rand(n, 2, generator=dice) * 120 + 4], 1)
    return boxes, torch.randint(0, n + 1, (n,), generator=dice) / (n + 1), torch.randint(0, 5, (n,), generator=dice)


def pixels(box: Tensor) -> set[tuple[int, int]]:
    x0, y0, x1, y1 = box.int().tolist()
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def kept_by_loop(boxes: Tensor, scores: Tensor, labels: Tensor, overlap: float) -> list[int]:
    """One box after the other, each compared with all that were kept."""
    over, kinds = (iou(boxes, boxes) > overlap).tolist(), labels.tolist()
    kept: list[int] = []
    for one in sorted(range(len(boxes)), key=lambda index: (-float(scores[index]), index)):
        if not any(over[other][one] and kinds[other] == kinds[one] for other in kept):
            kept.append(one)
    return kept


# --- overlaps


@few
@given(counts, counts, seeds)
def test_areas_and_overlaps_are_those_of_counted_pixels(n, m, seed) -> None:
    a, b = some(n, seed), some(m, seed + 1)
    assert areas(a).tolist() == [len(pixels(box)) for box in a]
    ious, shares = iou(a, b), coverage(a, b)
    assert ious.shape == shares.shape == (n, m)
    for i, one in enumerate(map(pixels, a)):
        for j, other in enumerate(map(pixels, b)):
            assert ious[i, j] == pytest.approx(len(one & other) / max(len(one | other), 1))
            assert shares[i, j] == pytest.approx(len(one & other) / max(len(one), 1))


def test_a_box_turned_inside_out_has_no_area_and_overlaps_none() -> None:
    wrong, right = torch.tensor([[8.0, 8.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert areas(wrong).tolist() == [0]
    assert iou(wrong, right).tolist() == iou(wrong, wrong).tolist() == coverage(wrong, right).tolist() == [[0]]


def test_the_overlap_has_a_gradient() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [3.0, 2.0, 8.0, 9.0]], dtype=torch.float64, requires_grad=True)
    others = torch.tensor([[2.0, 1.0, 9.0, 12.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(iou, (boxes, others))


def test_clipped_boxes_end_at_the_edges_of_their_image() -> None:
    boxes = torch.tensor([[-5.0, 3.0, 30.0, 40.0], [25.0, 12.0, 50.0, 60.0], [1.0, 2.0, 3.0, 4.0]])
    assert clip(boxes, (10, 20)).tolist() == [[0, 3, 20, 10], [20, 10, 20, 10], [1, 2, 3, 4]]
    sizes = torch.tensor([[10, 20], [50, 28]])
    both = clip(torch.stack([boxes, boxes]), sizes)
    assert torch.equal(both, torch.stack([clip(boxes, (10, 20)), clip(boxes, (50, 28))]))
    assert clip(boxes[:0], (10, 20)).shape == (0, 4)


# --- offsets from anchors


def test_offsets_are_those_of_the_paper() -> None:
    """Girshick et al. 2014, appendix C, equations 6 to 9, worked out by hand."""
    anchor, box = (
        torch.tensor([[10.0, 20.0, 50.0, 40.0]]),
        torch.tensor([[20.0, 22.0, 100.0, 32.0]]),
    )  # centres (30, 30), (60, 27)
    wanted = [30 / 40, -3 / 20, math.log(2), math.log(0.5)]
    assert encode(box, anchor)[0].tolist() == pytest.approx(wanted)
    weighted = [10 * wanted[0], 10 * wanted[1], 5 * wanted[2], 5 * wanted[3]]
    assert encode(box, anchor, (10.0, 10.0, 5.0, 5.0))[0].tolist() == pytest.approx(weighted)


@few
@given(counts, seeds, st.sampled_from([(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)]))
def test_decoding_undoes_encoding(n, seed, weights) -> None:
    boxes, anchors = spread(n, seed)[0], spread(n, seed + 1)[0]
    torch.testing.assert_close(decode(encode(boxes, anchors, weights), anchors, weights), boxes, rtol=1e-4, atol=1e-3)


def test_a_box_is_at_most_so_much_larger_than_its_anchor() -> None:
    anchors = torch.tensor([[0.0, 0.0, 16.0, 32.0]])
    x0, y0, x1, y1 = decode(torch.tensor([[0.0, 0.0, 50.0, GROWTH]]), anchors)[0].tolist()
    assert (x1 - x0, y1 - y0) == pytest.approx((1000, 2000), rel=1e-5)


def test_each_region_has_a_box_for_each_class_and_bf16_does_not_spoil_places() -> None:
    regions = spread(6, 0)[0] + 1000
    deltas = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    boxes = decode(deltas, regions[:, None], (10.0, 10.0, 5.0, 5.0))
    assert (boxes.dtype, boxes.shape) == (torch.float32, (6, 3, 4))
    for column in range(3):
        assert torch.equal(boxes[:, column], decode(deltas[:, column].float(), regions, (10.0, 10.0, 5.0, 5.0)))


# --- suppression


@few
@given(counts, seeds, st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_kept_are_those_of_a_loop_over_boxes(n, seed, overlap) -> None:
    boxes, (_, scores, labels) = some(n, seed), spread(n, seed)
    assert nms(boxes, scores, overlap).tolist() == kept_by_loop(boxes, scores, torch.zeros(n), overlap)
    kept = nms_by_class(boxes, scores, labels, overlap)
    assert kept.dtype == torch.int64
    assert kept.tolist() == kept_by_loop(boxes, scores, labels, overlap)


@pytest.mark.parametrize("n", [BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_suppression_reaches_over_blocks(n) -> None:
    boxes, scores, labels = spread(n, n)
    assert nms(boxes, scores, 0.4).tolist() == kept_by_loop(boxes, scores, torch.zeros(n), 0.4)
    assert nms_by_class(boxes, scores, labels, 0.4).tolist() == kept_by_loop(boxes, scores, labels, 0.4)


def test_a_suppressed_box_suppresses_none() -> None:
    """A chain of boxes in which each overlaps the next only: every other one is kept."""
    start = torch.arange(600.0)
    boxes = torch.stack([start, 0 * start, start + 1.6, 0 * start + 1], 1)
    assert nms(boxes, -start, 0.2).tolist() == list(range(0, 600, 2))


def test_an_overlap_that_is_just_allowed_suppresses_none() -> None:
    boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0], [0.0, 0.0, 4.0, 1.0]])
    scores = torch.tensor([0.5, 0.5])
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.49).tolist() == [0]


def test_kept_boxes_do_not_depend_on_the_labels_numbers() -> None:
    boxes, scores, labels = spread(500, 3)
    shuffled = torch.tensor([2**24 - 1, 7, 0, 123_456, 90])[labels]
    assert torch.equal(nms_by_class(boxes, scores, labels, 0.3), nms_by_class(boxes, scores, shuffled, 0.3))


def test_suppression_has_no_gradient_and_scores_may_be_bf16() -> None:
    boxes, scores, labels = spread(100, 4)
    kept = nms_by_class(boxes.requires_grad_(), scores.requires_grad_(), labels, 0.5)
    assert not kept.requires_grad
    rounded = scores.detach().bfloat16()
    assert torch.equal(nms(boxes, rounded, 0.5), nms(boxes, rounded.float(), 0.5))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nms_by_class(boxes, scores, labels, 0.5), kept)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_box_is_best_among_some_that_are_no_numbers(value) -> None:
    boxes, scores, labels = spread(5, 0)
    boxes[3, 1] = value
    with pytest.raises(DataError, match="of 5 boxes a corner or the score is not a finite number"):
        nms(boxes, scores, 0.5)
    with pytest.raises(DataError, match="not a finite number"):
        nms_by_class(spread(5, 0)[0], scores * math.nan, labels, 0.5)


@pytest.mark.slow
def test_an_exported_graph_holds_suppression_as_one_node() -> None:
    class Best(torch.nn.Module):
        def forward(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
            return boxes[nms_by_class(boxes, scores, labels, 0.5)]

    rows = {0: torch.export.Dim("rows", min=2)}
    program = torch.export.export(Best(), spread(30, 1), dynamic_shapes=(rows, rows, rows))
    assert [node.target for node in program.graph.nodes].count(torch.ops.gipi.suppress.default) == 1
    fed = spread(70, 2)
    assert torch.equal(program.module()(*fed), Best()(*fed))


def test_overlaps_and_kept_are_those_of_torchvision() -> None:
    oracle = pytest.importorskip("torchvision.ops", exc_type=(ImportError, RuntimeError))
    for seed in range(20):
        boxes, scores, labels = spread(300, seed)
        torch.testing.assert_close(iou(boxes, boxes), oracle.box_iou(boxes, boxes))
        assert torch.equal(nms(boxes, scores, 0.5), oracle.nms(boxes, scores, 0.5))
        assert torch.equal(nms_by_class(boxes, scores, labels, 0.5), oracle.batched_nms(boxes, scores, labels, 0.5))
