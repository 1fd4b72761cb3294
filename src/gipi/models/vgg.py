"""VGG: stacks of 3x3 convolutions, which showed that depth is what pays.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556: table 1
(the nets), section 2.1, section 3.1 (training). Second of ILSVRC 2014.

| factory | table 1 | convolutions of each stage | parameters  | with batch norm | multiply-adds, 224x224 |
|---------|---------|----------------------------|-------------|-----------------|------------------------|
| vgg11   | A       | 1, 1, 2, 2, 2              | 132,863,336 | 132,868,840     | 7,609,090,048          |
| vgg13   | B       | 2, 2, 2, 2, 2              | 133,047,848 | 133,053,736     | 11,308,466,176         |
| vgg16   | D       | 2, 2, 3, 3, 3              | 138,357,544 | 138,365,992     | 15,470,264,320         |
| vgg19   | E       | 2, 2, 4, 4, 4              | 143,667,240 | 143,678,248     | 19,632,062,464         |

Stages have 64, 128, 256, 512 and 512 channels and end in a 2x2 pool; three affine layers follow. `vgg11_bn` to `vgg19_bn` have
batch norm behind each convolution.

Deviations, all of them torchvision's, whose state-dict names and published weights these nets take: batch norm is not in the
paper; the last map is averaged to 7x7, so that images of any size from 32 pixels up are taken; initial weights are those of He et
al., arXiv 1502.01852, by the outputs of a convolution, and N(0, 0.01) in affine layers, so that nets of every depth start by
themselves where the paper took the first layers of a trained vgg11.

`stem="small"` is for images of 28 or 32 pixels: the first two pools are left out, and the last map has 3x3 or 4x4 places.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from gipi.models.backbone import Backbone, he_init, large_stem, share, walk


class VGG(Backbone):
    """images (n, channels, height, width) -> logits (n, classes). width: share of the paper's channels, affine layers too.

    convolutions: of each of the five stages. The pyramid has strides 1, 2, 4, 8, 16 and 32 (small: 1, 2, 4 and 8): the maps in
    front of each pool, and the last pool's. Pools drop an odd row or column.
    """

    HEAD = "classifier.6"

    def __init__(
        self,
        convolutions: Sequence[int],
        *,
        batch_norm: bool,
        classes: int,
        channels: int,
        stem: str,
        width: float,
        dropout: float,
    ) -> None:
        super().__init__()
        large = large_stem(stem)
        layers: list[nn.Module] = []
        for stage, count in enumerate(convolutions):
            out = share((64, 128, 256, 512, 512)[stage], width)
            for _ in range(count):
                norm = [nn.BatchNorm2d(out)] if batch_norm else []
                layers += [nn.Conv2d(channels, out, 3, padding=1), *norm, nn.ReLU(inplace=True)]
                channels = out
            layers.append(nn.MaxPool2d(2) if large or stage > 1 else nn.Identity())
        hidden = share(4096, width)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            *(nn.Linear(49 * channels, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            *(nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            nn.Linear(hidden, classes),
        )
        he_init(self, mode="fan_out")

    def pyramid(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        return walk(self.features, images)

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.classifier[:6](self.avgpool(self.features(images)).flatten(1))


def vgg11(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5) -> VGG:
    return VGG((1, 1, 2, 2, 2), batch_norm=False, classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)


def vgg13(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5) -> VGG:
    return VGG((2, 2, 2, 2, 2), batch_norm=False, classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)


def vgg16(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5) -> VGG:
    return VGG((2, 2, 3, 3, 3), batch_norm=False, classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)


def vgg19(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5) -> VGG:
    return VGG((2, 2, 4, 4, 4), batch_norm=False, classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)


def vgg11_bn(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5) -> VGG:
    return VGG((1, 1, 2, 2, 2), batch_norm=True, classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)


def vgg13_bn(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5) -> VGG:
    return VGG((2, 2, 2, 2, 2), batch_norm=True, classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)


def vgg16_bn(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5) -> VGG:
    return VGG((2, 2, 3, 3, 3), batch_norm=True, classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)


def vgg19_bn(*, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5) -> VGG:
    return VGG((2, 2, 4, 4, 4), batch_norm=True, classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)
