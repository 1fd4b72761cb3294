"""The bound of a training step: its convolutions and affine layers timed alone, forward and backward; and where its time goes."""

from __future__ import annotations

import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from gipi.bench.timing import windows
from gipi.engine.place import Place
from gipi.inspect.layers import observe

HEAVY = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
LAYER_S = 0.1  # about how long a window of one layer takes
PROFILED = 3  # steps
KINDS = {  # of an operation, by a part of its name
    "convolution": ("conv",),
    "affine": ("addmm", "::mm", "linear"),
    "batch norm": ("batch_norm",),
    "pooling": ("pool",),
    "activation": ("relu", "threshold", "clamp_min"),
    "update": ("adam", "sgd", "adagrad", "foreach"),
}


class Alone(NamedTuple):
    """A layer timed alone: seconds, forward and backward, for a batch."""

    name: str
    seconds: float


def layers_alone(net: nn.Module, image: tuple[int, int, int], batch: int, place: Place) -> list[Alone]:
    """Each layer of the net that multiplies, in the order of a forward pass, in the place's number and memory format.

    image: channels, height, width of what the net is fed. The first layer's input needs no gradient, as in training.
    Raises ConfigError if the net does not take such an image.
    """
    found: list[tuple[str, nn.Module, torch.Size]] = []

    def visit(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(layer, HEAVY):
            found.append((name, layer, inputs[0].shape[1:]))

    observe(net, torch.zeros(1, *image), visit)
    return [
        Alone(name, statistics.median(_alone(layer, shape, batch, place, first=number == 0)))
        for number, (name, layer, shape) in enumerate(found)
    ]


def _alone(layer: nn.Module, shape: torch.Size, batch: int, place: Place, *, first: bool) -> tuple[float, ...]:
    layer = place.put_net(deepcopy(layer)).train()
    inputs = torch.rand(batch, *shape, device=place.device, dtype=place.dtype)
    inputs = (place.put_images(inputs) if inputs.ndim == 4 else inputs).requires_grad_(not first)
    with place.autocast(), torch.no_grad():
        gradient = torch.rand_like(layer(inputs))

    def once() -> None:
        layer.zero_grad()
        inputs.grad = None
        with place.autocast():
            out: Tensor = layer(inputs)
        out.backward(gradient)

    once()
    return windows(once, place, window_s=LAYER_S)


def time_by_kind(work: Callable[[], object], place: Place) -> dict[str, float]:
    """Share of the time that each kind of operation takes of some steps of `work`, the largest first."""
    cuda = place.device.type == "cuda"
    with _silence(), profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
        for _ in range(PROFILED):
            work()
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        if event.device_type.name == "CPU":  # on CUDA: what an operation launched, not the kernel again
            kind = next((kind for kind, parts in KINDS.items() if any(part in event.key.lower() for part in parts)), "other")
            spent[kind] += event.self_device_time_total if cuda else event.self_cpu_time_total
    return {kind: value / spent.total() for kind, value in spent.most_common()}


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing on stderr: the profiler's library announces its start and stop there, whatever its log level."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
