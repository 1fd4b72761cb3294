"""The kernels that an operation of PyTorch stands for: their kind, arithmetic and memory traffic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

FEW = 4  # channels of an image: a convolution of so few cannot fill a machine's vectors
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}
WORDS: tuple[tuple[str, str], ...] = (
    ("batch_norm", "batch norm"),
    ("pool", "pool"),
    ("bernoulli", "dropout"),
    ("dropout", "dropout"),
)


@dataclass(frozen=True)
class Kernel:
    """One operation.

    kind: conv, conv 1x1, depthwise, first conv, affine, batch norm, pool, dropout or elementwise.  flops: floating-point
    operations.  moved: bytes that it reads and writes, each tensor once.
    """

    kind: str
    backward: bool
    flops: float
    moved: float


def kernels_of(name: str, args: Any, came: list[Tensor], went: list[Tensor], backward: bool) -> Iterator[Kernel]:
    """What an operation does: one kernel, or two for the gradients of a convolution."""
    moved = size_of(came) + size_of(went)
    if name == "convolution":
        _, weight = args[:2]
        yield Kernel(_conv(weight, args[8]), backward, _conv_flops(weight, went[0]), moved)
    elif name == "convolution_backward":
        gradient, images, weight = args[:3]
        flops, kind = _conv_flops(weight, gradient), _conv(weight, args[9])
        for wanted, read, written in ((args[10][0], weight, images), (args[10][1], images, weight)):
            if wanted:
                yield Kernel(kind, backward, flops, size_of((gradient, read, written)))
    elif name in PRODUCTS:
        left = came[-2]
        yield Kernel("affine", backward, 2.0 * went[0].numel() * left.shape[-1], moved)
    else:
        yield Kernel(next((kind for word, kind in WORDS if word in name), "elementwise"), backward, 0.0, moved)


def _conv(weight: Tensor, groups: int) -> str:
    if groups > 1 and weight.shape[1] == 1:
        return "depthwise"
    if weight.shape[1] <= FEW:
        return "first conv"
    return "conv 1x1" if weight.shape[2:].numel() == 1 else "conv"


def _conv_flops(weight: Tensor, out: Tensor) -> float:
    """Two for each weight and place of the output."""
    return 2.0 * weight.numel() * out.shape[0] * out.shape[2:].numel()


def size_of(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
