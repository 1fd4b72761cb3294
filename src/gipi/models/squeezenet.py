"""SqueezeNet: AlexNet's accuracy with a fiftieth of its weights.

Source: Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
<0.5MB model size", arXiv 1602.07360: table 1 (the net), figures 1 and 2 (the block and the net), section 3.3 (details).

| factory       | parameters | multiply-adds, 224x224 |
|---------------|------------|------------------------|
| squeezenet1_0 | 1,248,424  | 818,924,576            |

Deviations, all of them torchvision's, whose state-dict names and published weights this net takes: an image of 224 pixels makes
maps of 109, 54, 27 and 13 places, where table 1 has the 111, 55, 27 and 13 of 227 pixels, and images of any size from 21 up are
taken; initial weights are those of He et al., arXiv 1502.01852, uniform, and N(0, 0.01) in the last layer.

`stem="small"` is for images of 28 or 32 pixels: the first convolution is 3x3, padded and without stride, and the last map has 3x3
or 4x4 places.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gipi.models.backbone import Backbone, large_stem, share, walk


class Fire(nn.Module):
    """1x1 down to `squeezed` channels, then 1x1 and 3x3 side by side, each up to `expanded`."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1x1(x)), self.relu(self.expand3x3(x))], 1)


class SqueezeNet(Backbone):
    """images (n, channels, height, width) -> logits (n, classes), none of them below 0. width: share of the paper's channels.

    The head is a 1x1 convolution, whose answers ReLU and a mean over all places follow: an embedding is a map (n, d, i, j).
    The pyramid has strides 2, 4, 8 and 16 (small: 1, 2, 4 and 8): the maps in front of each pool, and the last. Convolution and
    pools are not padded, so the maps are up to three places smaller than height / stride.
    """

    HEAD = "classifier.1"

    def __init__(self, *, classes: int, channels: int, stem: str, width: float, dropout: float) -> None:
        super().__init__()
        first = share(96, width)
        stem_layer = nn.Conv2d(channels, first, 7, stride=2) if large_stem(stem) else nn.Conv2d(channels, first, 3, padding=1)
        layers: list[nn.Module] = [stem_layer, nn.ReLU(inplace=True), _pool()]
        came = first
        for number, (squeezed, expanded) in enumerate(
            ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)), start=2
        ):
            layers.append(Fire(came, share(squeezed, width), share(expanded, width)))
            came = 2 * share(expanded, width)
            if number in (4, 8):
                layers.append(_pool())
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Conv2d(came, classes, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
        nn.init.normal_(self.head.weight, std=0.01)

    def pyramid(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        return walk(self.features, images)

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return self.features(images)

    def answer(self, embedded: Float[Tensor, "n d i j"]) -> Float[Tensor, "n k"]:
        return self.classifier(embedded).flatten(1)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def squeezenet1_0(
    *, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5
) -> SqueezeNet:
    return SqueezeNet(classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)
