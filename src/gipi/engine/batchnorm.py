"""Batch norm over the batch of all processes of a training together, instead of each one's own part."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gipi.engine.place import Place


def synchronise(net: nn.Module, place: Place) -> None:
    """Let batch norm see the batch of all processes together. On CUDA that is torch's own; it has none for a CPU."""
    for name, layer in [*net.named_modules()]:
        if isinstance(layer, nn.BatchNorm2d):
            owner, _, last = name.rpartition(".")
            both = nn.SyncBatchNorm.convert_sync_batchnorm(layer) if place.device.type == "cuda" else _on_cpu(layer)
            setattr(net.get_submodule(owner), last, both)


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the images (n, c, h, w) of all processes, from sums that are added up with their gradients."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        size = input.new_full((1,), input.numel() / input.shape[1])
        sums = _Sum.apply(torch.cat([input.sum((0, 2, 3)), size]))
        count = float(sums[-1].detach())
        mean = sums[:-1] / count
        centred = input - mean.view(1, -1, 1, 1)
        var = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            for running, seen in ((self.running_mean, mean), (self.running_var, var * count / (count - 1))):
                running.lerp_(seen, self.momentum)  # pyright: ignore[reportOptionalMemberAccess, reportArgumentType, reportCallIssue]
            self.num_batches_tracked += 1  # pyright: ignore[reportOperatorIssue]
        rate = (var + self.eps).rsqrt() * self.weight
        return centred * rate.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class _Sum(torch.autograd.Function):
    """The sum over all processes, of values forward and of gradients backward."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        everyones = own.clone()
        dist.all_reduce(everyones)
        return everyones

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Sum.forward(ctx, grad)


def _on_cpu(layer: nn.BatchNorm2d) -> SyncBatchNorm2d:
    new = SyncBatchNorm2d(layer.num_features, layer.eps, layer.momentum)
    new.load_state_dict(layer.state_dict())
    return new.train(layer.training)
