"""What an exported model is fed when its answers are compared with ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gipi.data.scenes import scene
from gipi.errors import ConfigError
from gipi.ops.image import open_image, resize, scale, scale_short
from gipi.ops.random import uniforms
from gipi.tasks.captioner import Captioner
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector, given_regions
from gipi.tasks.evaluation import Loaded
from gipi.tasks.export_graphs import scales
from gipi.tasks.generator import Generator
from gipi.tasks.player import Player
from gipi.tasks.proposals import MOST
from gipi.tasks.segmenter import Segmenter

SCENES = 3  # that are fed beside noise if no picture is named
IMAGES = 64  # of each of two seeds, that a generator makes
MOMENTS = 64  # of an episode, at most, that a player sees

Feed = tuple[Tensor, ...]


def feeds(model: Loaded, check: Path | None) -> list[Feed]:
    """The inputs of the model's first graph. Pictures: `check`, or noise and scenes; noise of two seeds; an episode's beginning.

    Raises ConfigError for a picture where none is read and an environment that cannot be played, DataError if `check` cannot be
    read.
    """
    if isinstance(model, Generator | Player):
        if check:
            raise ConfigError(f"--check {check} is a picture, and this model does {model.KIND}: it reads none, leave it out")
        return _seen(model) if isinstance(model, Player) else [_noise(model, seed) for seed in (0, 1)]
    return with_regions(model, [_framed(model, check)] if check else list(_made(model)))


def with_regions(model: Loaded, pictures: list[Tensor]) -> list[Feed]:
    """Pixels uint8 (1, c, h, w); where the net wants to be told, also regions (2000, 4), zeros behind."""
    if not (isinstance(model, Detector) and model.given):
        return [(pixels,) for pixels in pictures]
    found = [given_regions(pixels, torch.tensor([pixels.shape[2:]]))[0] for pixels in pictures]
    return [(pixels, F.pad(own, (0, 0, 0, MOST - len(own)))) for pixels, own in zip(pictures, found, strict=True)]


def _framed(model: Captioner | Classifier | Detector | Segmenter, check: Path) -> Tensor:
    if isinstance(model, Captioner):
        return model.frame(check).seen[None]
    if scales(model):
        image = open_image(check)
        return resize(image, (model.card.image[0], image.height, image.width))[None]
    pixels = model.frame(check)[None]
    if isinstance(model, Segmenter):
        return scale_short(pixels, model.short)
    return scale(pixels, model.size(*pixels.shape[2:])) if isinstance(model, Detector) else pixels


def _made(model: Loaded) -> Iterator[Tensor]:
    """Noise and scenes of the card's size; where any is taken, every other one is smaller, or has its own."""
    channels, height, width = model.card.image
    noise = uniforms(0, 0, torch.arange(channels * height), width).view(1, channels, height, width)
    yield (noise * 256).to(torch.uint8)
    for number in range(SCENES):
        image = Image.fromarray(scene("test", number).image.transpose(1, 2, 0))
        own = number % 2 == 0 and scales(model)
        picture = resize(image, (channels, image.height, image.width) if own else model.card.image)[None]
        smaller = number % 2 == 0 and isinstance(model, Segmenter)
        yield scale(picture, (height * 3 // 4 + 1, width * 3 // 4 + 1)) if smaller else picture


def _noise(model: Generator, seed: int) -> Feed:
    noise = model.noise(IMAGES, seed).flatten(1)
    return (noise, torch.arange(IMAGES) % model.maker.classes) if model.maker.conditional else (noise,)


def _seen(model: Player) -> list[Feed]:
    return [(torch.cat([moment.stacked for moment in model.game(most=MOMENTS)]),)]
