"""FCN: a classifier made convolutional, which names every pixel of an image in one pass.

Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, and Shelhamer, Long and
Darrell, PAMI 2017, arXiv 1605.06211: section 3.1 (affine layers as convolutions), section 3.3 (upsampling), section 4.3 and
figure 3 (32s, 16s, 8s).

| factory        | parameters  | the paper's | multiply-adds, 224x224 | scored                                         |
|----------------|-------------|-------------|------------------------|------------------------------------------------|
| fcn32s_vgg16   | 134,432,597 | 134 M       | 21,212,405,760         | fc7, at stride 32                              |
| fcn16s_vgg16   | 134,379,194 |             | 21,214,529,616         | and the fourth pool, at stride 16              |
| fcn8s_vgg16    | 134,368,799 |             | 21,218,810,256         | and the third pool, at stride 8                |
| fcn8s_resnet18 | 11,201,439  |             | 1,821,546,384          | the ends of its last three stages              |
| fcn8s_resnet50 | 23,589,407  |             | 4,106,185,104          | the ends of its last three stages              |

All are for 21 classes. Scores begin at 0, and so does what the skips add: a new FCN-8s answers as an FCN-32s.

Deviations from the paper and the nets it released:
- They pad the image by 100 pixels and cut the scores; here fc6 pads its input by 3 places, so that the scores lie over the image
  from the start and one window of 32 pixels is image enough. Away from the border this is the same.
- An upsampling filter works on each class by itself. Theirs has weights from every class to every other, which begin at 0 and in
  the released nets stay there.
- 16s and 8s are trained at once from a classifier's weights; the paper went from 32s to 16s to 8s, or scaled the skips.
- The nets from ResNet are not in the paper. A ResNet's places lie at whole multiples of their stride, half a step above and left
  of where they are drawn; the convolutions learn to make up for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gipi.models.backbone import he_init, large_stem, share
from gipi.models.pixelwise import Pixelwise
from gipi.models.resnet import ResNet, resnet18, resnet50
from gipi.models.vgg import vgg16


class Enlarge(nn.ConvTranspose2d):
    """A map `factor` times as high and wide, by a transposed convolution of each channel by itself, at first bilinear.

    factor: even. A value stands in the middle of its factor x factor pixels, as in F.interpolate without aligned corners. Within
    factor / 2 pixels of the border values fade, as zeros lie outside: of all classes by the same share.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, 2 * factor, factor, padding=factor // 2, groups=channels, bias=False)
        with torch.no_grad():
            self.weight.copy_(bilinear(factor))


def bilinear(factor: int) -> Float[Tensor, "f f"]:
    """The weights by which a value counts for the 2 factor x 2 factor pixels around it: 1 - distance / factor, both ways."""
    line = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return line[:, None] * line


