"""Schedules are pure functions of the step, within 0 and 1, and one-cycle is the one of torch."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.engine.schedule import SCHEDULES, constant, one_cycle

few = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize("steps", [5, 10, 97, 300])
def test_one_cycle_is_that_of_torch(steps: int):
    """torch puts the highest rate at pct_start * total_steps - 1 and the lowest at total_steps - 1; we at round(0.3 steps) and steps."""
    peak = round(0.3 * steps)
    rule = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        rule,
        max_lr=1.0,
        total_steps=steps + 1,
        pct_start=(peak + 1) / (steps + 1),
        div_factor=25,
        final_div_factor=1e30,
        cycle_momentum=False,
    )
    for step in range(steps + 1):
        assert one_cycle(step, steps) == pytest.approx(oracle.get_last_lr()[0], abs=1e-12)
        if step < steps:
            rule.step()
            oracle.step()


@pytest.mark.parametrize("name", SCHEDULES)
@few
@given(st.integers(1, 10_000), st.data())
def test_a_rate_is_a_share_and_depends_on_the_step_alone(name: str, steps: int, data: st.DataObject):
    schedule = SCHEDULES[name]
    step = data.draw(st.integers(0, steps - 1))
    share = schedule(step, steps)
    assert 0 < share <= 1
    assert schedule(data.draw(st.integers(0, steps - 1)), steps) > 0
    assert schedule(step, steps) == share


@few
@given(st.integers(4, 1000))
def test_one_cycle_rises_then_falls(steps: int):
    shares = [one_cycle(step, steps) for step in range(steps)]
    peak = shares.index(max(shares))
    assert shares[0] == pytest.approx(1 / 25)
    assert shares[peak] == 1.0
    assert abs(peak - 0.3 * steps) <= 1
    assert all(a < b for a, b in pairwise(shares[: peak + 1]))
    assert all(a > b for a, b in pairwise(shares[peak:]))
    assert one_cycle(steps, steps) == 0


def test_constant_is_constant():
    assert {constant(step, 9) for step in range(9)} == {1.0}
