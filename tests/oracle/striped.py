"""Small images with captions in a CSV file: the left half one colour, the right half another, before noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (230, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 230)}
TEMPLATES = (
    "{0} beside {1}",
    "A {0} half, and a {1} one.",
    "{1}",
    "Here is {0} at first and then, some way behind, {1}!",
    "half {0}, half {1}",
)
SIDE = 32


def told(number: int, most: int = len(TEMPLATES)) -> list[str]:
    """The captions of an image, one to `most`, of different lengths; the images of nine numbers in a row differ."""
    left, right = (list(COLOURS)[place] for place in divmod(number % 9, 3))
    return [template.format(left, right) for template in TEMPLATES[: 1 + number % most]]


def striped(folder: Path, *, train: int = 12, validation: int = 4, test: int = 4, most: int = len(TEMPLATES)) -> Path:
    """captions.csv with a split for each line."""
    random, rows, colours = np.random.default_rng(7), [], [*COLOURS.values()]
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", train), ("val", validation), ("test", test)):
        for number in range(count):
            image, name = random.integers(-25, 26, (SIDE, SIDE, 3)), f"{split}-{number}.png"
            for half, colour in zip((image[:, : SIDE // 2], image[:, SIDE // 2 :]), divmod(number % 9, 3), strict=True):
                half += colours[colour]
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / name)
            rows += [(name, caption, split) for caption in told(number, most)]
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption", "split"), *rows])
    return folder / "captions.csv"
