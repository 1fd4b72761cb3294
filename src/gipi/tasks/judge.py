"""Who looks at images to say how near made ones are to real ones: a classifier, Inception, or a net that nobody trained.

Distances between images are taken between their features, and mean something only beside others by the same judge. A classifier
trained on the images in question sees what makes them up. Without one there is `random`: Naeem, Oh, Uh, Choi and Yoo, "Reliable
Fidelity and Diversity Metrics for Generative Models", arXiv 2002.09797, section 4, found that the features of a net with random
weights tell real from made images too, where those of ImageNet do not fit. Theirs is VGG-16; ours is small, and the same on
every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from gipi.engine.place import Place
from gipi.errors import ConfigError, WeightsError
from gipi.model import find_model
from gipi.models.inception import SIDE
from gipi.ops.random import normals
from gipi.tasks.classifier import Classifier
from gipi.tasks.fid import load_inception

DIGITS = tuple("0123456789")
FITTING = {"mnist": "deepconvnet-mnist", "digits": "deepconvnet-mnist", "fashion-mnist": "digitnet-fashion"}
SMALL = (1, 28, 28)  # what those take
SEED = 2002_09797  # of the random weights
PIXELS = 400_000  # at once, as the net sees them


class Look(NamedTuple):
    """What a judge sees in images, on the CPU. probabilities: of its classes, k = 0 where it is no classifier."""

    features: Float[Tensor, "n d"]
    probabilities: Float[Tensor, "n k"]


@dataclass(frozen=True)
class Judge:
    """name: a phrase for people.  classes: () if it is no classifier.  see: some images at once.  at_once: how many, at most."""

    name: str
    classes: tuple[str, ...]
    see: Callable[[UInt8[Tensor, "n c h w"]], Look]
    at_once: int

    def look(self, images: UInt8[Tensor, "n c h w"]) -> Look:
        """What it sees in the images, in float32."""
        with torch.inference_mode():
            parts = [self.see(part) for part in images.split(self.at_once)]
        return Look(*(torch.cat(values).cpu() for values in zip(*parts, strict=True)))


def find_judge(judge: str, image: tuple[int, int, int], classes: tuple[str, ...], data: str, place: Place) -> Judge:
    """The judge that `gan.judge` names, of images of that size (channels, height, width), those classes and that data set.

    "auto": of digits and clothing of 28x28 pixels our shipped classifier, of all else "random".  "inception": distances by it are
    the published FID.  "random": `random_judge`.  Anything else is a classifier: a model file, a run folder or a shipped model.
    Raises ConfigError if that takes images of another size, is an ensemble or no classifier, or if there is no such model;
    DataError or WeightsError if Inception's file cannot be had.
    """
    place = replace(place, precision="fp32", shard=False)
    if judge == "auto":
        name = FITTING.get(data, FITTING["mnist"] if classes == DIGITS else "")
        judge = name if name and image == SMALL else "random"
    if judge == "random":
        return random_judge(image, place)
    return _inception(place) if judge == "inception" else _classifier(judge, image, place)


def random_judge(image: tuple[int, int, int], place: Place) -> Judge:
    """3x3 convolutions of stride 2 and ReLU down to maps of 4x4, with He's initial weights of a fixed seed; the last maps' means.

    Their channels are 32, 64, 128, 128, ...: on images of 32x32 a fourth layer told real images from changed ones less well.
    """
    channels, side, weights = image[0], max(image[1:]), list[Tensor]()
    while side > 4:
        width, fan_in = min(32 << len(weights), 128), channels * 9
        values = normals(SEED, len(weights), torch.arange(width), fan_in) * (2 / fan_in) ** 0.5
        weights.append(place.put_images(values.view(width, channels, 3, 3)))
        channels, side = width, -(-side // 2)

    def see(pixels: Tensor) -> Look:
        x = place.put_images(pixels).float() / 127.5 - 1
        for weight in weights:
            x = F.relu(F.conv2d(x, weight, stride=2, padding=1))
        return Look(x.mean((2, 3)), x.new_empty(len(x), 0))

    return Judge("random weights", (), see, _at_once(image))


def _inception(place: Place) -> Judge:
    net = load_inception(place)

    def see(pixels: Tensor) -> Look:
        features = net(place.put_images(pixels))
        return Look(features, features.new_empty(len(features), 0))

    return Judge("Inception", (), see, _at_once((3, SIDE, SIDE)))


def _classifier(name: str, image: tuple[int, int, int], place: Place) -> Judge:
    try:
        path = find_model(name)
    except WeightsError as error:
        raise ConfigError(f"no judge {name!r}: it is none of auto, inception and random, and {error}") from error
    model = Classifier.load(path, place)
    if model.card.image != image:
        raise ConfigError(
            f"the judge {name} looks at images of {model.card.image} (channels, height, width), these are of {image}: "
            "name a classifier of such images, or --gan.judge random"
        )
    if model.card.members > 1:
        raise ConfigError(f"the judge {name} is an ensemble, whose members see features of their own: name one classifier")

    def see(pixels: Tensor) -> Look:
        with model.answering():
            embedded: Tensor = model.net.embed(model.inputs(pixels))  # pyright: ignore[reportCallIssue]
            logits: Tensor = model.net.answer(embedded)  # pyright: ignore[reportCallIssue]
        return Look(embedded.flatten(2).mean(2) if embedded.ndim > 2 else embedded, logits.softmax(1))

    return Judge(name, model.card.classes, see, _at_once(image))


def _at_once(image: tuple[int, int, int]) -> int:
    return max(1, PIXELS // (image[1] * image[2]))
