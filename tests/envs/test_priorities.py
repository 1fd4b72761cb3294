"""The sum tree against plain cumulative sums over all places, its draws against the probabilities, its weights against the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from gipi.envs.priorities import FAN, Priorities
from gipi.errors import RunError

SIZES = [1, 2, FAN - 1, FAN, FAN + 1, 1000, FAN * FAN + 17]


class Plain:
    """The same without a tree: one array of priorities, summed as a whole for each draw."""

    def __init__(self, size: int, alpha: float) -> None:
        self.priorities, self.alpha, self.greatest = np.zeros(size), alpha, 1.0

    def add(self, index: np.ndarray) -> None:
        for place in index:
            self.priorities[place] = self.greatest

    def remove(self, index: np.ndarray) -> None:
        for place in index:
            self.priorities[place] = 0.0

    def set(self, index: np.ndarray, errors: np.ndarray) -> None:
        for place, error in zip(index, errors, strict=True):
            if self.priorities[place] > 0:
                self.priorities[place] = (abs(float(error)) + 1e-6) ** self.alpha
                self.greatest = max(self.greatest, self.priorities[place])

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        sums = self.priorities.cumsum()
        sought = (np.arange(count) + rng.random(count)) * (sums[-1] / count)
        return np.searchsorted(sums, sought, side="right")


def everywhere(size: int, alpha: float = 0.6, seed: int = 0) -> Priorities:
    """Errors from 0 to about 8 in every place."""
    tree, mixed = Priorities(size, alpha), np.random.default_rng(seed)
    tree.add(np.arange(size))
    tree.set(np.arange(size), mixed.exponential(size=size).astype(np.float32))
    return tree


def probabilities(tree: Priorities) -> np.ndarray:
    leaves = tree.state_dict()["priorities"].numpy()
    return leaves / leaves.sum()


def random_step(tree: Priorities | Plain, mixed: np.random.Generator, size: int) -> None:
    index = mixed.integers(size, size=mixed.integers(1, 40))  # some twice
    errors = mixed.standard_cauchy(len(index)).astype(np.float32)
    [lambda: tree.add(index), lambda: tree.remove(index), lambda: tree.set(index, errors)][mixed.integers(3)]()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("alpha", [0.6, 1.0])
def test_any_sequence_gives_what_plain_sums_give(size: int, alpha: float) -> None:
    tree, plain = Priorities(size, alpha), Plain(size, alpha)
    ours, theirs = np.random.default_rng(size), np.random.default_rng(size)
    for turn in range(60):
        random_step(tree, ours, size)
        random_step(plain, theirs, size)
        leaves = tree.state_dict()["priorities"].numpy()
        assert np.allclose(leaves, plain.priorities, rtol=1e-12, atol=0), turn
        assert tree.total == pytest.approx(leaves.sum(), rel=1e-12)
        if tree.total:
            drawn, wanted = tree.draw(np.random.default_rng(turn), 50), plain.draw(np.random.default_rng(turn), 50)
            assert np.array_equal(drawn, wanted)
            assert drawn.dtype == np.int64
            assert (leaves[drawn] > 0).all()


def test_places_are_drawn_as_often_as_their_priority_says() -> None:
    tree, rng, draws, count = everywhere(300), np.random.default_rng(1), 4000, 32
    expected = probabilities(tree) * draws * count
    seen = np.bincount(np.concatenate([tree.draw(rng, count) for _ in range(draws)]), minlength=300)
    assert expected.min() > 1
    assert ((seen - expected) ** 2 / expected).sum() < chi2.ppf(0.9999, 299)  # strata only lessen the spread
    assert np.corrcoef(seen, expected)[0, 1] > 0.99
    assert expected.max() > 20 * expected.min()


def test_each_equal_part_of_the_sum_gives_one() -> None:
    tree, rng, count = everywhere(500), np.random.default_rng(2), 32
    ends = probabilities(tree).cumsum() * count
    for _ in range(50):
        drawn = tree.draw(rng, count)
        assert (ends[drawn] >= np.arange(count) - 1e-9).all()
        assert ((ends[drawn] - probabilities(tree)[drawn] * count) <= np.arange(count) + 1 + 1e-9).all()


def test_what_lies_in_as_many_like_places_is_drawn_once_each() -> None:
    tree = Priorities(1000)
    places = np.array([3, 500, 501, 998])
    tree.add(places)
    assert tree.draw(np.random.default_rng(0), 4).tolist() == places.tolist()
    assert tree.draw(np.random.default_rng(0), 8).tolist() == places.repeat(2).tolist()


@pytest.mark.parametrize("share", [0.0, 1 - 2**-53])
def test_nothing_but_what_lies_there_is_drawn_at_the_edges_of_the_sum(share: float) -> None:
    class Edge(np.random.Generator):
        def random(self, size: Any = None, *_: Any, **__: Any) -> Any:
            return np.full(size, share)

    mixed = np.random.default_rng(3)
    for _ in range(100):
        tree, places = Priorities(3000), np.sort(mixed.choice(np.arange(1, 2999), 7, replace=False))
        tree.add(places)
        tree.set(places, mixed.standard_cauchy(7))
        for count in (1, 3, 32):
            assert np.isin(tree.draw(Edge(np.random.PCG64()), count), places).all()


def test_removed_places_are_not_drawn_until_added_again() -> None:
    tree, rng = everywhere(200), np.random.default_rng(4)
    gone = np.arange(0, 200, 3)
    tree.remove(gone)
    tree.set(gone, np.full(len(gone), 100.0))
    assert not np.isin(tree.draw(rng, 5000), gone).any()
    tree.add(gone[:1])  # with the greatest priority so far, of which 100 is none
    assert probabilities(tree)[0] == probabilities(tree).max()
    assert probabilities(tree)[0] < 2 * np.sort(probabilities(tree))[-3]
    assert (tree.draw(rng, 5000) == 0).any()


def test_new_transitions_have_the_greatest_priority_that_ever_was() -> None:
    tree = Priorities(10)
    tree.add(np.array([0, 1]))
    assert probabilities(tree)[:3].tolist() == [0.5, 0.5, 0.0]
    tree.set(np.array([0, 1]), np.array([-7.0, 0.0]))
    tree.set(np.array([0]), np.array([0.5]))
    tree.add(np.array([2]))
    wanted = np.array([0.500001, 0.000001, 7.000001]) ** 0.6
    assert np.allclose(probabilities(tree)[:3], wanted / wanted.sum())


def test_of_an_index_that_comes_twice_the_last_error_counts() -> None:
    tree, once = everywhere(100), everywhere(100)
    tree.set(np.array([5, 9, 5, 5]), np.array([1.0, 2.0, 3.0, 4.0]))
    once.set(np.array([9, 5]), np.array([2.0, 4.0]))
    assert np.array_equal(probabilities(tree), probabilities(once))
    assert tree.total == once.total


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_weights_are_those_of_the_paper(beta: float) -> None:
    tree, filled = everywhere(700, alpha=0.7), 690
    tree.remove(np.arange(10))
    index = tree.draw(np.random.default_rng(5), 32)
    wanted = (1 / filled * 1 / probabilities(tree)[index]) ** beta
    weights = tree.weights(index, beta)
    assert weights.dtype == np.float32
    assert np.allclose(weights, wanted / wanted.max(), rtol=1e-6)
    assert weights.max() == 1


def test_alpha_0_draws_all_alike() -> None:
    tree = everywhere(50, alpha=0.0)
    assert np.allclose(probabilities(tree), 1 / 50)
    assert tree.draw(np.random.default_rng(0), 50).tolist() == list(range(50))


@pytest.mark.parametrize("size", SIZES)
def test_a_resumed_tree_goes_on_to_the_bit(size: int) -> None:
    straight, mixed = Priorities(size), np.random.default_rng(6)
    straight.add(np.arange(size))
    for _ in range(30):
        random_step(straight, mixed, size)
    straight.add(np.array([0]))
    resumed = Priorities(size)
    saved = straight.state_dict()
    resumed.load_state_dict(saved)
    first, second = np.random.default_rng(7), np.random.default_rng(7)
    for _ in range(30):
        assert resumed.total == straight.total
        for tree, rng in ((straight, first), (resumed, second)):
            if tree.total:
                tree.set(tree.draw(rng, 32), rng.exponential(size=32))
            random_step(tree, rng, size)
    assert np.array_equal(resumed.state_dict()["priorities"], straight.state_dict()["priorities"])
    assert not np.array_equal(saved["priorities"], straight.state_dict()["priorities"])  # a copy was saved


def test_nothing_to_draw_from_is_told() -> None:
    tree = Priorities(100)
    with pytest.raises(RunError, match="no transition to draw from"):
        tree.draw(np.random.default_rng(0), 4)
