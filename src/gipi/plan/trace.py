"""The kernels and the memory of a training step, read off a real one on tensors that have shapes but no values.

The net's own forward and backward pass run under PyTorch's FakeTensorMode: every operation is dispatched, none computes, nothing
is allocated. So any net can be traced on any machine, and what autograd keeps is what autograd keeps, not a table of rules.
The operations are those of the CPU; a GPU's fused kernels (dropout, batch norm) differ a little.

Every size in a step is a straight line in the batch size, so two traces say all about every batch.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gipi.config import NetConfig
from gipi.errors import ConfigError
from gipi.models.kinds import build_net
from gipi.plan.kernels import Kernel, kernels_of, size_of

BATCHES = 2, 4  # traced; any two do
FREE = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}  # a block of memory, no work


@dataclass(frozen=True)
class Step:
    """Forward and backward pass of one batch; its update is no part of it.

    others, gradients: bytes alive after each event of the passes: gradients of weights, and all else but weights and buffers (the
    images, activations, what autograd keeps, scratch).  kept: bytes of `others` at the end of the forward pass, which the
    backward pass needs.
    """

    batch: int
    kernels: tuple[Kernel, ...]
    others: np.ndarray
    gradients: np.ndarray
    kept: float

    @property
    def flops(self) -> float:
        return sum(kernel.flops for kernel in self.kernels)


@dataclass(frozen=True)
class Net:
    """A net's step for every batch size.

    weights: bytes of the weights (float32).  buffers: bytes of batch norm's statistics and the like.  groups: bytes of the
    weights of each of its blocks.  first, second: its step at two batch sizes.
    """

    name: str
    image: tuple[int, int, int]
    parameters: int
    weights: int
    buffers: int
    groups: tuple[int, ...]
    first: Step
    second: Step

    def step(self, batch: int) -> Step:
        """The step of `batch` images."""
        one, two = self.first, self.second
        share = (batch - one.batch) / (two.batch - one.batch)

        def between(a: float, b: float) -> float:
            return a + (b - a) * share

        kernels = tuple(
            Kernel(a.kind, a.backward, between(a.flops, b.flops), between(a.moved, b.moved))
            for a, b in zip(one.kernels, two.kernels, strict=True)
        )
        return Step(batch, kernels, *self.curves(batch), between(one.kept, two.kept))

    def curves(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """`others` and `gradients` of the step of `batch` images."""
        one, two = self.first, self.second
        share = (batch - one.batch) / (two.batch - one.batch)
        return one.others + (two.others - one.others) * share, one.gradients + (two.gradients - one.gradients) * share


def trace(config: NetConfig, image: tuple[int, int, int], precision: torch.dtype, *, parts: int = 1) -> Net:
    """The step of a net of the catalogue on images of `image` (channels, height, width), in training mode.

    precision: of the heavy layers (autocast).  parts: of which the gradients are summed before an update; all after the first are
    alike, so two are traced at most, and `kernels` are those of one.
    Raises ConfigError for an unknown net, or an image that it does not take.
    """
    with FakeTensorMode():
        net = _channels_last(build_net(config.name, config.args).train())
        try:
            first, second = (_step(net, batch, image, precision, parts) for batch in BATCHES)
        except (RuntimeError, ValueError) as error:
            got = "x".join(map(str, image))
            raise ConfigError(f"net {config.name!r} does not take images of {got} (channels, height, width): {error}") from error
        weights, buffers = size_of(net.parameters()), size_of(net.buffers())
        groups = tuple(size for block in _blocks(net) if (size := size_of(block.parameters())))
        parameters = sum(weight.numel() for weight in net.parameters())
    return Net(config.name, image, parameters, weights, buffers, groups, first, second)


def _step(net: nn.Module, batch: int, image: tuple[int, int, int], precision: torch.dtype, parts: int) -> Step:
    net.zero_grad(set_to_none=True)
    labels = torch.zeros(batch, dtype=torch.long)

    def loss_of(images: Tensor) -> Tensor:
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            logits = net(images)
            first, *auxiliary = logits if isinstance(logits, tuple) else (logits,)
            return sum((F.cross_entropy(one.float(), labels) for one in auxiliary), F.cross_entropy(first.float(), labels))

    images = torch.rand(batch, *image).contiguous(memory_format=torch.channels_last)
    if parts > 1:  # the gradients of an earlier part are there
        loss_of(images).backward()
    there = [weight.grad for weight in net.parameters() if weight.grad is not None]
    watch = _Watch((*net.parameters(), *net.buffers(), *there))
    with watch:
        watch.see(images)
        loss = loss_of(images)
        watch.backward, kept = True, watch.alive
        loss.backward()
        owned = {watch.number(weight.grad) for weight in net.parameters() if weight.grad is not None}
    others, gradients = watch.curves(owned)
    return Step(batch, tuple(watch.kernels), others, gradients, kept)


def watched(forward: Callable[[], Tensor], backward: Callable[[Tensor], None]) -> tuple[Kernel, ...]:
    """The kernels of a forward pass and of the backward pass of what it gives, which are run."""
    watch = _Watch(())
    with watch:
        out = forward()
        watch.backward = True
        backward(out)
    return tuple(watch.kernels)


class _Watch(TorchDispatchMode):
    """Notes each kernel, and each block of memory that comes or goes. What is `there` before is not counted."""

    def __init__(self, there: Iterable[Tensor]) -> None:
        super().__init__()
        self.kernels: list[Kernel] = []
        self.backward, self.alive = False, 0
        self._events: list[tuple[int, int]] = []  # (number of the block, bytes: below 0 if it goes)
        self._numbers = weakref.WeakKeyDictionary[Any, int]()
        for tensor in there:
            self._numbers[tensor.untyped_storage()] = -1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        came, went = ([leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)] for value in ((args, kwargs), out))
        new = [self.see(tensor) for tensor in went]
        name = func._schema.name.removeprefix("aten::")
        if name.rstrip("_") not in FREE and (any(new) or func._schema.is_mutable):
            self.kernels += kernels_of(name, args, came, went, self.backward)
        return out

    def see(self, tensor: Tensor) -> bool:
        """Whether the tensor's memory is new."""
        block = tensor.untyped_storage()
        if block in self._numbers:
            return False
        number, size = len(self._events), block.nbytes()
        self._numbers[block] = number
        self._note(number, size)
        weakref.finalize(block, self._note, number, -size)
        return True

    def number(self, tensor: Tensor) -> int:
        return self._numbers[tensor.untyped_storage()]

    def _note(self, number: int, size: int) -> None:
        self._events.append((number, size))
        self.alive += size

    def curves(self, owned: set[int]) -> tuple[np.ndarray, np.ndarray]:
        """Bytes alive after each event: of all other blocks, and of those in `owned`."""
        sizes = np.array([size for _, size in self._events], dtype=np.float64)
        mine = np.array([number in owned for number, _ in self._events])
        return np.cumsum(np.where(mine, 0, sizes)), np.cumsum(np.where(mine, sizes, 0))


def _blocks(net: nn.Module) -> Iterator[nn.Module]:
    """The outermost parts that are no mere rows of layers, which FSDP gathers one at a time."""
    for part in net.children():
        if isinstance(part, nn.Sequential):
            yield from _blocks(part)
        else:
            yield part


def _channels_last(net: nn.Module) -> nn.Module:
    """The net as `Place.put_net` leaves it; fake weights cannot be moved in place."""
    for layer in net.modules():
        for name, weight in list(layer.named_parameters(recurse=False)):
            if weight.ndim == 4:
                setattr(layer, name, nn.Parameter(weight.detach().to(memory_format=torch.channels_last)))
    return net
