"""The memory that each process of a training needs, and the largest batch that fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from gipi.config import OptimConfig
from gipi.plan.devices import Device
from gipi.plan.roofline import STATES
from gipi.plan.trace import Net

MOST = 1 << 20  # images of a batch that are considered


@dataclass(frozen=True)
class Memory:
    """Bytes of one process at the fullest moment of a step.

    gradients: those that are there at that moment; of several processes or parts, all.  activations: the images and all that the
    passes make, with what the allocator holds beside it.  gathered: the largest block's weights and gradients, whole, while it
    computes (FSDP).  base: PyTorch itself.
    """

    weights: float
    gradients: float
    optimiser: float
    average: float
    activations: float
    gathered: float
    base: float

    @property
    def total(self) -> float:
        return sum(asdict(self).values())


def memory(net: Net, batch: int, optim: OptimConfig, device: Device, *, world: int = 1, shard: bool = False) -> Memory:
    """Memory of each of `world` processes that take `batch` images each, in `optim.accumulate` parts.

    Without `shard` each has a replica (DDP); with it each keeps its part of weights, gradients, states and average (FSDP).
    """
    parts = min(optim.accumulate, batch)
    others, gradients = net.curves(-(-batch // parts))
    share = 1 / world if shard else 1.0
    if world == 1 and parts == 1:  # gradients come while activations go
        fullest = int(np.argmax(others + gradients))
        alive, made = device.held * gradients[fullest], device.held * others[fullest]
    else:  # they lie where they are summed
        alive, made = share * net.weights, device.held * others.max()
    return Memory(
        weights=share * net.weights + net.buffers,
        gradients=float(alive),
        optimiser=share * STATES[optim.name] * net.weights,
        average=share * net.weights + net.buffers if optim.ema else 0.0,
        activations=float(made),
        gathered=2.0 * max(net.groups) if shard and world > 1 else 0.0,
        base=device.base,
    )


def largest_batch(net: Net, optim: OptimConfig, device: Device, *, world: int = 1, shard: bool = False) -> int:
    """The most images a process that fit on the device, 0 if not one does. More images never need less memory."""

    def fits(batch: int) -> bool:
        return memory(net, batch, optim, device, world=world, shard=shard).total <= device.memory

    low, high = 0, 1
    while high <= MOST and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
