"""What the processes of a training tell each other: sums, parts, and when to stop. Alone, each of these costs nothing."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gipi.engine.place import Place
from gipi.ops.metrics import Mean, Metrics

T = TypeVar("T")


def everyone(value: T, place: Place) -> list[T]:
    """What each process has, by rank. Every process must call it."""
    if place.world == 1:
        return [value]
    values: list[T | None] = [None] * place.world
    dist.all_gather_object(values, value)
    return values  # pyright: ignore[reportReturnType]


def together(metrics: Metrics, place: Place) -> Metrics:
    """The metrics of all processes as one. Every process must call it, with the same names."""
    if place.world == 1 or not metrics:
        return metrics
    totals = torch.tensor([[float(mean.total), mean.count] for mean in metrics.values()], dtype=torch.float64)
    dist.all_reduce(totals)
    return {name: Mean(float(total), round(float(count))) for name, (total, count) in zip(metrics, totals, strict=True)}


def gathered(part: Tensor, place: Place) -> Tensor:
    """The parts (n, ...) that the processes have, one after another, on the CPU. Every process must call it."""
    return torch.cat(everyone(part.cpu(), place))


def same_buffers(net: nn.Module, place: Place) -> None:
    """Give every process the first one's buffers: batch norm's running statistics are else each one's own."""
    if place.world > 1:
        for buffer in net.buffers():
            dist.broadcast(buffer, 0)


class Total:
    """The sum of a number of every process, on its way while other work is done."""

    def __init__(self, number: float, place: Place) -> None:
        self._number = torch.tensor(float(number), dtype=torch.float64)
        self._work = dist.all_reduce(self._number, async_op=True) if place.world > 1 else None

    def wait(self) -> float:
        if self._work:
            self._work.wait()
        return float(self._number)


class Stop:
    """Whether to stop, agreed on by all processes after the same step: the question of one step is answered in the next."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._asked: Total | None = None

    def __call__(self, wanted: bool) -> bool:
        if self._place.world == 1:
            return wanted
        before, self._asked = self._asked, Total(wanted, self._place)
        return before is not None and before.wait() > 0

    def settle(self) -> None:
        """Wait for the last question, which nobody needs an answer to any more: a group with one on its way does not end."""
        if self._asked:
            self._asked.wait()
