"""GoogLeNet: blocks of parallel filters, 22 layers deep with a ninth of AlexNet's weights.

Source: Szegedy et al., "Going Deeper with Convolutions", arXiv 1409.4842: table 1 (the net), figure 2b (the block), section 5
(the auxiliary heads). First of ILSVRC 2014.

| factory                   | parameters | multiply-adds, 224x224 |
|---------------------------|------------|------------------------|
| googlenet                 | 6,624,904  | 1,498,376,192          |
| googlenet, auxiliary=True | 13,004,888 | the same in use        |

Deviations, all of them torchvision's, whose state-dict names and published weights this net takes:
- batch norm behind each convolution, with an epsilon of 0.001, in place of biases and local response normalisation;
- the filters that table 1 calls 5x5 are 3x3;
- an auxiliary head averages to 4x4, so that images of any size from 15 pixels up are taken, where the paper averages 5x5 places
  with stride 3, which is 4x4 for 224 pixels; the last average is over the whole map, too.
Dropout is the paper's, 0.4 in front of the last layer and 0.7 in the auxiliary heads. Initial weights, of which the paper says
nothing, are torchvision's, N(0, 0.01) in every layer.

`stem="small"` is for images of 28 or 32 pixels: the first convolution is 3x3 without stride, the first pool is left out, and the
last map has 4x4 places.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gipi.models.backbone import Backbone, fresh_head, large_stem, share, walk

Logits = Float[Tensor, "n k"]

# Table 1: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool proj.
BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return self.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four branches side by side: 1x1, 1x1 then 3x3, twice, and a pool then 1x1. counts: a row of table 1."""

    def __init__(self, channels: int, counts: tuple[int, ...], width: float) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pool = (share(count, width) for count in counts)
        self.branch1 = ConvNorm(channels, one, 1)
        self.branch2 = nn.Sequential(ConvNorm(channels, reduce3, 1), ConvNorm(reduce3, three, 3))
        self.branch3 = nn.Sequential(ConvNorm(channels, reduce5, 1), ConvNorm(reduce5, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), ConvNorm(channels, pool, 1))
        self.out = one + three + five + pool

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """A classifier on a map half way, which gives early layers a gradient of their own."""

    def __init__(self, channels: int, classes: int, width: float) -> None:
        super().__init__()
        reduced, hidden = share(128, width), share(1024, width)
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.conv = ConvNorm(channels, reduced, 1)
        self.fc1 = nn.Linear(16 * reduced, hidden)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.fc2: nn.Linear | nn.Conv2d = nn.Linear(hidden, classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Logits:
        return self.fc2(self.dropout(self.relu(self.fc1(self.conv(self.avgpool(x)).flatten(1)))))


class GoogLeNet(Backbone):
    """images (n, channels, height, width) -> logits (n, classes). width: share of the paper's channels.

    auxiliary: in training mode forward gives (logits, logits of the head on block 4a, of that on 4d); the losses of the heads are
    to be added with weight AUXILIARY_WEIGHT. In eval mode it gives logits alone.
    torchvision's published weights want pixels of -1 to 1; its own `transform_input` turns ImageNet's usual values into those.
    The pyramid has strides 2, 4, 8, 16 and 32: conv1, conv3 and the blocks 3b, 4e and 5b (small: 1, 2, 4 and 8, from conv3 on).
    Pools of 3x3 drop an odd row or column.
    """

    HEAD = "fc"
    AUXILIARY_WEIGHT = 0.3  # section 5

    def __init__(self, *, classes: int, channels: int, stem: str, width: float, dropout: float, auxiliary: bool) -> None:
        super().__init__()
        large = large_stem(stem)
        first, came = share(64, width), share(192, width)
        self.conv1 = ConvNorm(channels, first, 7, 2) if large else ConvNorm(channels, first, 3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True) if large else nn.Identity()
        self.conv2 = ConvNorm(first, first, 1)
        self.conv3 = ConvNorm(first, came, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        outs: dict[str, int] = {}
        for name, counts in BLOCKS.items():
            if name in ("4a", "5a"):
                self.add_module(f"maxpool{int(name[0]) - 1}", nn.MaxPool2d(3 if name == "4a" else 2, 2, ceil_mode=True))
            block = Inception(came, counts, width)
            self.add_module(f"inception{name}", block)
            came = outs[name] = block.out
        self.auxiliary = auxiliary
        if auxiliary:
            self.aux1 = Auxiliary(outs["4a"], classes, width)
            self.aux2 = Auxiliary(outs["4d"], classes, width)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(came, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def _trunk(self) -> dict[str, nn.Module]:
        """The layers up to the last block, in their order."""
        names = [name for name, _ in self.named_children()]
        return {name: self.get_submodule(name) for name in names[: names.index("inception5b") + 1]}

    def pyramid(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        return walk(self._trunk().values(), images)

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        *_, last = self.pyramid(images).values()
        return self.avgpool(last).flatten(1)

    def answer(self, embedded: Float[Tensor, "n d"]) -> Logits:
        return self.fc(self.dropout(embedded))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Logits | tuple[Logits, Logits, Logits]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not (self.training and self.auxiliary):
            return super().forward(images)
        maps, x = {}, images
        for name, layer in self._trunk().items():
            maps[name] = x = layer(x)
        logits = self.answer(self.avgpool(x).flatten(1))
        return logits, self.aux1(maps["inception4a"]), self.aux2(maps["inception4d"])

    def new_head(self, classes: int) -> None:
        super().new_head(classes)
        for head in (self.aux1, self.aux2) if self.auxiliary else ():
            head.fc2 = fresh_head(head.fc2, classes)


def googlenet(
    *,
    classes: int = 1000,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    dropout: float = 0.4,
    auxiliary: bool = False,
) -> GoogLeNet:
    return GoogLeNet(
        classes=classes,
        channels=channels,
        stem=stem,
        width=width,
        dropout=dropout,
        auxiliary=auxiliary,
    )
