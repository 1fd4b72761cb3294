"""Inception-v3 as FID uses it: images in, the 2048 values of the last average pool out. An instrument, not a net to train.

Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception Architecture for Computer Vision", arXiv
1512.00567: table 1 (the net), figures 5, 6, 7 and 10 (the blocks). Heusel et al., arXiv 1706.08500, define FID by the features
that Google's TensorFlow file inception-2015-12-05 gives; pytorch-fid brought that file over, under the names of torchvision's
Inception3, which this net takes.

| class        | parameters | multiply-adds, 299x299 |
|--------------|------------|------------------------|
| FidInception | 21,785,568 | 5,711,168,096          |

That is torchvision's inception_v3, 27,161,264, without its last layer, 2,049,000, and its auxiliary head, 3,326,696.

Deviations from the paper, all of them the file's: behind the first pool, a convolution of 1x1 and one of 3x3 without stride
are followed by a second pool; the blocks of figure 5 keep a 5x5, and a reduction to 17x17 follows them; the blocks of figure 6
are four, and a reduction to 8x8 follows them. From torchvision's net it differs, as the file wants, in its 3x3 pools without
stride: averages leave the padding out, and the last block has a maximum in place of the average, for which pytorch-fid sees no
reason but a slip of the file's makers.

Images are brought to 299x299 and scaled to -1 to 1 as by pytorch-fid; TensorFlow's own resizing places its grid otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.errors import ConfigError

SIDE = 299
POOL = "branch_pool"


def _figure5(pool: int) -> dict[str, str]:
    return {
        "branch1x1": "64 1x1",
        "branch5x5": "48 1x1, 64 5x5",
        "branch3x3dbl": "64 1x1, 96 3x3, 96 3x3",
        POOL: f"{pool} 1x1",
    }


def _figure6(inner: int) -> dict[str, str]:
    return {
        "branch1x1": "192 1x1",
        "branch7x7": f"{inner} 1x1, {inner} 1x7, 192 7x1",
        "branch7x7dbl": f"{inner} 1x1, {inner} 7x1, {inner} 1x7, {inner} 7x1, 192 1x7",
        POOL: "192 1x1",
    }


FIGURE_7 = {
    "branch1x1": "320 1x1",
    "branch3x3": "384 1x1, 384 1x3 | 384 3x1",
    "branch3x3dbl": "448 1x1, 384 3x3, 384 1x3 | 384 3x1",
    POOL: "192 1x1",
}

# Branches of each block: channels, kernel (height x width) and stride of one convolution after the other; "|": side by side.
BLOCKS = {
    "Mixed_5b": _figure5(32),
    "Mixed_5c": _figure5(64),
    "Mixed_5d": _figure5(64),
    "Mixed_6a": {"branch3x3": "384 3x3/2", "branch3x3dbl": "64 1x1, 96 3x3, 96 3x3/2", POOL: ""},
    "Mixed_6b": _figure6(128),
    "Mixed_6c": _figure6(160),
    "Mixed_6d": _figure6(160),
    "Mixed_6e": _figure6(192),
    "Mixed_7a": {"branch3x3": "192 1x1, 320 3x3/2", "branch7x7x3": "192 1x1, 192 1x7, 192 7x1, 192 3x3/2", POOL: ""},
    "Mixed_7b": FIGURE_7,
    "Mixed_7c": FIGURE_7,
}
REDUCE = "Mixed_6a", "Mixed_7a"  # figure 10: half the side
LAST = "Mixed_7c"


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, out: int, kernel: tuple[int, int], stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else 0
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def _conv(channels: int, text: str) -> ConvNorm:
    """What a row of BLOCKS says; with a stride it is not padded, without it keeps the size of the map."""
    count, size, *stride = text.replace("/", " ").split()
    height, width = map(int, size.split("x"))
    return ConvNorm(channels, int(count), (height, width), *map(int, stride), padded=not stride)


class Mixed(nn.Module):
    """Branches side by side, of which the last begins with a pool. branches: a row of BLOCKS."""

    def __init__(self, channels: int, branches: Mapping[str, str], pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool
        self.branches: dict[str, list[list[str]]] = {}  # names of the convolutions, those side by side in one list
        self.out = 0
        for branch, text in branches.items():
            steps, came = text.split(", ") if text else [], channels
            self.branches[branch] = []
            for number, step in enumerate(steps, 1):
                stem = f"{branch}_{number}" if len(steps) > 1 else branch
                forks = step.split(" | ")
                convs = {f"{stem}{'ab'[at]}" if len(forks) > 1 else stem: _conv(came, fork) for at, fork in enumerate(forks)}
                for name, conv in convs.items():
                    self.add_module(name, conv)
                self.branches[branch].append(list(convs))
                came = sum(conv.conv.out_channels for conv in convs.values())
            self.out += came

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        found: list[Tensor] = []
        for branch, steps in self.branches.items():
            maps = [self.pool(x) if branch == POOL else x]
            for names in steps:
                maps = [self.get_submodule(name)(each) for each in maps for name in names]
            found += maps
        return torch.cat(found, 1)


class FidInception(nn.Module):
    """images (n, 1 or 3 channels, height, width) of any size, on the net's device -> features (n, 2048), 0 or more.

    Only in eval mode and with the published weights are distances of its features an FID.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, (3, 3), 2, padded=False)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, (3, 3), padded=False)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, (3, 3))
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, (3, 3), padded=False)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        came = 192
        for name, branches in BLOCKS.items():
            if name in REDUCE:
                pool = nn.MaxPool2d(3, 2)
            elif name == LAST:
                pool = nn.MaxPool2d(3, 1, padding=1)
            else:
                pool = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
            block = Mixed(came, branches, pool)
            self.add_module(name, block)
            came = block.out
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n 2048"]:
        channels = images.shape[1]
        if channels not in (1, 3):
            raise ConfigError(f"Inception sees images of 1 or 3 channels, got {channels}: judge by --gan.judge random")
        x = images.expand(-1, 3, -1, -1).float() / 255  # grey is repeated, three channels stay
        x = 2 * F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
        for layer in self.children():
            x = layer(x)
        return x.flatten(1)
