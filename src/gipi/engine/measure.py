"""How fast a training goes and when it will end."""

from __future__ import annotations

import time


class Meter:
    """Clock of a training that may have been resumed: `spent_s` is what earlier parts took."""

    def __init__(self, step: int, steps: int, spent_s: float) -> None:
        self._steps = steps
        self._origin_s = time.perf_counter() - spent_s
        self._mark = step, time.perf_counter()
        self._busy_s = 0.0
        self._first_step = step

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._origin_s

    def lap(self, step: int, count: float) -> dict[str, float]:
        """Since the last lap or pause: samples a second, `count` of them seen, and the time left at the mean rate so far."""
        now = time.perf_counter()
        lap_s = max(now - self._mark[1], 1e-9)
        self._busy_s += lap_s
        self._mark = step, now
        left_s = self._busy_s / max(1, step - self._first_step) * (self._steps - step)
        return {"samples_per_s": round(count / lap_s, 1), "left_s": round(left_s, 1)}

    def pause(self) -> None:
        """What happened since the last lap (evaluation, saving) is not training."""
        self._mark = self._mark[0], time.perf_counter()
