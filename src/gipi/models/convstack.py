"""Plain stacks of convolutions: the net of the studies, a reader of small pictures and a tiny one.

    ConvStack: [convolution - (pool 2x2 at the end of a stage) - batch norm - ReLU] ... - mean over each cell - dropout - affine

Own design after VGG (Simonyan and Zisserman, arXiv 1409.1556): small filters, stages of one resolution, more channels as the
resolution falls. Differences: batch norm; one affine layer instead of three, behind the mean over each cell of a grid, which
for digitnet is the whole picture (Lin et al., Network in Network, arXiv 1312.4400) and for convstack a single place of the last
stage of a 28x28 image, so that even a shallow net knows where it saw what; pooling before batch norm and ReLU, on a quarter of
the values.

| factory        | stages (28x28, 14x14, 7x7)         | parameters | multiply-adds |
|----------------|-------------------------------------|-----------|---------------|
| convstack      | `depth` layers of `width` channels, by default 4 of 16 | 15,034 | 798,112 |
| digitnet       | 5x5 32; 48, 48; 96, 96              | 161,386   | 13,498,304    |
| digitnet_tiny  | 5x5 8; 16, 16; 20                   | 6,866     | 975,496       |

Convolutions in front of batch norm have no bias, which it would take away again.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from gipi.models.backbone import Backbone, walk

Layer = tuple[int, int]  # channels put out, side of the filter


class ConvStack(Backbone):
    """images (n, channels, height, width), height and width from 4 up -> logits (n, classes).

    stages: the layers of each resolution, which may be none.  grid: cells that the affine layer sees, each way.
    init: "he", "xavier" or the standard deviation of the weights.
    The pyramid has strides 1, 2 and 4: the maps in front of each pool, before their batch norm and ReLU, and the last one.
    """

    HEAD = "classifier.3"

    def __init__(
        self,
        stages: Sequence[Sequence[Layer]],
        *,
        grid: int,
        classes: int,
        channels: int,
        batch_norm: bool,
        dropout: float,
        init: str | float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, stage in enumerate(stages):
            for place, (width, kernel) in enumerate(stage, 1):
                layers.append(nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=not batch_norm))
                if place == len(stage) and number < len(stages) - 1:
                    layers.append(nn.MaxPool2d(2))
                layers += [*([nn.BatchNorm2d(width)] if batch_norm else []), nn.ReLU(inplace=True)]
                channels = width
            if not stage and number < len(stages) - 1:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(grid), nn.Flatten(), nn.Dropout(dropout), nn.Linear(grid * grid * channels, classes)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                _initialise(layer, init)

    def pyramid(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        return walk(self.features, images)

    def embed(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.classifier[:2](self.features(images))

    def answer(self, embedded: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.classifier[2:](embedded)


def _initialise(layer: nn.Conv2d | nn.Linear, init: str | float) -> None:
    """He et al., arXiv 1502.01852; Glorot and Bengio, AISTATS 2010; or one standard deviation for all layers. Zero biases."""
    if init == "he":
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    elif init == "xavier":
        nn.init.xavier_normal_(layer.weight)
    elif isinstance(init, str):
        raise ValueError(f"init is {init!r}, allowed are 'he', 'xavier' or a standard deviation")
    else:
        nn.init.normal_(layer.weight, std=init)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def convstack(
    *,
    classes: int = 10,
    channels: int = 1,
    depth: int = 4,
    width: int = 16,
    kernel: int = 3,
    stem: bool = False,
    batch_norm: bool = True,
    init: str | float = "he",
) -> ConvStack:
    """`depth` convolutions of `width` channels in three stages, as even as can be, the later ones taking what is left over.

    stem: one more 3x3 layer in front, so that all of the `depth` layers have `width` channels before and behind them.
    Raises ValueError for a depth, a width or a kernel below 1 or an even kernel.
    """
    if min(depth, width, kernel) < 1 or kernel % 2 == 0:
        raise ValueError(f"depth, width and kernel must be 1 or more and kernel odd, got {depth}, {width}, {kernel}")
    sizes = [(depth + stage) // 3 for stage in range(3)] if depth > 2 else [1] * depth + [0] * (3 - depth)
    layers = [[(width, kernel)] * size for size in sizes]
    if stem:
        layers[0].insert(0, (width, 3))
    return ConvStack(layers, grid=7, classes=classes, channels=channels, batch_norm=batch_norm, dropout=0.0, init=init)


def digitnet(*, classes: int = 10, channels: int = 1, dropout: float = 0.2) -> ConvStack:
    """A reader of small pictures with a little more weights than DeepConvNet, half again its multiply-adds and batch norm."""
    layers = [[(32, 5)], [(48, 3), (48, 3)], [(96, 3), (96, 3)]]
    return ConvStack(layers, grid=1, classes=classes, channels=channels, batch_norm=True, dropout=dropout, init="he")


def digitnet_tiny(*, classes: int = 10, channels: int = 1) -> ConvStack:
    """The smallest: as much as fits into 7,000 parameters."""
    layers = [[(8, 5)], [(16, 3), (16, 3)], [(20, 3)]]
    return ConvStack(layers, grid=1, classes=classes, channels=channels, batch_norm=True, dropout=0.0, init="he")
