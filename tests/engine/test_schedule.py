"""Schedules are pure functions of the step, within 0 and 1, and each is the one of torch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import ceil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
)

from gipi.engine.schedule import SCHEDULES, one_cycle, share

few = settings(max_examples=60, deadline=None)
FALLING = ("step", "thirds", "exponential", "cosine")
STEPS = (5, 10, 97, 300)


def of_torch(make: Callable[[Optimizer], LRScheduler], steps: int) -> list[float]:
    """The rate of each step under a scheduler of torch, the highest being 1."""
    rule = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, rates = make(rule), []
    for _ in range(steps):
        rates.append(rule.param_groups[0]["lr"])
        rule.step()
        schedule.step()
    return rates


def ours(name: str, steps: int, *, warmup: float = 0.0, final: float = 0.01) -> list[float]:
    return [share(name, step, steps, warmup=warmup, final=final) for step in range(steps)]


def oracle(name: str, rule: Optimizer, steps: int, final: float) -> LRScheduler:
    if name == "step":
        return MultiStepLR(rule, [ceil(steps / 2), ceil(steps * 3 / 4)], gamma=final**0.5)
    if name == "thirds":
        return MultiStepLR(rule, [ceil(steps / 3), ceil(steps * 2 / 3)], gamma=final**0.5)
    if name == "exponential":
        return ExponentialLR(rule, gamma=final ** (1 / steps))
    if name == "cosine":
        return CosineAnnealingLR(rule, T_max=steps, eta_min=final)
    return LambdaLR(rule, lambda _: 1.0)


@pytest.mark.parametrize("final", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", [*FALLING, "constant"])
def test_a_schedule_is_that_of_torch(name: str, steps: int, final: float):
    expected = of_torch(lambda rule: oracle(name, rule, steps, final), steps)
    assert ours(name, steps, final=final) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("steps", STEPS)
def test_one_cycle_is_that_of_torch(steps: int):
    """torch puts the highest rate at pct_start * total_steps - 1 and the lowest at total_steps - 1; we at 0.3 steps and steps."""

    def make(rule: Optimizer) -> LRScheduler:
        return OneCycleLR(
            rule,
            max_lr=1.0,
            total_steps=steps + 1,
            pct_start=(0.3 * steps + 1) / (steps + 1),
            div_factor=25,
            final_div_factor=1e30,
            cycle_momentum=False,
        )

    assert ours("one-cycle", steps) == pytest.approx(of_torch(make, steps), abs=1e-12)
    assert one_cycle(1.0, 0.01) == 0


@pytest.mark.parametrize("warmup", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("steps", [50, 97, 300])
@pytest.mark.parametrize("name", [*FALLING, "constant"])
def test_warming_up_is_that_of_torch(name: str, steps: int, warmup: float):
    rising = round(warmup * steps)

    def make(rule: Optimizer) -> LRScheduler:
        line = LinearLR(rule, start_factor=1 / rising, total_iters=rising - 1)
        return SequentialLR(rule, [line, oracle(name, rule, steps - rising, 0.01)], milestones=[rising])

    assert ours(name, steps, warmup=warmup) == pytest.approx(of_torch(make, steps), abs=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
@few
@given(st.integers(1, 10_000), st.data())
def test_a_rate_is_a_share_and_depends_on_the_step_alone(name: str, steps: int, data: st.DataObject):
    step, other = (data.draw(st.integers(0, steps - 1)) for _ in range(2))
    warmup = 0.0 if name == "one-cycle" else data.draw(st.floats(0, 1))
    final = data.draw(st.floats(1e-6, 1))
    rate = share(name, step, steps, warmup=warmup, final=final)
    assert 0 < rate <= 1
    assert share(name, other, steps, warmup=warmup, final=final) > 0
    assert share(name, step, steps, warmup=warmup, final=final) == rate


@pytest.mark.parametrize("name", FALLING)
@few
@given(st.integers(2, 1000), st.floats(1e-6, 0.9), st.floats(0, 0.9))
def test_a_falling_schedule_rises_to_1_then_falls_to_what_is_left(name: str, steps: int, final: float, warmup: float):
    rates = ours(name, steps, warmup=warmup, final=final)
    rising = round(warmup * steps)
    assert all(a < b for a, b in pairwise(rates[:rising]))
    assert rates[max(0, rising - 1)] == 1.0
    assert all(a >= b for a, b in pairwise(rates[max(0, rising - 1) :]))
    assert rates[-1] >= final * (1 - 1e-9)
    assert SCHEDULES[name](1.0, final) == pytest.approx(final)


@few
@given(st.integers(4, 1000))
def test_one_cycle_rises_then_falls(steps: int):
    rates = ours("one-cycle", steps)
    peak = rates.index(max(rates))
    assert rates[0] == pytest.approx(1 / 25)
    assert one_cycle(0.3, 0.01) == 1.0
    assert abs(peak - 0.3 * steps) <= 1
    assert all(a < b for a, b in pairwise(rates[: peak + 1]))
    assert all(a > b for a, b in pairwise(rates[peak:]))


def test_the_peak_is_at_three_tenths_to_the_step():
    assert [ours("one-cycle", steps).index(1.0) for steps in (10, 200, 1230)] == [3, 60, 369]


def test_two_drops():
    assert ours("step", 8, final=0.01) == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert ours("thirds", 9, final=0.01) == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])


def test_cosine_may_fall_to_nothing():
    assert SCHEDULES["cosine"](1.0, 0.0) == 0
    assert min(ours("cosine", 1000, final=0.0)) > 0


def test_all_of_a_training_may_be_warming_up():
    assert ours("cosine", 4, warmup=1.0) == [0.25, 0.5, 0.75, 1.0]
