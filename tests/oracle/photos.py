"""Small pictures on disk, made from seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photo(path: Path, seed: int = 0, size: tuple[int, int] = (12, 9)) -> Path:
    """A picture of smooth random colours, in the format that the path's suffix says; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def photos(root: Path, counts: dict[str, int], suffix: str = ".png") -> Path:
    """`counts` pictures in each folder below `root`, "train/cat": 3 and the like, all different."""
    for part, (folder, count) in enumerate(counts.items()):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            photo(root / folder / f"{number}{suffix}", seed=1000 * part + number)
    return root
