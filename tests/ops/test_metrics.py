"""Metrics are sums and counts: however the data is cut, the number is the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from gipi.ops.metrics import Mean, confusion_matrix, correct, merge, values

few = settings(max_examples=60, deadline=None)


@st.composite
def shards(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """A size and the cuts of range(size) into consecutive parts, empty ones among them."""
    size = draw(st.integers(1, 40))
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=6)))
    return size, list(zip([0, *cuts], [*cuts, size], strict=True))


def answers(size: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    mixed = torch.Generator().manual_seed(seed)
    return torch.randn(size, classes, generator=mixed), torch.randint(classes, (size,), generator=mixed)


@few
@given(shards(), st.integers(2, 5), st.integers(0, 99))
def test_any_sharding_gives_the_same_accuracy_and_matrix(cut, classes, seed):
    size, parts = cut
    scores, labels = answers(size, classes, seed)
    whole = {"accuracy": correct(scores, labels)}
    matrix = confusion_matrix(labels, scores.argmax(1), classes)
    merged, matrices = {}, torch.zeros(classes, classes, dtype=torch.int64)
    for low, high in parts:
        merged = merge(merged, {"accuracy": correct(scores[low:high], labels[low:high])})
        matrices += confusion_matrix(labels[low:high], scores[low:high].argmax(1), classes)
    assert values(merged) == values(whole)
    assert merged["accuracy"].count == size
    assert torch.equal(matrices, matrix)
    assert values(whole)["accuracy"] == pytest.approx(np.mean(labels.numpy() == scores.numpy().argmax(1)))


@few
@given(st.lists(st.tuples(st.integers(-1000, 1000), st.integers(1, 9)), min_size=1, max_size=8), st.randoms())
def test_merging_in_any_order_and_grouping_gives_the_mean_of_all(parts, random):
    means = [{"loss": Mean(float(total), count)} for total, count in parts]
    want = sum(total for total, _ in parts) / sum(count for _, count in parts)
    left: dict[str, Mean] = {}
    for mean in means:
        left = merge(left, mean)
    random.shuffle(means)
    right: dict[str, Mean] = {}
    for mean in means:
        right = merge(mean, right)
    assert values(left) == values(right) == {"loss": want}


def test_a_mean_of_means_would_be_wrong():
    assert (Mean(1.0, 1) + Mean(0.0, 3)).value == 0.25


def test_a_name_in_one_only_is_kept_and_neither_side_is_changed():
    left, right = {"a": Mean(1.0, 1), "b": Mean(2.0, 1)}, {"b": Mean(4.0, 1), "c": Mean(5.0, 2)}
    before = dict(left), dict(right)
    assert values(merge(left, right)) == {"a": 1.0, "b": 3.0, "c": 2.5}
    assert list(merge(left, right)) == ["a", "b", "c"]  # the headline stays first
    assert (left, right) == before
    assert merge({}, left) == merge(left, {}) == left


def test_a_mean_of_nothing_is_no_number():
    assert math.isnan(Mean(0.0, 0).value)
    assert (Mean(0.0, 0) + Mean(3.0, 2)).value == 1.5
    assert values({}) == {}


def test_a_total_may_stay_a_tensor():
    both = Mean(torch.tensor(1.5), 2) + Mean(torch.tensor(2.5), 2)
    assert isinstance(both.total, torch.Tensor)
    assert both.value == 1.0
    assert type(both.value) is float


@few
@given(st.integers(0, 60), st.integers(2, 6), st.integers(0, 99))
def test_the_confusion_matrix_is_that_of_scikit_learn(size, classes, seed):
    mixed = np.random.default_rng(seed)
    labels, guesses = mixed.integers(classes, size=size), mixed.integers(classes, size=size)
    got = confusion_matrix(torch.from_numpy(labels), torch.from_numpy(guesses), classes)
    want = oracle.confusion_matrix(labels, guesses, labels=range(classes)) if size else np.zeros((classes, classes))
    assert got.shape == (classes, classes)
    assert np.array_equal(got.numpy(), want)


def test_a_row_is_the_label_and_a_column_the_answer():
    assert confusion_matrix(torch.tensor([2]), torch.tensor([0]), 3).tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
