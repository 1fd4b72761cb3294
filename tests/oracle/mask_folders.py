"""Small folders of images with masks, made from seeds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from oracle.photos import photo

CLASSES = "sky\nroad\ncar\n"


def numbers(seed: int, size: tuple[int, int] = (12, 9), highest: int = 2) -> np.ndarray:
    """A mask of random numbers, size (width, height)."""
    return np.random.default_rng(seed).integers(0, highest + 1, size[::-1], dtype=np.uint8)


def mask(path: Path, pixels: np.ndarray) -> Path:
    """A file of those pixels as they are; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def pairs(root: Path, images: str, masks: str, stems: Iterable[str], size: tuple[int, int] = (12, 9)) -> None:
    """An image and a mask of the classes 0 to 2 for each stem, all different, in those two folders of `root`."""
    for stem in stems:
        seed = sum(f"{images}{stem}".encode())
        photo(root / images / f"{stem}.png", seed, size)
        mask(root / masks / f"{stem}.png", numbers(seed, size))


def twins(root: Path, counts: dict[str, int], classes: str = CLASSES, size: tuple[int, int] = (12, 9)) -> Path:
    """images/ and masks/ with so many pairs, named 0, 1 and so on, in each folder of a split; "" for none."""
    for split, count in counts.items():
        pairs(root, f"images/{split}".rstrip("/"), f"masks/{split}".rstrip("/"), map(str, range(count)), size)
    (root / "classes.txt").write_text(classes)
    return root
