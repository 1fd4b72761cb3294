"""MobileNetV2: a net for telephones, of depthwise convolutions between narrow maps.

Source: Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381:
table 2 (the net), figures 3 and 4 (the block), section 4 (ReLU6, width).

| factory      | parameters | multiply-adds, 224x224 |
|--------------|------------|------------------------|
| mobilenet_v2 | 3,504,872  | 300,774,272            |

`width` is the paper's multiplier: channel counts are rounded to multiples of 8 as by the authors' program, and below 1 the last
convolution keeps its 1280 channels (section 4). State-dict names are torchvision's, whose published weights this net takes.

Deviations: the last layer, a 1x1 convolution in table 2, is written as an affine one; dropout in front of it is the authors'
program's. Initial weights are torchvision's: He et al., arXiv 1502.01852, by the outputs of a convolution, and N(0, 0.01) in the
last layer.
`padding="torch"` pads each 3x3 convolution by 1 on every side. "same" is TensorFlow's rule, by which the authors trained and
which weights from there want: with stride 2, an even side is padded by 1 at its end only.

`stem="small"` is for images of 28 or 32 pixels: the first convolution and the first block of 24 channels have no stride, and the
last map has 4x4 places.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.models.backbone import Backbone, he_init, large_stem, walk

# Table 2: expansion, channels, blocks, stride of the first of them.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class SameConv2d(nn.Conv2d):
    """A convolution padded by TensorFlow's rule SAME: sides of ceil(side / stride), the larger half of the padding at the end."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        padding: list[int] = []
        for side, kernel, stride in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(input, padding))


class ConvNorm(nn.Sequential):
    """Convolution, batch norm, ReLU6."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, same: bool = False) -> None:
        if same and stride > 1:  # without stride the two rules are one
            conv = SameConv2d(channels, out, kernel, stride, groups=groups, bias=False)
        else:
            conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))
        self.stride = stride


class InvertedResidual(nn.Module):
    """1x1 up to `expansion` times the channels, 3x3 in each channel alone, 1x1 down without ReLU; a shortcut where it fits."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int, same: bool) -> None:
        super().__init__()
        inner = expansion * channels
        up = [ConvNorm(channels, inner, 1)] if expansion > 1 else []
        depthwise = ConvNorm(inner, inner, 3, stride, groups=inner, same=same)
        self.conv = nn.Sequential(*up, depthwise, nn.Conv2d(inner, out, 1, bias=False), nn.BatchNorm2d(out))
        self.stride = stride
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(Backbone):
    """images (n, channels, height, width) of any size -> logits (n, classes).

    The pyramid has strides 2, 4, 8, 16 and 32 (small: 1, 2, 4 and 8): outputs of the last block of each resolution, the last one
    behind the convolution to 1280 channels.
    """

    HEAD = "classifier.1"

    def __init__(self, *, classes: int, channels: int, stem: str, width: float, dropout: float, padding: str) -> None:
        super().__init__()
        if padding not in ("torch", "same"):
            raise ValueError(f"padding is {padding!r}, allowed are 'torch' and 'same'")
        large, same = large_stem(stem), padding == "same"
        came, last = _eights(32, width), _eights(1280, max(width, 1.0))
        layers: list[nn.Module] = [ConvNorm(channels, came, 3, 2 if large else 1, same=same)]
        for expansion, count, blocks, stride in STAGES:
            out = _eights(count, width)
            for number in range(blocks):
                step = stride if number == 0 and (large or count != 24) else 1
                layers.append(InvertedResidual(came, out, step, expansion, same))
                came = out
        self.features = nn.Sequential(*layers, ConvNorm(came, last, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))
        he_init(self, mode="fan_out")

    def pyramid(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        return walk(self.features, images)

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.avgpool(self.features(images)).flatten(1)

    def answer(self, embedded: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.classifier(embedded)


def _eights(channels: int, width: float) -> int:
    """The multiple of 8 nearest to that share of the channels, 8 at least and no more than a tenth below it."""
    if not width > 0:
        raise ValueError(f"width is {width}, allowed are numbers above 0")
    wanted = channels * width
    count = max(8, int(wanted / 8 + 0.5) * 8)
    return count if count >= 0.9 * wanted else count + 8


def mobilenet_v2(
    *,
    classes: int = 1000,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    dropout: float = 0.2,
    padding: str = "torch",
) -> MobileNetV2:
    return MobileNetV2(classes=classes, channels=channels, stem=stem, width=width, dropout=dropout, padding=padding)
