"""The body of a detector: a classifier without its head, and the feature pyramid that gives every resolution the same meaning.

Source: Lin, Dollar, Girshick, He, Hariharan and Belongie, "Feature Pyramid Networks for Object Detection", CVPR 2017,
arXiv 1612.03144: section 3 and figure 3 (the pyramid), section 4.1 (one more level by subsampling).

State-dict names are torchvision's. Upsampling is by repetition; there is no ReLU in the pyramid, as in the paper.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.models.backbone import Backbone


class FrozenNorm(nn.Module):
    """Batch norm with the statistics and the scale of a trained net, which nothing changes: all of them are buffers."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, getattr(norm, name).detach())

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def freeze(body: Backbone, channels: int, stride: int) -> None:
    """Hold fixed all norms of the body, and its layers up to the map of that stride; images have so many channels."""
    with torch.inference_mode(False), torch.enable_grad():  # also where a net is built to answer only
        aside = deepcopy(body).to("meta").requires_grad_()
        maps = aside.pyramid(torch.empty(1, channels, 64, 64, device="meta"))
        early = sum((map.sum() for step, map in maps.items() if step <= stride), torch.zeros((), device="meta"))
        grads = torch.autograd.grad(early, [*aside.parameters()], allow_unused=True)
    for weight, grad in zip(body.parameters(), grads, strict=True):
        weight.requires_grad_(grad is None)
    for name, layer in [*body.named_modules()]:
        if isinstance(layer, nn.BatchNorm2d):
            owner, _, last = name.rpartition(".")
            setattr(body.get_submodule(owner), last, FrozenNorm(layer))


class FPN(nn.Module):
    """Maps fine to coarse, of `counts` channels each -> as many maps of `channels`, and one of twice the coarsest's stride."""

    def __init__(self, counts: list[int], channels: int) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(count, channels, 1)) for count in counts)
        self.layer_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1)) for _ in counts)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, maps: dict[int, Tensor]) -> dict[int, Tensor]:
        levels: dict[int, Tensor] = {}
        above: Tensor | None = None
        for stride, inner, layer in reversed([*zip(maps, self.inner_blocks, self.layer_blocks, strict=True)]):
            lateral = inner(maps[stride])
            above = lateral if above is None else lateral + F.interpolate(above, lateral.shape[-2:], mode="nearest")
            levels[stride] = layer(above)
        coarsest = max(levels)
        last = {2 * coarsest: F.max_pool2d(levels[coarsest], 1, 2)}
        return {**{stride: levels[stride] for stride in maps}, **last}


class Trunk(nn.Module):
    """images (n, channels, h, w) -> their maps by stride, fine to coarse; `channels` of a map, `strides` of all.

    body: a classifier whose head is gone.  finest, coarsest: strides of the maps that are taken of it; h and w are multiples of
    the coarsest.  pyramid: channels of the FPN; 0: there is none.  fixed: see `freeze`; 0: all of the body is trained.
    """

    def __init__(self, body: Backbone, channels: int, *, finest: int, coarsest: int, pyramid: int, fixed: int) -> None:
        super().__init__()
        aside = deepcopy(body).to("meta").pyramid(torch.empty(1, channels, 64, 64, device="meta"))
        counts = {stride: map.shape[1] for stride, map in aside.items()}
        taken = [stride for stride in counts if finest <= stride <= coarsest]
        if finest not in taken:
            raise ValueError(
                f"finest is {finest}, allowed are {', '.join(str(stride) for stride in counts if stride <= coarsest)}"
            )
        if fixed and fixed not in counts:
            raise ValueError(f"fixed is {fixed}, allowed are 0 and {', '.join(map(str, counts))}")
        if fixed:
            freeze(body, channels, fixed)
        self.body = body
        self.taken, self.stride = taken, taken[-1]
        self.channels = pyramid or counts[finest]
        self.strides = [*taken, 2 * taken[-1]] if pyramid else taken
        self.fpn = FPN([counts[stride] for stride in taken], pyramid) if pyramid else None

    def forward(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        maps = self.body.pyramid(images)
        maps = {stride: maps[stride] for stride in self.taken}
        return self.fpn(maps) if self.fpn else maps
