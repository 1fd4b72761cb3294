"""Random numbers with an address: Philox by its paper's rounds in Python, and streams that have nothing in common."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.ops.chance import chance

MASK = 2**64 - 1


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x64-10 (Salmon et al. 2011, section 3.3)."""
    for turn in range(10):
        if turn:
            key = [(key[0] + 0x9E3779B97F4A7C15) & MASK, (key[1] + 0xBB67AE8584CAA73B) & MASK]
        first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [(second >> 64) ^ counter[1] ^ key[0], second & MASK, (first >> 64) ^ counter[3] ^ key[1], first & MASK]
    return counter


ADDRESS = st.integers(0, 2**63 - 1)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=ADDRESS, purpose=ADDRESS, number=ADDRESS)
def test_numbers_are_philox_of_their_address(seed: int, purpose: int, number: int):
    """NumPy counts up before each block of four."""
    drawn = chance(seed, purpose, number).bit_generator.random_raw(8)
    assert drawn.tolist() == [word for block in (1, 2) for word in philox([block, number, purpose, 0], [seed, 0])]


def test_the_same_address_gives_the_same_and_any_other_something_else():
    streams = {
        (seed, purpose, number): tuple(chance(seed, purpose, number).bit_generator.random_raw(3).tolist())
        for seed in (0, 1, 2**31)
        for purpose in range(4)
        for number in (0, 1, 2, 2**40)
    }
    assert len({*streams.values()}) == len(streams)
    assert streams[1, 2, 1] == tuple(chance(1, 2, 1).bit_generator.random_raw(3).tolist())


@pytest.mark.parametrize("step", ["number", "purpose", "seed"])
def test_neighbours_have_nothing_in_common(step: str):
    draws = np.array(
        [chance(*(row if step == name else 3 for name in ("seed", "purpose", "number"))).random(20) for row in range(2000)]
    )
    assert draws.mean() == pytest.approx(0.5, abs=0.01)
    across = np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1]
    within = np.corrcoef(draws[:, :-1].ravel(), draws[:, 1:].ravel())[0, 1]
    assert abs(across) < 0.025 > abs(within)
    assert np.histogram(draws[:, 0], 10, (0, 1))[0] == pytest.approx(np.full(10, 200), abs=75)
