"""Small images with boxes in a CSV file: bright rectangles of two colours before noise, each colour a class."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("green", "red")
SIZE = 32, 48


def boxed(folder: Path, *, train: int = 12, validation: int = 5, test: int = 5) -> Path:
    """boxes.csv with a split for each image; the first image of each split has no box."""
    random, rows = np.random.default_rng(7), []
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", train), ("val", validation), ("test", test)):
        for number in range(count):
            image, name = random.integers(0, 90, (*SIZE, 3), np.uint8), f"{split}-{number}.png"
            for label, left in ((0, 2), (1, 26)) if number else ():
                x, y = left + random.integers(0, 6), random.integers(0, 14)
                wide, tall = random.integers(10, 16, 2)
                image[y : y + tall, x : x + wide, 1 - label] = 240
                rows.append((name, x, y, x + wide, y + tall, CLASSES[label], split))
            if not number:
                rows.append((name, "", "", "", "", "", split))
            Image.fromarray(image).save(folder / name)
    with (folder / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "x0", "y0", "x1", "y1", "class", "split"), *rows])
    return folder / "boxes.csv"
