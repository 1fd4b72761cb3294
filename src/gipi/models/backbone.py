"""What every net that classifies pictures offers beside its logits: a new head, its embedding and a pyramid of feature maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn


class Backbone(nn.Module):
    """A classifier in two parts: `embed` makes of images what the last layer sees, `answer` makes logits of that.

    HEAD: name of the last layer, an affine one or a 1x1 convolution, such as "fc" or "classifier.6".
    Transfer learning replaces the head; segmentation, detection and captioning read the pyramid.
    """

    HEAD: str

    def pyramid(self, images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
        """The last feature map of each resolution, by its stride (pixels of the image to a step of the map), fine to coarse."""
        raise NotImplementedError

    def embed(self, images: Float[Tensor, "n c h w"]) -> Tensor:
        """What the head sees: (n, d), or (n, d, i, j) before a head that is a convolution."""
        raise NotImplementedError

    def answer(self, embedded: Tensor) -> Float[Tensor, "n k"]:
        """Logits of an embedding: the head and what comes behind it."""
        return self.head(embedded)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.answer(self.embed(images))

    @property
    def head(self) -> nn.Linear | nn.Conv2d:
        return self.get_submodule(self.HEAD)  # pyright: ignore[reportReturnType]

    def new_head(self, classes: int) -> None:
        """Replace the head by a fresh one for so many classes; every other weight stays."""
        owner, _, name = self.HEAD.rpartition(".")
        setattr(self.get_submodule(owner), name, fresh_head(self.head, classes))


class Answer(nn.Module):
    """The last part of a net, `answer`, as a module of its own: what is trained where the embeddings are known."""

    def __init__(self, net: Backbone) -> None:
        super().__init__()
        self.net = net

    def forward(self, embedded: Tensor) -> Float[Tensor, "n k"]:
        return self.net.answer(embedded)


COUNTER = ".num_batches_tracked"  # of batch norm


class Converted(nn.Module):
    """A net that can begin with what a trained classifier knows.

    origin: the net of the catalogue whose trained weights `from_classifier` takes; "": there is none.
    FRESH, UNUSED: beginnings of names; of own weights that stay as they are if the classifier's have another shape, since its
    classes are others, and of the classifier's weights that have no place here.
    """

    FRESH: tuple[str, ...] = ()
    UNUSED: tuple[str, ...] = ()
    origin: str = ""

    def names(self) -> dict[str, str]:
        """What each weight that a classifier hands over is called: here, and there."""
        return {}

    def from_classifier(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This net's state dict with all that a trained `origin` hands over; what that lacks is as it was.

        weights: the classifier's state dict. An affine layer becomes the convolution of the same weights. The last layer is taken
        over where this net scores the same number of classes. Raises ValueError naming the weights that do not fit.
        """
        if not self.origin:
            raise ValueError("no classifier of the catalogue has weights for this net: train it from its initial ones")
        own, names = self.state_dict(), self.names()
        known = set(names.values())
        faults = [f"missing {old}" for old in names.values() if old not in weights]
        spare = [old for old in weights if old not in known and not old.endswith(COUNTER)]  # norms held fixed count no batches
        faults += [f"unexpected {old}" for old in spare if not old.startswith(self.UNUSED)]
        for new, old in names.items():
            weight, place = weights.get(old, own[new]), own[new]
            if weight.ndim == 2 and weight.numel() == place.numel():
                weight = weight.reshape(place.shape)
            if weight.shape == place.shape:
                own[new] = weight
            elif not new.startswith(self.FRESH):
                faults.append(f"{old} has shape {tuple(weight.shape)}, here is place for {tuple(place.shape)}")
        if faults:
            more = f" and {len(faults) - 4} more" if len(faults) > 4 else ""
            raise ValueError(f"these are not the weights of a {self.origin} as wide as this net: {'; '.join(faults[:4])}{more}")
        return own


def fresh_head(old: nn.Linear | nn.Conv2d, classes: int) -> nn.Linear | nn.Conv2d:
    """A last layer in place of `old`, for so many classes: weights of standard deviation 0.01, no biases yet."""
    new = nn.Linear(old.in_features, classes) if isinstance(old, nn.Linear) else nn.Conv2d(old.in_channels, classes, 1)
    nn.init.normal_(new.weight, std=0.01)
    nn.init.zeros_(new.bias)  # pyright: ignore[reportArgumentType]
    return new.to(old.weight)


def large_stem(stem: str) -> bool:
    """Whether a net starts as published, for images of ImageNet's size; "small": of 28 or 32 pixels. ValueError else."""
    if stem not in ("imagenet", "small"):
        raise ValueError(f"stem is {stem!r}, allowed are 'imagenet' and 'small'")
    return stem == "imagenet"


def share(channels: int, width: float) -> int:
    """How many of the published channels a net of that `width` has. ValueError if none is left."""
    count = round(channels * width)
    if count < 1:
        raise ValueError(f"width is {width}: that leaves none of {channels} channels")
    return count


def he_init(net: nn.Module, *, mode: Literal["fan_in", "fan_out"]) -> None:
    """Weights of He et al., arXiv 1502.01852, in convolutions, N(0, 0.01) in affine layers, biases of 0.

    mode: whether the spread follows from the inputs or the outputs of a convolution.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def walk(layers: Iterable[nn.Module], images: Float[Tensor, "n c h w"]) -> dict[int, Tensor]:
    """The pyramid of layers in a row: a layer with an attribute `stride` lowers the resolution by it, any other keeps it."""
    maps: dict[int, Tensor] = {}
    stride = 1
    for layer in layers:
        step = getattr(layer, "stride", 1)
        stride *= step if isinstance(step, int) else step[0]
        images = layer(images)
        maps[stride] = images
    return maps