class FCN(Pixelwise):
    """images (n, channels, h, w) -> logits (n, classes, h, w): the maps of a trunk, scored, added up and enlarged."""

    FRESH = ("score.32.",)
    stride = 32

    def add_scores(self, classes: int, finest: int, deep: int, skips: Mapping[int, int]) -> None:
        """The layers behind the trunk. finest: published stride of the finest map that is scored, 32, 16 or 8.

        deep: channels of the map at stride 32; skips: those of the maps at strides 16 and 8. All are smaller by as much as the
        net's own stride is.
        """
        strides = [stride for stride in (16, 8) if stride >= finest]
        self.score = nn.ModuleDict({"32": nn.Conv2d(deep, classes, 1)})
        self.score.update({str(stride): nn.Conv2d(skips[stride], classes, 1) for stride in strides})
        self.up = nn.ModuleDict({str(stride): Enlarge(classes, 2) for stride in strides})
        self.enlarge = Enlarge(classes, finest * self.stride // 32)
        self.enlarge.requires_grad_(False)
        for layer in self.score.values():
            nn.init.zeros_(layer.weight)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def maps(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        """The maps that are scored, by their strides: 32, and 16 and 8 for the skips."""
        raise NotImplementedError

    def scores(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """Logits at the stride of the finest map scored, of which the last layer makes those of every pixel."""
        maps = self.maps(images)
        scores = self.score["32"](maps[32])
        for stride, up in self.up.items():
            scores = up(scores) + self.score[stride](maps[int(stride)])
        return scores

    def segment(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        return self.enlarge(self.scores(images))


class FCNVGG(FCN):
    """VGG-16 with its affine layers as convolutions, fc6 and fc7; the skips come from its third and fourth pool."""

    origin = "vgg16"

    def __init__(self, *, finest: int, classes: int, channels: int, width: float, dropout: float) -> None:
        super().__init__()
        hidden = share(4096, width)
        with torch.device("meta"):  # half a gigabyte of numbers is drawn once, by he_init, and none for layers not kept
            features = vgg16(channels=channels, width=width).features
            fc6, fc7 = nn.Conv2d(share(512, width), hidden, 7, padding=3), nn.Conv2d(hidden, hidden, 1)
        here = torch.get_default_device()
        self.features, self.fc6, self.fc7 = features.to_empty(device=here), fc6.to_empty(device=here), fc7.to_empty(device=here)
        self.relu6, self.relu7 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
        self.drop6, self.drop7 = nn.Dropout(dropout), nn.Dropout(dropout)
        he_init(self.features, mode="fan_out")
        for layer in (self.fc6, self.fc7):  # by their inputs, as fc6 has 196 thousand outputs for a place
            he_init(layer, mode="fan_in")
        self.add_scores(classes, finest, hidden, {16: share(512, width), 8: share(256, width)})

    def maps(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        x, pools = images, {}
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools[2 ** (len(pools) + 1)] = x
        x = self.drop6(self.relu6(self.fc6(x)))
        return {**pools, 32: self.drop7(self.relu7(self.fc7(x)))}

    def names(self) -> dict[str, str]:
        """All of a VGG-16: its affine layers, the first of which sees 7x7 places, are convolutions of as many places."""
        layers = {"fc6": "classifier.0", "fc7": "classifier.3", "score.32": "classifier.6"}
        names = {name: name for name in self.state_dict() if name.startswith("features.")}
        return names | {f"{new}.{part}": f"{old}.{part}" for new, old in layers.items() for part in ("weight", "bias")}


class FCNResNet(FCN):
    """ResNet without its last layer; the skips come from the ends of its third and second stage.

    stem: "small" is for images whose things are few pixels large: the strides of all maps are a quarter, 8, 4 and 2.
    """

    def __init__(
        self, trunk: Callable[..., ResNet], origin: str, *, classes: int, channels: int, width: float, stem: str
    ) -> None:
        super().__init__()
        self.origin = origin
        self.stride = 32 if large_stem(stem) else 8
        self.trunk = trunk(classes=1, channels=channels, width=width, stem=stem)
        deep = self.trunk.fc.in_features
        del self.trunk.fc
        self.add_scores(classes, 8, deep, {16: deep // 2, 8: deep // 4})

    def maps(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        return {stride * 32 // self.stride: map for stride, map in self.trunk.pyramid(images).items()}

    def names(self) -> dict[str, str]:
        """All of a ResNet. Its last layer answers to the mean over the places: that is the mean of the scores at stride 32."""
        names = {f"trunk.{name}": name for name in self.trunk.state_dict()}
        return names | {f"score.32.{part}": f"fc.{part}" for part in ("weight", "bias")}


def fcn32s_vgg16(*, classes: int = 21, channels: int = 3, width: float = 1.0, dropout: float = 0.5) -> FCNVGG:
    return FCNVGG(finest=32, classes=classes, channels=channels, width=width, dropout=dropout)


def fcn16s_vgg16(*, classes: int = 21, channels: int = 3, width: float = 1.0, dropout: float = 0.5) -> FCNVGG:
    return FCNVGG(finest=16, classes=classes, channels=channels, width=width, dropout=dropout)


def fcn8s_vgg16(*, classes: int = 21, channels: int = 3, width: float = 1.0, dropout: float = 0.5) -> FCNVGG:
    return FCNVGG(finest=8, classes=classes, channels=channels, width=width, dropout=dropout)


def fcn8s_resnet18(*, classes: int = 21, channels: int = 3, width: float = 1.0, stem: str = "imagenet") -> FCNResNet:
    return FCNResNet(resnet18, "resnet18", classes=classes, channels=channels, width=width, stem=stem)


def fcn8s_resnet50(*, classes: int = 21, channels: int = 3, width: float = 1.0, stem: str = "imagenet") -> FCNResNet:
    return FCNResNet(resnet50, "resnet50", classes=classes, channels=channels, width=width, stem=stem)
