"""The Fréchet distance against the published formula with a matrix square root, and the laws that it obeys."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from gipi.errors import DataError
from gipi.ops.frechet import frechet, moments


def drawn(count: int, width: int, seed: int, rank: int | None = None) -> Tensor:
    """Features that hang together, with a mean of their own."""
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(rank or width, width, generator=random)
    return torch.randn(count, rank or width, generator=random) @ mix + torch.randn(width, generator=random)


def distance(a: Tensor, b: Tensor) -> float:
    return frechet(moments(a), moments(b))


def by_square_root(a: Tensor, b: Tensor) -> float:
    x, y = a.double().numpy(), b.double().numpy()
    one, other = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.real(sqrtm(one @ other))
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one + other - 2 * root))


@pytest.mark.parametrize(("width", "count"), [(2, 50), (7, 40), (30, 400)])
def test_it_is_the_published_formula(width: int, count: int):
    a, b = drawn(count, width, 1), drawn(count + 9, width, 2)
    assert distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-9)


def test_in_one_dimension_it_is_the_difference_of_means_and_of_spreads():
    a, b = drawn(30, 1, 3), 4 * drawn(50, 1, 4)
    known = (a.double().mean() - b.double().mean()) ** 2 + (a.double().std() - b.double().std()) ** 2
    assert distance(a, b) == pytest.approx(float(known), rel=1e-9)


def test_moments_are_numpys():
    features = drawn(40, 6, 5)
    found = moments(features)
    np.testing.assert_allclose(found.mean.numpy(), features.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance.numpy(), np.cov(features.double().numpy(), rowvar=False), rtol=1e-10)
    assert found.count == 40


@pytest.mark.parametrize(("count", "width", "rank"), [(200, 12, 12), (200, 12, 3), (5, 40, 40), (2, 9, 9)])
def test_a_set_is_at_no_distance_of_itself(count: int, width: int, rank: int):
    """Of any rank, and with fewer features than they are wide."""
    features = drawn(count, width, 6, rank)
    scale = float(moments(features).covariance.trace())
    assert 0 <= distance(features, features.flip(0)) < 1e-11 * scale


def test_a_shift_by_v_is_at_a_distance_of_the_square_of_v():
    features, shift = drawn(100, 8, 7), torch.linspace(-2, 3, 8)
    assert distance(features, features + shift) == pytest.approx(float(shift.square().sum()), rel=1e-5)


def test_a_stretch_about_the_mean_is_at_a_distance_of_the_square_of_what_it_adds():
    features = drawn(100, 8, 8).double()
    known = 0.5**2 * float(moments(features).covariance.trace())
    assert distance(features, features.mean(0) + 1.5 * (features - features.mean(0))) == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize("rank", [10, 2])
def test_neither_order_nor_rotation_nor_a_common_shift_matters(rank: int):
    a, b = drawn(60, 10, 9, rank).double(), drawn(80, 10, 10, rank).double()
    turn = torch.linalg.qr(drawn(10, 10, 11).double()).Q
    known = distance(a, b)
    assert distance(b, a) == pytest.approx(known, rel=1e-9)
    assert distance(a @ turn + 5, b @ turn + 5) == pytest.approx(known, rel=1e-9)


def test_with_different_covariances_in_different_planes_nothing_is_shared():
    """Then the root of their product is 0, where a search for a square root of it would fail."""
    a, b = torch.zeros(50, 4).double(), torch.zeros(50, 4).double()
    a[:, :2], b[:, 2:] = drawn(50, 2, 12), drawn(50, 2, 13)
    one, other = moments(a), moments(b)
    known = (one.mean - other.mean).square().sum() + one.covariance.trace() + other.covariance.trace()
    assert frechet(one, other) == pytest.approx(float(known), rel=1e-9)


def test_fewer_features_are_farther_from_their_own_kind():
    """The bias that makes only distances of the same counts compare."""
    few, many = (distance(drawn(2 * n, 20, 14)[:n], drawn(2 * n, 20, 14)[n:]) for n in (60, 6_000))
    assert few > 10 * many > 0


def test_one_feature_has_no_covariance():
    with pytest.raises(DataError, match="2 images or more on either side, got 1"):
        moments(torch.zeros(1, 3))
