"""DeepConvNet: a small VGG-style net that reads handwritten digits.

Source: Saito, *Deep Learning from Scratch*, chapter 8, section 8.1 and its figure of the net. Layer by layer:

    [conv3x3 - ReLU - conv3x3 - ReLU - pool2] x 3, 16 - 32 - 64 channels; the fourth convolution pads by 2
    affine 1024 -> 50 - ReLU - dropout 0.5 - affine 50 -> 10 - dropout 0.5 - softmax

123,552 parameters; 8.77 M multiply-adds for a 28x28 image. He initialisation, zero biases.

Deviations from the source, none of which changes the function computed:
- the second ReLU of a block comes after the pooling, on a quarter of the values (max and ReLU commute);
- padding 2 is done as 1 before and 1 inside the convolution: the fast CPU kernels for the weight gradient want less than 2;
- the net ends in logits; softmax belongs to the loss and to prediction.
The dropout behind the last affine layer is the source's; `last_dropout` is its rate, and 0 leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gipi.errors import WeightsError
from gipi.models.backbone import Backbone, walk

# The book's names: W1 to W6 (out, in, 3, 3) and W7, W8 (in, out), b1 to b8.
BOOK_LAYERS = {
    1: "features.0",
    2: "features.2",
    3: "features.5",
    4: "features.8",
    5: "features.11",
    6: "features.13",
    7: "classifier.1",
    8: "classifier.4",
}


class DeepConvNet(Backbone):
    """images (n, channels, 28, 28), 0 to 1 -> logits (n, classes).

    The pyramid has strides 1, 2, 4 and 8: 28, 16, 8 and 4 places a side, the maps in front of each pool, before its ReLU, and the
    last one. The padding by 2 makes 16 of 14.
    """

    HEAD = "classifier.4"

    def __init__(self, *, classes: int, channels: int, last_dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(16, 16, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.ZeroPad2d(1), nn.Conv2d(32, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            *(nn.Linear(64 * 4 * 4, 50), nn.ReLU(inplace=True), nn.Dropout(0.5)),
            *(nn.Linear(50, classes), nn.Dropout(last_dropout)),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def pyramid(self, images: Float[Tensor, "n c 28 28"]) -> dict[int, Tensor]:
        return walk(self.features, images)

    def embed(self, images: Float[Tensor, "n c 28 28"]) -> Float[Tensor, "n d"]:
        return self.classifier[:4](self.features(images))

    def answer(self, embedded: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.classifier[4:](embedded)


def deepconvnet(*, classes: int = 10, channels: int = 1, last_dropout: float = 0.0) -> DeepConvNet:
    """The net for 28x28 images of `channels` channels; `last_dropout` 0.5 is the book's, 0 leaves that layer out."""
    return DeepConvNet(classes=classes, channels=channels, last_dropout=last_dropout)


# The book's dropout keeps the scale in training and halves afterwards; ours doubles in training and keeps it afterwards. With
# the halves of both dropout layers in the last affine layer, the two nets agree in training and afterwards.
BOOK_FACTORS = {"W8": 0.25, "b8": 0.5}


def from_book(params: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The book's weights, dict W1..W8 and b1..b8, as this net's state dict (10 classes, 1 channel).

    Loaded into our net they give the logits of the book's program. Raises WeightsError naming missing, unexpected, mis-shaped.
    """
    shapes = {key: tuple(value.shape) for key, value in deepconvnet().state_dict().items()}
    weights: dict[str, Tensor] = {}
    faults = [f"unexpected {name}" for name in params if name not in {f"{kind}{n}" for kind in "Wb" for n in BOOK_LAYERS}]
    for number, layer in BOOK_LAYERS.items():
        for name, key in ((f"W{number}", f"{layer}.weight"), (f"b{number}", f"{layer}.bias")):
            if name not in params:
                faults.append(f"missing {name}")
                continue
            affine = name in ("W7", "W8")
            value = params[name].T if affine else params[name]
            if value.shape != shapes[key]:
                want = shapes[key][::-1] if affine else shapes[key]
                faults.append(f"{name} has shape {params[name].shape}, the net wants {want}")
            weights[key] = torch.from_numpy(np.ascontiguousarray(value * BOOK_FACTORS.get(name, 1.0), dtype=np.float32))
    if faults:
        raise WeightsError(f"these are not the weights of DeepConvNet: {'; '.join(faults)}")
    return weights
