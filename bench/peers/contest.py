"""What all contenders share: the digits, the stopwatch and the line of JSON at the end. Each brings a framework of its own.

A contender trains DeepConvNet for 1 + (windows + 1) x steps steps of 100 images. The first step is timed by itself, for
frameworks compile in it; the first window warms up; the others count. This file needs NumPy alone.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BATCH = 100
RATE = 1e-3  # of Adam
SEED = 0


class Contest:
    """To be made before the framework is imported: that import is part of the time to the first step.

    images, held_out: uint8 (n, 28, 28).  labels, held_out_labels: int64 (n,).
    """

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--digits", type=Path, required=True, help="npz file that bench/peers.py writes")
        parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
        parser.add_argument("--variant", default="", help="one of the settings that bench/peers.py tries")
        parser.add_argument("--steps", type=int, default=40, help="in a window")
        parser.add_argument("--windows", type=int, default=5)
        parser.add_argument("--started", type=float, default=time.time(), help="when the process was started")
        asked = parser.parse_args()
        self.precision, self.variant = asked.precision, asked.variant
        self.steps, self.windows = asked.steps, asked.windows
        self.all_steps = 1 + (asked.windows + 1) * asked.steps
        self._started, self._marks = asked.started, [0.0]
        with np.load(asked.digits) as digits:
            self.images, self.labels = digits["images"], digits["labels"]
            self.held_out, self.held_out_labels = digits["held_out"], digits["held_out_labels"]

    def begin(self) -> None:
        """Everything is built: the first step comes now."""
        self._marks = [time.time()]

    def mark(self) -> None:
        """The first step, or a window, is over: its results are there."""
        self._marks.append(time.time())

    def run(self, step: Callable[[], object], wait: Callable[[], object] = lambda: None) -> None:
        """All steps of a contender with a loop of its own. wait: returns when the steps so far are computed."""
        self.begin()
        for count in (1, *[self.steps] * (self.windows + 1)):
            for _ in range(count):
                step()
            wait()
            self.mark()

    def finish(self, parameters: int, right: Callable[[], float]) -> None:
        """Print what was measured. right: computes the share of the held-out digits that the trained net reads right."""
        spans = np.diff(self._marks)
        peak = peak_gib()  # before the evaluation
        result = {
            "images_per_s": [self.steps * BATCH / span for span in spans[2:]],
            "first_step_s": spans[0],
            "start_s": self._marks[1] - self._started,
            "peak_gib": peak,
            "parameters": parameters,
            "accuracy": float(right()),
        }
        print(json.dumps(result))


def peak_gib() -> float:
    """Largest resident size so far. On Linux of this program alone: ru_maxrss starts with the size of who started it."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
