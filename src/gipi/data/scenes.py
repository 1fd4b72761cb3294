"""Scenes that are made here and need no network: one to three real handwritten digits before a cluttered ground.

Boxes, masks and a sentence are known exactly, so one set serves segmentation, detection and captioning. The digits are those of
`gipi.data.digits`: its test ones in test scenes, a tenth of the others in validation scenes alone, the rest in training scenes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from gipi.data import scene_art as art
from gipi.data.boxes import BoxSet, padded
from gipi.data.captions import CaptionSet
from gipi.data.digits import digits
from gipi.data.masks import MaskSet
from gipi.data.scene_paint import painted
from gipi.data.scene_words import DIGITS, describe
from gipi.data.sizes import Size
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, nearest
from gipi.ops.image import scale_short, scale_short_masks
from gipi.ops.random import uniforms

HEIGHT, WIDTH = 64, 96
COUNTS = {"train": 4096, "validation": 512, "test": 1024}
CAPTIONED = 4  # times as many training scenes have sentences, which tell less of an image than masks and boxes do
CLASSES = ("background", *DIGITS)
COLOURS = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178),
    (213, 94, 0), (204, 121, 167), (220, 220, 220), (130, 70, 200), (140, 90, 40),
)  # fmt: skip
HEIGHTS = ((16, 19), (22, 28), (32, 36))  # of small, plain and large digits
NUMBERS = 512  # random numbers a scene has, before those of its grain


@dataclass(frozen=True)
class Scene:
    """mask: 0 background, 1 "zero" to 10 "nine".  boxes: x0, y0, x1, y1 of each digit's pixels in the mask, ends not included.

    labels: of the boxes, as in the mask.  sentence: see `scene_words.describe`.
    """

    image: UInt8[np.ndarray, "3 64 96"]
    mask: UInt8[np.ndarray, "64 96"]
    boxes: Int64[np.ndarray, "m 4"]
    labels: Int64[np.ndarray, " m"]
    sentence: str


def scene(split: str, index: int, seed: int = 0) -> Scene:
    """Scene `index`, from 0 on, of a split: a function of its arguments alone, on every machine the same.

    Raises ConfigError for a split other than "train", "validation" and "test", or a negative index.
    """
    if index < 0:
        raise ConfigError(f"scene {index}: scenes are numbered from 0")
    return next(_scenes(split, torch.tensor([index]), seed))


def scenes(split: str, *, short: int = 0) -> MaskSet:
    """The scenes of a split with seed 0: 4,096 train, 512 validation, 1,024 test, images (n, 3, 64, 96).

    short: pixels of the shorter side that images and masks are scaled to; 0: 64, as they are made.
    Raises ConfigError for another split.
    """
    made, images, names = _made(split, short)
    masks = scale_short_masks(torch.from_numpy(np.stack([each.mask for each in made])), short)
    return MaskSet("scenes", split, CLASSES, images, masks, COLOURS, names, (0.5,) * 3, (0.25,) * 3)


def scene_boxes(split: str, *, short: int = 0) -> BoxSet:
    """The images of `scenes`, each with the boxes of its digits, one to three; their classes are "zero" to "nine"."""
    made, images, names = _made(split, short)
    labels = [torch.from_numpy(each.labels) - 1 for each in made]
    parts = padded([torch.from_numpy(each.boxes).float() for each in made], labels, [each < 0 for each in labels])
    height, width = images.shape[2:]
    parts[0].mul_(torch.tensor([width / WIDTH, height / HEIGHT] * 2))
    scales, sizes = torch.full((len(made),), height / HEIGHT), torch.tensor([[height, width]]).repeat(len(made), 1)
    return BoxSet("scenes", split, DIGITS, images, *parts, names, scales, sizes, (0.5,) * 3, (0.25,) * 3)


def scene_captions(split: str, *, side: int | Size = 0) -> CaptionSet:
    """The images of `scenes`, each with its sentence; for training four times as many, 16,384.

    side: 0, 64 or (64, 96), all as they are made; ConfigError for others.
    """
    if side not in (0, HEIGHT, (HEIGHT, WIDTH)):
        raise ConfigError(
            f"data set 'scenes' has captions for images of {HEIGHT}x{WIDTH} alone, not {side}: ask for no other size"
        )
    made, images, names = _made(split, 0, CAPTIONED if split == "train" else 1)
    return CaptionSet("scenes", split, images, tuple((each.sentence,) for each in made), names, (0.5,) * 3, (0.25,) * 3)


def _made(split: str, short: int, times: int = 1) -> tuple[list[Scene], UInt8[Tensor, "n 3 h w"], tuple[str, ...]]:
    """(the scenes of a split, or `times` as many, their images scaled, their names)."""
    made = list(_scenes(split, torch.arange(times * COUNTS.get(split, 0)), seed=0))
    images = scale_short(torch.from_numpy(np.stack([each.image for each in made])), short)
    return made, images, tuple(f"{split}-{index:04}" for index in range(len(made)))


def _scenes(split: str, index: Int64[Tensor, " n"], seed: int) -> Iterator[Scene]:
    """The scenes of these numbers; random numbers of several are drawn at once, which is faster."""
    if split not in COUNTS:
        raise ConfigError(f"data set 'scenes' has no split {split!r}{nearest(split, COUNTS)}")
    for part in index.split(32):
        rows = uniforms(seed, list(COUNTS).index(split), part, NUMBERS + HEIGHT * WIDTH)
        yield from (_compose(row, _handwriting(split)) for row in rows.double().numpy())


def _compose(row: Float[np.ndarray, " n"], source: ImageSet) -> Scene:
    numbers, grain = iter(row[:NUMBERS].tolist()), row[NUMBERS:].reshape(HEIGHT, WIDTH)
    mask, patches, boxes, labels = np.zeros((HEIGHT, WIDTH), np.uint8), [], [], []
    count, stacked = art.whole(numbers, 1, 3), next(numbers) < 0.3
    for _ in range(count):
        number = art.whole(numbers, 0, len(source) - 1)
        alpha = art.digit(source.images[number, 0].numpy(), art.whole(numbers, *HEIGHTS[art.whole(numbers, 0, 2)]))
        if (corner := art.place(numbers, alpha.shape, boxes, stacked, (HEIGHT, WIDTH))) is None:
            continue  # no room is left
        (x, y), (height, width) = corner, alpha.shape
        patches.append(art.Patch(slice(y, y + height), slice(x, x + width), alpha))
        labels.append(int(source.labels[number]) + 1)
        mask[y : y + height, x : x + width][alpha > 0.5] = labels[-1]
        boxes.append((x + 1, y + 1, x + width - 1, y + height - 1))
    image = painted(numbers, patches, boxes, (HEIGHT, WIDTH))
    image += (grain - 0.5) * art.between(numbers, 0, 16)
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return Scene(image, mask, np.array(boxes), np.array(labels), describe(boxes, labels))


@cache
def _handwriting(split: str) -> ImageSet:
    if split == "test":
        return digits("test")
    train, validation = digits("train").hold_out(0.1)
    return train if split == "train" else validation
