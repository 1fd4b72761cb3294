"""A folder of small images with masks: bright rectangles of two colours before noise, each colour a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ground", "red", "green")
SIZE = 32, 48


def rectangles(folder: Path, *, train: int = 12, validation: int = 5, test: int = 5) -> Path:
    """images/ and masks/ with train, val and test; row 0 of each mask is void."""
    random = np.random.default_rng(7)
    for split, count in (("train", train), ("val", validation), ("test", test)):
        for room in ("images", "masks"):
            (folder / room / split).mkdir(parents=True)
        for number in range(count):
            image, mask = random.integers(0, 90, (*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)
            for label in (1, 2):
                top, left = random.integers(0, 16), random.integers(0, 32)
                tall, wide = random.integers(8, 16, 2)
                image[top : top + tall, left : left + wide, label - 1] = 240
                image[top : top + tall, left : left + wide, 2 - label] = 20
                mask[top : top + tall, left : left + wide] = label
            mask[0] = 255
            Image.fromarray(image).save(folder / "images" / split / f"{number}.png")
            Image.fromarray(mask).save(folder / "masks" / split / f"{number}.png")
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    return folder
