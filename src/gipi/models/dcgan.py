"""DCGAN: a generator that makes images of noise, and the discriminator that it is trained against.

Source: Radford, Metz and Chintala, arXiv 1511.06434, figure 1 and section 3; initial weights and LeakyReLU from section 4.

    noise - affine, reshaped to the smallest map - [transposed conv4x4, stride 2] until the image's side - tanh
    image - [conv4x4, stride 2] down to a side of 4 or 3 - affine - logit

Batch norm and ReLU behind every layer of the generator but the last; batch norm and LeakyReLU 0.2 behind every convolution of the
discriminator but the first, which has no batch norm. The channels double from each map to the next smaller one. Initial weights
N(0, 0.02). 64x64 pixels in colour and a width of 128 are the paper's net: a map of 4x4 with 1,024 channels and four transposed
convolutions.

Deviations from the source: other sizes than 64x64, where a kernel of 3x3 halves an odd side, 7 to 4; else 4x4 in place of 5x5, as
in the authors' later and most other code, since with stride 2 it covers every place equally often; on request labels (for the
generator as Mirza and Osindero, arXiv 1411.1784, for the discriminator by the projection of Miyato and Koyama, arXiv 1802.05637)
and spectral norm in place of the discriminator's batch norm (Miyato et al., arXiv 1802.05957).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

SMALLEST = 4  # side of a map that is not halved any more
SLOPE = 0.2  # of LeakyReLU below 0


class Generator(nn.Module):
    """noise (n, `noise`, 1, 1) and, if `conditional`, labels (n) -> images (n, channels, size, size), -1 to 1.

    classes: of the images that it learns from; `conditional`: it makes what the labels ask for.
    """

    def __init__(self, *, classes: int, channels: int, size: int, noise: int, width: int, conditional: bool) -> None:
        super().__init__()
        self.classes, self.channels, self.size, self.noise, self.width = classes, channels, size, noise, width
        self.conditional = conditional
        maps = sides(size)
        deepest, side = width << (len(maps) - 2), maps[-1]
        self.project = nn.Linear(noise + classes * conditional, deepest * side * side, bias=False)
        self.shape = side, side, deepest  # channels last, as the fast kernels have them: what is reshaped need not be copied
        layers: list[nn.Module] = [nn.BatchNorm2d(deepest), nn.ReLU(inplace=True)]
        for level in reversed(range(1, len(maps) - 1)):
            wide = width << level
            layers += [
                nn.ConvTranspose2d(wide, wide // 2, kernel(maps[level]), 2, 1, bias=False),
                nn.BatchNorm2d(wide // 2),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, kernel(size), 2, 1), nn.Tanh())
        self.apply(initialise)

    def forward(
        self, noise: Float[Tensor, "n z 1 1"], labels: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n c size size"]:
        """Without labels a conditional generator makes a mean of its classes, which is like none: give them."""
        values = noise.flatten(1)
        if self.conditional:
            asked = values.new_full((values.shape[0], self.classes), 1 / self.classes)
            values = torch.cat([values, asked if labels is None else F.one_hot(labels, self.classes).to(values)], 1)
        return self.layers(self.project(values).unflatten(1, self.shape).permute(0, 3, 1, 2))


class Discriminator(nn.Module):
    """images (n, channels, size, size), -1 to 1, and, if `conditional`, labels (n) -> logits (n), above 0 for real ones."""

    def __init__(self, *, classes: int, channels: int, size: int, width: int, conditional: bool, spectral_norm: bool) -> None:
        super().__init__()
        maps = sides(size)
        layers: list[nn.Module] = []
        for level, halved in enumerate(maps[:-1]):
            wide = width << level
            normed = level > 0 and not spectral_norm
            layers.append(nn.Conv2d(wide // 2 if level else channels, wide, kernel(halved), 2, 1, bias=not normed))
            layers += [nn.BatchNorm2d(wide)] if normed else []
            layers.append(nn.LeakyReLU(SLOPE, inplace=True))
        self.layers = nn.Sequential(*layers)
        deepest, side = width << (len(maps) - 2), maps[-1]
        self.judge = nn.Linear(deepest * side * side, 1)
        self.label = nn.Embedding(classes, deepest) if conditional else None
        self.apply(initialise)
        if spectral_norm:
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
                    parametrizations.spectral_norm(layer)

    def forward(self, images: Float[Tensor, "n c size size"], labels: Int64[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        maps = self.layers(images)
        logits = self.judge(maps.permute(0, 2, 3, 1).flatten(1))[:, 0].float()  # channels last
        if self.label is None or labels is None:
            return logits
        return logits + (self.label(labels) * maps.float().sum((2, 3))).sum(1)


class Both(nn.Module):
    """What a discriminator makes of real and of generated images, as one module: one call of it before each backward pass.

    Each kind is a batch of its own for batch norm. Several processes that train together want one call of their replica for one
    backward pass; two have been reported to break there.
    """

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(
        self,
        real: Float[Tensor, "n c size size"],
        made: Float[Tensor, "n c size size"],
        labels: Int64[Tensor, " n"] | None = None,
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        return self.discriminator(real, labels), self.discriminator(made, labels)


def sides(size: int) -> list[int]:
    """Sides of the maps from an image down: 28, 14, 7, 4. ValueError for a size that is not halved once, at least."""
    if size <= SMALLEST:
        raise ValueError(f"images of {size}x{size}: allowed are sides of {SMALLEST + 1} pixels and more, such as 28, 32, 64, 128")
    maps = [size]
    while maps[-1] > SMALLEST:
        maps.append(-(-maps[-1] // 2))
    return maps


def kernel(side: int) -> int:
    """Side of the kernel that with stride 2 and padding 1 halves a map of `side`, an odd one upwards, or doubles one to it."""
    return 4 - side % 2


def initialise(layer: nn.Module) -> None:
    """Weights N(0, 0.02), of batch norm N(1, 0.02), no biases yet; of embeddings, too."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, std=0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    elif isinstance(layer, nn.Embedding):
        nn.init.normal_(layer.weight, std=0.02)
    bias = getattr(layer, "bias", None)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)


def dcgan(
    *, classes: int = 10, channels: int = 3, size: int = 64, noise: int = 100, width: int = 128, conditional: bool = False
) -> Generator:
    """The generator of square images; `width` is the channels of the largest map before the image, 128 in the paper."""
    return Generator(classes=classes, channels=channels, size=size, noise=noise, width=width, conditional=conditional)


def opponent(net: Generator, *, width: int = 0, spectral_norm: bool = False) -> Discriminator:
    """The discriminator for a generator's images; `width` is the channels of its first map, 0: those of the generator's last."""
    return Discriminator(
        classes=net.classes,
        channels=net.channels,
        size=net.size,
        width=width or net.width,
        conditional=net.conditional,
        spectral_norm=spectral_norm,
    )
