"""ResNet: layers that learn what to add to their input, so that a hundred of them still train.

Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", arXiv 1512.03385: table 1 (the nets), figure 5
(the two blocks), section 4.1 (training). First of ILSVRC 2015.

| factory   | blocks of each stage | block      | parameters | multiply-adds, 224x224 |
|-----------|----------------------|------------|------------|------------------------|
| resnet10  | 1, 1, 1, 1           | basic      | 5,418,792  | 889,229,312            |
| resnet18  | 2, 2, 2, 2           | basic      | 11,689,512 | 1,814,073,344          |
| resnet34  | 3, 4, 6, 3           | basic      | 21,797,672 | 3,663,761,408          |
| resnet50  | 3, 4, 6, 3           | bottleneck | 25,557,032 | 4,089,184,256          |
| resnet101 | 3, 4, 23, 3          | bottleneck | 44,549,160 | 7,801,405,440          |
| resnet152 | 3, 8, 36, 3          | bottleneck | 60,192,808 | 11,513,626,624         |

Deviations: the stride of a bottleneck is in its 3x3 convolution, not in the first 1x1 (as in torchvision, whose state-dict names
and published weights these nets take). resnet10 is not in the paper: the smallest net of its kind. `stem="small"` is for images
of 28 or 32 pixels: one 3x3 convolution without stride or pooling in place of the 7x7 one, after the paper's section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from gipi.models.backbone import Backbone, large_stem, share


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    EXPANSION = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1 down to `width` channels, 3x3, 1x1 up to four times as many, beside a shortcut."""

    EXPANSION = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, 4 * width, stride)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _shortcut(channels: int, out: int, stride: int) -> nn.Sequential | None:
    """The paper's option B: a 1x1 convolution where the shape changes, else nothing."""
    if stride == 1 and channels == out:
        return None
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))


class ResNet(Backbone):
    """images (n, channels, height, width) of any size -> logits (n, classes). width: share of the paper's channels."""

    HEAD = "fc"

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        *,
        classes: int,
        channels: int,
        stem: str,
        width: float,
    ) -> None:
        super().__init__()
        first = share(64, width)
        kernel, stride = (7, 2) if large_stem(stem) else (3, 1)
        self.conv1 = nn.Conv2d(channels, first, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if stride > 1 else nn.Identity()
        came = first
        for stage, count in enumerate(blocks):
            inner = first * 2**stage
            layers: list[nn.Module] = []
            for number in range(count):
                layers.append(block(came, inner, 2 if stage and number == 0 else 1))
                came = inner * block.EXPANSION
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(came, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def pyramid(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        x = self.relu(self.bn1(self.conv1(images)))
        stride = self.conv1.stride[0]
        maps = {stride: x} if stride > 1 else {}
        x, stride = self.maxpool(x), 2 * stride if stride > 1 else 1
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
            stride = stride * 2 if stage > 1 else stride
            maps[stride] = x
        return maps

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        *_, last = self.pyramid(images).values()
        return self.avgpool(last).flatten(1)


def resnet10(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0) -> ResNet:
    return ResNet(BasicBlock, (1, 1, 1, 1), classes=classes, channels=channels, stem=stem, width=width)


def resnet18(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0) -> ResNet:
    return ResNet(BasicBlock, (2, 2, 2, 2), classes=classes, channels=channels, stem=stem, width=width)


def resnet34(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0) -> ResNet:
    return ResNet(BasicBlock, (3, 4, 6, 3), classes=classes, channels=channels, stem=stem, width=width)


def resnet50(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0) -> ResNet:
    return ResNet(Bottleneck, (3, 4, 6, 3), classes=classes, channels=channels, stem=stem, width=width)


def resnet101(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0) -> ResNet:
    return ResNet(Bottleneck, (3, 4, 23, 3), classes=classes, channels=channels, stem=stem, width=width)


def resnet152(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0) -> ResNet:
    return ResNet(Bottleneck, (3, 8, 36, 3), classes=classes, channels=channels, stem=stem, width=width)
