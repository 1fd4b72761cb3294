"""Scores of masks against scikit-learn, against loops over pixels, and against the laws they must keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from torch import Tensor

from gipi.errors import DataError
from gipi.ops.metrics import values
from gipi.ops.segmentation import TOLERANCE, VOID, Boundary, boundary, class_weights, iou, pixel_confusion, segment_scores

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 9999)


def masks(n: int, height: int, width: int, classes: int, seed: int, void: float = 0.2) -> tuple[Tensor, Tensor]:
    """Labels in blobs, some void, and answers that are mostly right."""
    mixed = np.random.default_rng(seed)
    labels = mixed.integers(classes, size=(n, -(-height // 3), -(-width // 3))).repeat(3, 1).repeat(3, 2)[:, :height, :width]
    answers = np.where(mixed.random(labels.shape) < 0.7, np.roll(labels, 1, 2), mixed.integers(classes, size=labels.shape))
    labels = np.where(mixed.random(labels.shape) < void, VOID, labels)
    return torch.from_numpy(labels.astype(np.uint8)), torch.from_numpy(answers.astype(np.uint8))


sizes = st.tuples(st.integers(1, 4), st.integers(1, 14), st.integers(1, 14), st.integers(2, 6), seeds)


# --- the confusion matrix and its scores


@few
@given(sizes, st.sampled_from([0.0, 0.2, 0.9]))
def test_confusion_and_iou_are_those_of_scikit_learn(size, void) -> None:
    labels, answers = masks(*size, void=void)
    classes, known = size[3], labels != VOID
    confusion = pixel_confusion(labels, answers, classes)
    assert (confusion.shape, confusion.dtype) == ((classes, classes), torch.int64)
    truth, guess = labels[known].numpy(), answers[known].numpy()
    if not len(truth):
        assert not confusion.any()
        assert iou(confusion).isnan().all()
        return
    assert np.array_equal(confusion.numpy(), oracle.confusion_matrix(truth, guess, labels=range(classes)))
    nothing = ~np.isin(range(classes), np.concatenate([truth, guess]))
    wanted = oracle.jaccard_score(truth, guess, labels=range(classes), average=None, zero_division=0)
    np.testing.assert_allclose(iou(confusion).numpy(), np.where(nothing, np.nan, wanted), rtol=1e-12)
    scores = segment_scores(confusion)
    assert list(scores) == ["mean_iou", "pixel_accuracy", "class_accuracy"]
    assert scores["mean_iou"].value == pytest.approx(wanted[~nothing].mean())
    assert scores["pixel_accuracy"].value == pytest.approx(oracle.accuracy_score(truth, guess))


@few
@given(sizes)
def test_accuracies_are_those_of_a_loop_over_pixels(size) -> None:
    labels, answers = masks(*size)
    right, there = [0] * size[3], [0] * size[3]
    for label, answer in zip(labels.flatten().tolist(), answers.flatten().tolist(), strict=True):
        if label != VOID:
            there[label] += 1
            right[label] += label == answer
    shares = [hits / pixels for hits, pixels in zip(right, there, strict=True) if pixels]
    scores = segment_scores(pixel_confusion(labels, answers, size[3]))
    assert (scores["pixel_accuracy"].total, scores["pixel_accuracy"].count) == (sum(right), sum(there))
    assert scores["class_accuracy"].count == len(shares)
    if shares:
        assert scores["class_accuracy"].value == pytest.approx(sum(shares) / len(shares))
    else:
        assert all(math.isnan(value) for value in values(scores).values())


@few
@given(sizes, st.lists(st.integers(0, 4), max_size=4))
def test_parts_add_up_to_the_whole(size, cuts) -> None:
    labels, answers = masks(*size)
    parts = list(zip(*(mask.tensor_split(sorted(cuts)) for mask in (labels, answers)), strict=True))
    whole = pixel_confusion(labels, answers, size[3])
    assert torch.equal(sum((pixel_confusion(*part, size[3]) for part in parts), torch.zeros_like(whole)), whole)
    together, merged = boundary(labels, answers, size[3], 0.1), None
    for part in parts:
        one = boundary(*part, size[3], 0.1)
        merged = one if merged is None else merged + one
    assert isinstance(merged, Boundary)
    assert merged.score.count == together.score.count
    assert merged.score.total == pytest.approx(together.score.total, abs=1e-12)
    assert torch.equal(merged.images, together.images)
    torch.testing.assert_close(merged.f1, together.f1, rtol=0, atol=1e-12)


@few
@given(sizes, st.randoms())
def test_other_numbers_for_the_classes_change_no_score(size, random) -> None:
    labels, answers = masks(*size)
    classes = size[3]
    order = list(range(classes))
    random.shuffle(order)
    table = torch.full((256,), VOID, dtype=torch.uint8)
    table[:classes] = torch.tensor(order, dtype=torch.uint8)
    renamed, answered = table[labels.int()], table[answers.int()]
    before, after = pixel_confusion(labels, answers, classes), pixel_confusion(renamed, answered, classes)
    torch.testing.assert_close(iou(after)[order], iou(before), equal_nan=True)
    assert values(segment_scores(after)) == pytest.approx(values(segment_scores(before)), nan_ok=True)
    edges, again = boundary(labels, answers, classes, 0.1), boundary(renamed, answered, classes, 0.1)
    torch.testing.assert_close(again.classes[order], edges.classes, equal_nan=True)
    assert again.value == pytest.approx(edges.value, nan_ok=True)


@few
@given(sizes)
def test_the_right_answer_scores_one_whatever_void_is_called(size) -> None:
    labels, answers = masks(*size)
    classes = size[3]
    perfect = torch.where(labels == VOID, answers, labels)
    confusion = pixel_confusion(labels, perfect, classes)
    assert not (confusion - confusion.diag().diag()).any()
    for score in segment_scores(confusion).values():
        assert score.value == 1 or (labels == VOID).all()
    edges = boundary(labels, perfect, classes, 0.0)
    assert edges.value == 1 or not edges.images.any()
    assert ((edges.classes == 1) | (edges.images == 0)).all()


def test_a_row_is_the_label_and_a_column_the_answer() -> None:
    one = torch.tensor([[[2, VOID]]], dtype=torch.uint8)
    assert pixel_confusion(one, torch.zeros_like(one), 3).tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_scores_by_hand() -> None:
    """3 pixels of class 0, 1 of class 1, none of class 2, which one is called; nothing of class 3."""
    scores = segment_scores(torch.tensor([[2, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))
    assert values(scores) == pytest.approx(
        {"mean_iou": (2 / 3 + 1 + 0) / 3, "pixel_accuracy": 3 / 4, "class_accuracy": (2 / 3 + 1) / 2}
    )
    assert [score.count for score in scores.values()] == [3, 4, 2]


@pytest.mark.parametrize(
    ("label", "answer", "says"),
    [(3, 0, "labels up to 3"), (0, 3, "answers up to 3"), (0, VOID, "answers up to 255"), (254, 1, "254")],
)
def test_a_class_that_is_none_is_refused(label: int, answer: int, says: str) -> None:
    labels, answers = (torch.full((1, 1, 2), value, dtype=torch.uint8) for value in (label, answer))
    with pytest.raises(DataError, match=f"{says}.*allowed are 0 to 2"):
        pixel_confusion(labels, answers, 3)


def test_255_classes_are_possible() -> None:
    labels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    confusion = pixel_confusion(labels, labels.clamp(max=254), 255)
    assert torch.equal(confusion, torch.eye(255, dtype=torch.int64))


# --- boundaries


def boundary_by_loops(
    labels: np.ndarray, answers: np.ndarray, classes: int, tolerance: float
) -> tuple[list[float], list[list[float]]]:
    """(score of each image that has one, F1 of each class in the images that have it)."""
    scores, each = [], [[] for _ in range(classes)]
    for label, answer in zip(labels.tolist(), answers.tolist(), strict=True):
        height, width = len(label), len(label[0])
        reach = tolerance * math.sqrt(height**2 + width**2)

        def edge(mask, wanted, label=label, height=height, width=width):
            found = []
            for y in range(height):
                for x in range(width):
                    beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                    inside = [(j, i) for j, i in beside if 0 <= j < height and 0 <= i < width and label[j][i] != VOID]
                    if label[y][x] != VOID and mask[y][x] == wanted and any(mask[j][i] != wanted for j, i in inside):
                        found.append((y, x))
            return found

        image = []
        for wanted in range(classes):
            truth, guess = edge(label, wanted), edge(answer, wanted)
            if not truth:
                continue
            hits = sum(any(math.dist(a, b) <= reach for b in truth) for a in guess)
            found = sum(any(math.dist(a, b) <= reach for b in guess) for a in truth)
            precision, recall = hits / len(guess) if guess else 0.0, found / len(truth)
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            image.append(f1)
            each[wanted].append(f1)
        if image:
            scores.append(sum(image) / len(image))
    return scores, each


@few
@given(sizes, st.sampled_from([0.0, 0.07, 0.1, 0.17, 0.4, 1.5]), st.sampled_from([0.0, 0.05, 0.3]))
def test_boundary_f1_is_its_definition(size, tolerance, void) -> None:
    labels, answers = masks(*size, void=void)
    got = boundary(labels, answers, size[3], tolerance)
    scores, each = boundary_by_loops(labels.numpy(), answers.numpy(), size[3], tolerance)
    assert got.score.count == len(scores)
    assert got.score.total == pytest.approx(sum(scores))
    assert got.images.tolist() == [len(one) for one in each]
    assert got.f1.tolist() == pytest.approx([sum(one) for one in each])
    assert got.classes.tolist() == pytest.approx([sum(one) / len(one) if one else math.nan for one in each], nan_ok=True)
    assert got.value == pytest.approx(sum(scores) / len(scores) if scores else math.nan, nan_ok=True)


def halves(edge: int) -> Tensor:
    """Class 0 to the left of a column, class 1 from it on, in 30 rows of 40: the diagonal is 50."""
    mask = torch.zeros(1, 30, 40, dtype=torch.uint8)
    mask[..., edge:] = 1
    return mask


@pytest.mark.parametrize(("tolerance", "near"), [(0.0, 0), (0.039, 1), (0.041, 2), (0.059, 2), (0.061, 3)])
def test_the_tolerance_is_a_share_of_the_diagonal(tolerance: float, near: int) -> None:
    for off in range(6):
        assert boundary(halves(20), halves(20 + off), 2, tolerance).value == float(off <= near)


def test_the_published_tolerance_is_four_pixels_of_a_camvid_image() -> None:
    """0.75 % of the diagonal of 360 x 480 pixels is 4.5."""
    assert TOLERANCE == 0.0075
    label, near, far = (torch.zeros(1, 360, 480, dtype=torch.uint8) for _ in range(3))
    label[..., 240:], near[..., 244:], far[..., 245:] = 1, 1, 1
    assert boundary(label, near, 2).value == 1
    assert boundary(label, far, 2).value == 0


def test_a_class_that_is_missed_scores_nothing_and_one_invented_is_not_counted() -> None:
    blank, both = torch.zeros(1, 30, 40, dtype=torch.uint8), halves(20)
    missed = boundary(both, blank, 2)
    assert (missed.value, missed.images.tolist()) == (0, [1, 1])
    invented = boundary(blank, both, 2)
    assert math.isnan(invented.value)
    assert invented.images.tolist() == [0, 0]
    assert (missed + invented).value == 0
    assert (missed + boundary(both, both, 2)).value == 0.5


def test_no_boundary_is_seen_through_void() -> None:
    label, answer = halves(20), halves(20)
    label[..., 19:21] = VOID
    assert boundary(label, answer, 2).score.count == 0
    label[:, :10, 19], label[:, :10, 20] = 0, 1
    assert boundary(label, answer, 2, 0.0).value == 1


# --- weights of the classes


def weights_by_loops(counts: list[list[int]]) -> list[float]:
    """Eigen and Fergus: the median of the frequencies over each; then scaled to a mean of 1 over the pixels."""
    frequencies = []
    for c in range(len(counts[0])):
        pixels = sum(image[c] for image in counts)
        frequencies.append(pixels / sum(sum(image) for image in counts if image[c]) if pixels else 0.0)
    median = float(np.median([frequency for frequency in frequencies if frequency]))
    weights = [median / frequency if frequency else 0.0 for frequency in frequencies]
    pixels = [sum(image[c] for image in counts) for c in range(len(weights))]
    mean = sum(weight * count for weight, count in zip(weights, pixels, strict=True)) / sum(pixels)
    return [weight / mean for weight in weights]


@few
@given(
    st.integers(1, 5).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 3) | st.integers(0, 10**9), min_size=k, max_size=k), min_size=1, max_size=5)
    )
)
def test_weights_are_those_of_median_frequency_balancing(counts) -> None:
    if not any(map(any, counts)):
        with pytest.raises(DataError, match="no pixel"):
            class_weights(torch.tensor(counts))
        return
    weights = class_weights(torch.tensor(counts))
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx(weights_by_loops(counts), rel=1e-5)


def test_weights_by_hand() -> None:
    """In one image 90 pixels of a class and 10 of another, in the other image 100 of the first; a third class is nowhere."""
    weights = class_weights(torch.tensor([[90, 10, 0], [100, 0, 0]]))
    assert (weights[1] / weights[0]).item() == pytest.approx((190 / 200) / (10 / 100))
    assert weights[2] == 0
    assert (weights * torch.tensor([190, 10, 0])).sum().item() == pytest.approx(200)


@pytest.mark.gpu
def test_a_gpu_counts_the_same() -> None:
    labels, answers = masks(6, 40, 50, 5, 3)
    here, there = (pixel_confusion(labels.to(device), answers.to(device), 5) for device in ("cpu", "cuda"))
    assert torch.equal(there.cpu(), here)
    at, too = (boundary(labels.to(device), answers.to(device), 5, 0.05) for device in ("cpu", "cuda"))
    assert too.value == pytest.approx(at.value)
