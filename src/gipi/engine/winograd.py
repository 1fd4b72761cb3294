"""A copy of a net that answers faster on a CPU: Winograd's convolutions, and batch norm folded into them.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv 1509.09308. The form F(6x6, 3x3)
makes 36 outputs of a 3x3 convolution with 64 multiplications instead of 324. NNPACK computes it, which is a part of PyTorch that
PyTorch itself leaves unused on servers. It rounds ten times as coarsely as a plain convolution: to a ten thousandth of a layer's
spread.

In front of a pool that tells its places, plain convolutions stay: of values that are equal or nearly so, that rounding would
choose another one, and a decoder puts what it is given somewhere else.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gipi.engine.place import Place

LEAST = 16  # channels of the input, below which transforming it costs more than is saved


class Winograd(nn.Module):
    """A 3x3 convolution of stride 1 and padding 1, images float32 on the CPU."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.bias = layer.bias
        self.weight = nn.Parameter(layer.weight.detach().contiguous(), requires_grad=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        return torch.ops.aten._nnpack_spatial_convolution(x, self.weight, self.bias, [1, 1], [1, 1])


def winograd(net: nn.Module, place: Place) -> nn.Module | None:
    """A copy of a net in evaluation mode, for answering only; None where it is not known to be faster, or has nothing to change.

    It is on CPUs with AVX2 and no AVX512 in float32: with AVX512 plain convolutions are twice as fast, and NNPACK is not.
    """
    if place.device.type != "cpu" or place.dtype != torch.float32 or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return None
    if not torch.backends.nnpack.is_available():  # asking also sets NNPACK up
        return None
    twin, changed = copy.deepcopy(net).eval(), 0
    for part in list(twin.modules()):
        if isinstance(part, nn.Sequential):
            _fold(part)
        if any(isinstance(layer, nn.MaxPool2d) and layer.return_indices for layer in part.children()):
            continue
        for name, layer in part.named_children():
            if isinstance(layer, nn.Conv2d) and _fits(layer):
                setattr(part, name, Winograd(layer))
                changed += 1
    return twin if changed else None


def _fold(part: nn.Sequential) -> None:
    """Batch norm right behind a convolution becomes a part of it."""
    for (name, layer), (behind, norm) in pairwise(list(part.named_children())):
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(part, name, fuse_conv_bn_eval(layer, norm))
            setattr(part, behind, nn.Identity())


def _fits(layer: nn.Conv2d) -> bool:
    shape = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return (
        shape == ((3, 3), (1, 1), (1, 1), (1, 1))
        and (layer.groups, layer.padding_mode) == (1, "zeros")
        and layer.in_channels >= LEAST
    )
