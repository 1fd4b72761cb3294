"""Training images/s of 4 members of an ensemble of DeepConvNet, batch 100: one stacked net against one member after another.

On a GPU, if there is one, else on the CPU. It decides the entries of TOGETHER in src/gipi/tasks/members.py.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

import gipi
from common import row, write
from gipi.engine.place import Place, decide_place
from gipi.tasks.classify import Classify
from gipi.tasks.stacked import StackedClassify

MEMBERS = 4
REPEATS = 7
STEPS = 20  # of each member in a repeat


def speed(tasks: Sequence[Classify | StackedClassify], images: int, place: Place) -> float:
    """Images/s of `STEPS` steps of each task, one task after another."""
    start = time.perf_counter()
    for task in tasks:
        source = task.source()
        for _ in range(STEPS):
            task.step(next(source))
    if place.device.type == "cuda":
        torch.cuda.synchronize()
    return MEMBERS * STEPS * images / (time.perf_counter() - start)


def measure() -> tuple[dict[str, list[float]], Place]:
    """Speeds of each way, the repeats taking turns so that what else the machine does meets both."""
    config = gipi.RECIPES["deepconvnet-mnist"].config
    config = replace(config, run=replace(config.run, members=MEMBERS))
    place = decide_place()
    ways = {
        "together": [StackedClassify(config, place)],
        "one after another": [Classify(member, place) for member in config.members()],
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, tasks in ways.items():
            value = speed(tasks, config.data.batch, place)
            if repeat:  # the first warms up
                speeds[name].append(value)
    return speeds, place


def main() -> None:
    speeds, place = measure()
    gpu = place.device.type == "cuda"
    note = f"{MEMBERS} members, batch 100, {torch.cuda.get_device_name(place.device) if gpu else place}"
    rows = [row(name, values, "images/s", note=note) for name, values in speeds.items()]
    ratios = [ours / theirs for ours, theirs in zip(*speeds.values(), strict=True)]
    rows.append(row("together over one after another", ratios, "x", note=note))
    write("members.gpu" if gpu else "members", rows)


if __name__ == "__main__":
    main()
