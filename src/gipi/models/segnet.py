"""SegNet: a decoder that puts each value back where the encoder's pool took it from, so that edges stay where they are.

Source: Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation",
PAMI 2017, arXiv 1511.00561: section 3 and figure 2 (SegNet), section 3.1 (SegNet-Basic), tables 1 and 6 (sizes).

| factory      | parameters | the paper's | multiply-adds, 352x480 | encoder and decoder                                         |
|--------------|------------|-------------|------------------------|-------------------------------------------------------------|
| segnet       | 29,449,355 | 29.45 M     | 104,133,427,200        | the 13 convolutions of VGG-16, and their mirror image       |
| segnet_basic | 1,416,075  | 1.425 M     | 57,873,530,880         | four 7x7 convolutions of 64 channels each, 1x1 for the end  |

Both are for 11 classes. A convolution is followed by batch norm and ReLU, but for the last one, and in SegNet-Basic's decoder by
batch norm alone. Behind SegNet-Basic's last pool a value sees 106x106 pixels, as the paper says.

The paper's count of SegNet-Basic is 0.6 % larger than what its text adds up to; biases in front of batch norm, which the text
rules out, would be 512 of the 9 thousand that are missing.

Deviations: CamVid's images have 360 rows, which is no multiple of 32: the paper pads the unpools, we the images. The paper
normalises images by local response, we by mean and deviation, as all our nets. SegNet's encoder has the names of `vgg16_bn`,
whose published weights it takes where the paper took those of VGG-16 without batch norm.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gipi.models.backbone import he_init, share
from gipi.models.pixelwise import Pixelwise


class Unpool(nn.MaxUnpool2d):
    """Twice the height and width: each value at the place that a 2x2 pool took it from, 0 at the three others."""

    def __init__(self) -> None:
        super().__init__(2)

    def forward(
        self, input: Float[Tensor, "n c h w"], indices: Int64[Tensor, "n c h w"], output_size: list[int] | None = None
    ) -> Float[Tensor, "n c i j"]:
        if not torch.are_deterministic_algorithms_enabled():
            return super().forward(input, indices, output_size)
        # PyTorch refuses max_unpool2d then, as windows may overlap. These do not: no place is written twice.
        height, width = input.shape[-2:]
        flat = input.new_zeros(*input.shape[:2], 4 * height * width).scatter(2, indices.flatten(2), input.flatten(2))
        return flat.unflatten(2, (2 * height, 2 * width))


class EncoderDecoder(Pixelwise):
    """`features`, an encoder whose pools tell where each value was, and `decoder`, whose unpools are told in reverse order."""

    features: nn.Sequential
    decoder: nn.Sequential

    def segment(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        x, places = images, []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                x, where = x
                places.append(where)
        for layer in self.decoder:
            x = layer(x, places.pop()) if isinstance(layer, Unpool) else layer(x)
        return x


class SegNet(EncoderDecoder):
    """images (n, channels, h, w) -> logits (n, classes, h, w). width: share of the paper's channels."""

    UNUSED = ("classifier.",)
    origin = "vgg16-bn"
    stride = 32

    def __init__(self, *, classes: int, channels: int, width: float) -> None:
        super().__init__()
        encoder: list[nn.Module] = []
        decoder: list[list[nn.Module]] = []  # the twin of each convolution and pool; a convolution's gives what that one takes
        before = channels
        for published, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            out = share(published, width)
            for take in (before, *[out] * (count - 1)):
                encoder += _convolution(take, out, 3, bias=True)
                decoder.append(_convolution(out, take, 3, bias=True))
            encoder.append(nn.MaxPool2d(2, return_indices=True))
            decoder.append([Unpool()])
            before = out
        decoder[0] = [nn.Conv2d(share(64, width), classes, 3, padding=1)]
        self.features = nn.Sequential(*encoder)
        self.decoder = nn.Sequential(*(layer for twin in reversed(decoder) for layer in twin))
        he_init(self, mode="fan_out")

    def names(self) -> dict[str, str]:
        """The encoder is all of a VGG-16 with batch norm but its affine layers, by the same names."""
        return {name: name for name in self.state_dict() if name.startswith("features.")}


class SegNetBasic(EncoderDecoder):
    """images (n, channels, h, w) -> logits (n, classes, h, w). width: share of the paper's channels.

    kernel: side of the convolutions, odd; smaller ones see less, and cost less. Raises ValueError for an even one.
    """

    stride = 16

    def __init__(self, *, classes: int, channels: int, width: float, kernel: int) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}: allowed are 1, 3, 5, 7 and so on, which have a middle")
        out = share(64, width)
        encoder: list[nn.Module] = []
        decoder: list[nn.Module] = []
        for take in (channels, out, out, out):
            encoder += [*_convolution(take, out, kernel, bias=False), nn.MaxPool2d(2, return_indices=True)]
            decoder += [Unpool(), *_convolution(out, out, kernel, bias=False)[:2]]
        self.features = nn.Sequential(*encoder)
        self.decoder = nn.Sequential(*decoder, nn.Conv2d(out, classes, 1))
        he_init(self, mode="fan_out")


def _convolution(channels: int, out: int, kernel: int, *, bias: bool) -> list[nn.Module]:
    layer = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=bias)
    return [layer, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


def segnet(*, classes: int = 11, channels: int = 3, width: float = 1.0) -> SegNet:
    return SegNet(classes=classes, channels=channels, width=width)


def segnet_basic(*, classes: int = 11, channels: int = 3, width: float = 1.0, kernel: int = 7) -> SegNetBasic:
    return SegNetBasic(classes=classes, channels=channels, width=width, kernel=kernel)
