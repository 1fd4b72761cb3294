"""Random numbers that have an address."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.ops.random import normals, uniforms

WORD = 2**64 - 1


def mixed(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & WORD
    return x ^ (x >> 31)


def uniform_by_definition(seed: int, epoch: int, index: int, column: int) -> float:
    """In Python's unbounded integers, cut to 64 bits after each sum."""
    gamma = 0x9E3779B97F4A7C15
    start = mixed((mixed((mixed((seed + gamma) & WORD) + epoch) & WORD) + index) & WORD)
    return (mixed((start + (column + 1) * gamma) & WORD) >> 40) / 2**24


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**63 - 1), max_size=4), st.integers(1, 5))
def test_uniforms_are_their_definition(seed: int, epoch: int, index: list[int], count: int) -> None:
    got = uniforms(seed, epoch, torch.tensor(index, dtype=torch.int64), count)
    assert got.dtype == torch.float32
    assert got.tolist() == [[uniform_by_definition(seed, epoch, i, k) for k in range(count)] for i in index]


def test_splitmix64_is_the_published_one() -> None:
    """The first outputs of SplitMix64 from state 1234567, as its test vectors give them."""
    gamma = 0x9E3779B97F4A7C15
    assert [mixed((1234567 + k * gamma) & WORD) for k in (1, 2)] == [6457827717110365317, 3203168211198807973]


def test_a_sample_has_the_same_numbers_in_any_batch() -> None:
    whole = uniforms(7, 3, torch.arange(100), 4)
    some = torch.tensor([99, 5, 5, 0])
    assert torch.equal(uniforms(7, 3, some, 4), whole[some])
    assert torch.equal(uniforms(7, 3, some, 2), whole[some, :2])


def chi2(values: np.ndarray, *more: np.ndarray, bins: int = 16) -> float:
    """Standard deviations between the counts in equal cells and what uniform, independent numbers would give."""
    joint = np.stack([values, *more], 1)
    counts, _ = np.histogramdd(joint, bins=bins, range=[(0, 1)] * joint.shape[1])
    expected = len(values) / counts.size
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom))


def test_uniforms_are_uniform_and_neighbours_are_independent() -> None:
    index = torch.arange(100_000)
    base = uniforms(0, 0, index, 2).numpy().astype(np.float64)
    neighbours = {
        "column": base[:, 1],
        "index": uniforms(0, 0, index + 1, 1)[:, 0].numpy(),
        "epoch": uniforms(0, 1, index, 1)[:, 0].numpy(),
        "seed": uniforms(1, 0, index, 1)[:, 0].numpy(),
        "index and epoch": uniforms(0, 1, index - 1, 1)[:, 0].numpy(),
        "seed and epoch": uniforms(1, 1, index, 1)[:, 0].numpy(),
    }
    assert base.min() >= 0
    assert base.max() < 1
    assert abs(chi2(base[:, 0], bins=1000)) < 4
    assert abs(chi2((base[:, 0] * 4096) % 1, bins=256)) < 4, "the low bits"
    for name, other in neighbours.items():
        assert abs(chi2(base[:, 0], other)) < 4, name
        assert abs(np.corrcoef(base[:, 0], other)[0, 1]) * math.sqrt(len(index)) < 4, name


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits() -> None:
    index = torch.cat([torch.arange(1000), torch.arange(2**62, 2**62 + 1000)])
    assert torch.equal(uniforms(3, 2, index.cuda(), 6).cpu(), uniforms(3, 2, index, 6))


def test_normals_are_box_and_mullers_of_the_uniforms():
    index = torch.arange(7)
    pairs = uniforms(3, 1, index, 6).double()
    for row, got in zip(pairs, normals(3, 1, index, 5), strict=True):
        wanted = []
        for one, other in row.view(3, 2).tolist():
            radius = math.sqrt(-2 * math.log(1 - one))
            wanted += [radius * math.cos(2 * math.pi * other), radius * math.sin(2 * math.pi * other)]
        assert got.tolist() == pytest.approx(wanted[:5], rel=1e-4, abs=1e-5)


def test_normals_are_normal():
    """Mean, spread and the shares within one, two and three standard deviations."""
    values = normals(11, 0, torch.arange(50_000), 4).flatten()
    assert abs(float(values.mean())) < 0.01
    assert float(values.std()) == pytest.approx(1, abs=0.01)
    for width, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert float((values.abs() < width).float().mean()) == pytest.approx(share, abs=0.003)
    assert torch.corrcoef(normals(11, 0, torch.arange(50_000), 4).T).fill_diagonal_(0).abs().max() < 0.02
