"""The clock of a training, with a clock of our own behind it."""

from __future__ import annotations

import pytest

from gipi.engine import measure
from gipi.engine.measure import Meter


class Clock:
    now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def run(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    return clock


def test_a_lap_is_samples_a_second_and_the_rest_at_the_mean_rate(clock: Clock):
    meter = Meter(0, 100, 0.0)
    clock.run(2)
    assert meter.lap(10, 500) == {"samples_per_s": 250.0, "left_s": 18.0}
    clock.run(8)
    assert meter.lap(20, 500) == {"samples_per_s": 62.5, "left_s": 40.0}
    assert meter.elapsed_s() == 10.0


def test_what_is_not_training_counts_as_time_but_not_as_speed(clock: Clock):
    meter = Meter(0, 20, 0.0)
    clock.run(2)
    meter.lap(10, 100)
    clock.run(50)
    meter.pause()
    clock.run(2)
    assert meter.lap(20, 100) == {"samples_per_s": 50.0, "left_s": 0.0}
    assert meter.elapsed_s() == 54.0


def test_a_resumed_clock_goes_on_and_judges_by_its_own_steps(clock: Clock):
    meter = Meter(50, 100, 300.0)
    assert meter.elapsed_s() == 300.0
    clock.run(5)
    assert meter.lap(60, 100) == {"samples_per_s": 20.0, "left_s": 20.0}
    assert meter.elapsed_s() == 305.0


def test_a_lap_shorter_than_the_clock_can_tell_is_no_error(clock: Clock):
    lap = Meter(0, 10, 0.0).lap(1, 100)
    assert lap["left_s"] == 0.0
    assert lap["samples_per_s"] >= 0
