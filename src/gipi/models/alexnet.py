"""AlexNet: the net that won ILSVRC 2012 and made deep learning the way to see.

Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997, whose net this is, as in
torchvision, whose state-dict names and published weights it takes. It is the single-tower form of the net of Krizhevsky,
Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012, figure 2.

    conv 11x11/4 64 - pool - conv 5x5 192 - pool - conv 3x3 384 - 256 - 256 - pool - affine 4096 - 4096 - classes

Pools are 3x3 with stride 2; ReLU behind every layer but the last; dropout in front of the first two affine layers.

| factory | parameters | multiply-adds, 224x224 |
|---------|------------|------------------------|
| alexnet | 61,100,840 | 714,188,480            |

Deviations from the paper of 2012:
- one tower: no convolution is split in two groups for two GPUs, and the channels are 64, 192, 384, 256, 256 and not 96, 256,
  384, 384, 256;
- no local response normalisation;
- the first convolution pads by 2, with which 224 pixels give the 55x55 places of figure 2;
- the last map is averaged to 6x6, so that images of any size from 63 pixels up are taken;
- initial weights are those of He et al., arXiv 1502.01852, in convolutions and N(0, 0.01) in affine layers, with which narrow
  nets learn from the first steps; the paper has N(0, 0.01) throughout and biases of 1, torchvision PyTorch's defaults.

`stem="small"` is for images of 28 or 32 pixels: the first convolution is 5x5 without stride, the last pool is left out, and the
last map has 6x6 or 7x7 places.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from gipi.models.backbone import Backbone, he_init, large_stem, share, walk


class AlexNet(Backbone):
    """images (n, channels, height, width) -> logits (n, classes). width: share of the published channels, affine layers too.

    The pyramid has strides 4, 8, 16 and 32 (small: 1, 2, 4): the maps in front of each pool, and the last pool's. Pools are not
    padded, so the maps are up to a place smaller than height / stride: 55, 27, 13 and 6 for 224 pixels.
    """

    HEAD = "classifier.6"

    def __init__(self, *, classes: int, channels: int, stem: str, width: float, dropout: float) -> None:
        super().__init__()
        large = large_stem(stem)
        one, two, three, last, hidden = (share(count, width) for count in (64, 192, 384, 256, 4096))
        first = nn.Conv2d(channels, one, 11, stride=4, padding=2) if large else nn.Conv2d(channels, one, 5, padding=2)
        self.features = nn.Sequential(
            *(first, nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(one, two, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(two, three, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(three, last, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(last, last, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2) if large else nn.Identity()),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(36 * last, hidden), nn.ReLU(inplace=True)),
            *(nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU(inplace=True)),
            nn.Linear(hidden, classes),
        )
        he_init(self, mode="fan_in")

    def pyramid(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        return walk(self.features, images)

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.classifier[:6](self.avgpool(self.features(images)).flatten(1))


def alexnet(
    *, classes: int = 1000, channels: int = 3, stem: str = "imagenet", width: float = 1.0, dropout: float = 0.5
) -> AlexNet:
    return AlexNet(classes=classes, channels=channels, stem=stem, width=width, dropout=dropout)
