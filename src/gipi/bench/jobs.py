"""What a process of its own can be asked to measure, by name: JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from gipi.bench import predict
from gipi.bench.loops import LOOPS, images_of
from gipi.bench.rungs import Rung
from gipi.bench.timing import peak_memory, seconds, windows
from gipi.config import Config
from gipi.engine.machine import keep_memory
from gipi.engine.peaks import copy_peak, matmul_peak, wait
from gipi.engine.place import Place, decide_place, place_for
from gipi.engine.ranks import joined, launched


def train(rung: dict[str, Any], config: dict[str, Any], steps: int, window: int) -> dict[str, Any]:
    """Train by a rung: `steps` steps and a look at the held-out images, then windows of `window` steps against the clock.

    first_step_s: of the first step, which compiles where that is asked for.
    """
    how, plan = Rung(**rung), Config.from_json(config)
    place, group = _place(how, plan)
    with group:
        # A DataLoader and NumPy read main memory.
        here = place if how.loop == "gipi" else Place(torch.device("cpu"), "fp32", place.seed)
        train_on, held_out = images_of(plan, here)
        learner = LOOPS[how.loop](how, plan, train_on, held_out, place)
        losses: list[torch.Tensor] = []
        first_s = seconds(lambda: losses.append(next(learner.losses)), place)
        losses += [next(learner.losses) for _ in range(steps - 1)]
        wait(place)
        accuracy = learner.accuracy()
        times = windows(lambda: next(learner.losses), place, window)
        return {
            "images_per_s": [plan.data.batch / step_s for step_s in times],
            "accuracy": accuracy,
            "checked": len(held_out),
            "loss": float(losses[-1]),
            "first_step_s": first_s,
            **peak_memory(place),
        }


def _place(rung: Rung, config: Config) -> tuple[Place, AbstractContextManager[None]]:
    """Where a rung is trained, and the group of its processes. Only what the rung adds is set up."""
    rank, world = launched()
    if rung.loop == "gipi":
        place = place_for(config.run, rank=rank, world=world)
        return place, joined(place, config.run.timeout_s, {})
    if rung.keep_memory:
        keep_memory()
    device = torch.device("cpu" if rung.loop == "numpy" else config.run.device)
    layout = "channels-last" if rung.channels_last else "contiguous"
    return Place(device, rung.precision, config.run.seed, layout), nullcontext()


def peaks(device: str, precisions: list[str]) -> dict[str, Any]:
    """What the device can do at best: operations a second of a large product in each number format, bytes a second of a copy."""
    # One place after the other: TF32 is a setting of the process.
    matmul = {name: matmul_peak(decide_place(device=device, precision=name)) for name in precisions}
    return {"matmul": matmul, "copy": copy_peak(decide_place(device=device))}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"train": train, "peaks": peaks, "predict": predict.measure}
