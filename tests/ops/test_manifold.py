"""Precision, recall and nearest images against a search one by one, scikit-learn, and what must hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from gipi.errors import DataError
from gipi.ops import manifold
from gipi.ops.manifold import nearest_images, precision_recall


def drawn(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def within(some: Tensor, others: Tensor, k: int) -> float:
    """Algorithm 1 of the paper, feature by feature."""
    x, y = some.double().numpy(), others.double().numpy()
    radii = [np.sort([np.linalg.norm(a - b) for b in y])[min(k, len(y) - 1)] for a in y]
    return float(np.mean([any(np.linalg.norm(a - b) <= r * (1 + 1e-9) for b, r in zip(y, radii, strict=True)) for a in x]))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 25), st.integers(2, 25), st.integers(1, 4), st.integers(1, 5), st.integers(0, 1000))
def test_precision_and_recall_are_the_papers(real_count: int, made_count: int, width: int, k: int, seed: int):
    real, made = drawn(real_count, width, seed), 1.5 * drawn(made_count, width, seed + 1) + 0.5
    precision, recall = precision_recall(real, made, k)
    assert precision == pytest.approx(within(made, real, k))
    assert recall == pytest.approx(within(real, made, k))


def test_they_are_those_of_scikit_learns_neighbours_and_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch):
    real, made = drawn(300, 6, 1) + 100, 1.3 * drawn(200, 6, 2) + 100.4  # far from 0, where float32 would lose the distances
    shares = []
    for some, others in ((made, real), (real, made)):
        radii = NearestNeighbors(n_neighbors=4).fit(others.double()).kneighbors(others.double())[0][:, 3]
        apart = torch.cdist(some.double(), others.double(), compute_mode="donot_use_mm_for_euclid_dist")
        shares.append(float((apart <= torch.from_numpy(radii)).any(1).double().mean()))
    assert all(0.3 < share < 1 for share in shares)
    assert precision_recall(real, made) == pytest.approx(tuple(shares))
    monkeypatch.setattr(manifold, "AT_ONCE", 700)
    assert precision_recall(real, made) == pytest.approx(tuple(shares))


def test_the_same_images_are_all_within_and_far_ones_none():
    features = drawn(50, 5, 3)
    assert precision_recall(features, features.flip(0)) == (1.0, 1.0)
    assert precision_recall(features, features + 100) == (0.0, 0.0)


def test_copies_are_within_though_their_ball_has_no_radius():
    """More copies of an image than k: the distance of each to the k-th nearest is 0, and rounding must not push it out."""
    images = (100 * drawn(3, 40, 4)).repeat(6, 1)
    assert precision_recall(images, images[:12]) == (1.0, 1.0)
    assert precision_recall(images, images[:12] + 1e-5) == (1.0, 1.0), "the last digit of float32"
    assert precision_recall(images, images[:12] + 0.01) == (0.0, 0.0)


def test_one_mode_of_two_is_precise_but_recalls_half():
    modes = torch.cat([drawn(100, 3, 5), drawn(100, 3, 6) + 50])
    precision, recall = precision_recall(modes, modes[:100])
    assert precision == 1.0
    assert recall == 0.5


def test_blurred_real_ones_swap_precision_and_recall():
    real, made = drawn(80, 4, 7), 0.5 * drawn(90, 4, 8)
    assert precision_recall(real, made) == precision_recall(made, real)[::-1]


@pytest.mark.parametrize(("real", "made"), [(1, 5), (5, 1), (0, 5)])
def test_a_lone_image_has_no_neighbours(real: int, made: int):
    with pytest.raises(DataError, match=f"got {real} real, {made} made"):
        precision_recall(torch.zeros(real, 2), torch.zeros(made, 2))


# --- nearest images


@pytest.mark.parametrize("at_once", [1, 2_000, 1 << 22])
def test_the_nearest_are_scikit_learns(at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(manifold, "AT_ONCE", at_once)
    queries, known = drawn(30, 7, 9) + 10, drawn(200, 7, 10) + 10
    distances, index = nearest_images(queries, known, 4)
    true, places = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(known.double()).kneighbors(queries.double())
    assert (index.numpy() == places).all()
    np.testing.assert_allclose(distances.numpy(), true, rtol=1e-5)


def test_a_copy_is_found_at_distance_0_however_far_from_the_origin():
    known = drawn(100, 9, 11) + 1000
    distances, index = nearest_images(known[[7, 3]], known, 1)
    assert index.tolist() == [[7], [3]]
    assert distances.tolist() == [[0.0], [0.0]]


def test_all_may_be_asked_for_and_not_more():
    known = drawn(5, 2, 12)
    distances, index = nearest_images(drawn(3, 2, 13), known, 5)
    assert (index.sort(1).values == torch.arange(5)).all()
    assert (distances.diff(dim=1) >= 0).all()
    for count in (0, 6):
        with pytest.raises(DataError, match=f"the {count} nearest of 5 images: allowed are 1 to 5"):
            nearest_images(drawn(3, 2, 13), known, count)
