"""Small folders of images with captions, made from seeds, in every layout."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from oracle.photos import photo

SIZE = (12, 9)  # width and height of the images
Captions = Mapping[str, Sequence[str]]  # by the name of the image


def captions(names: Iterable[str], most: int = 3) -> dict[str, list[str]]:
    """1 to `most` captions for each image, all different: the number of the image and of the caption are in it."""
    made: dict[str, list[str]] = {}
    for place, name in enumerate(names):
        random = np.random.default_rng(list(name.encode()))
        made[name] = [
            f"A {random.choice(['red', 'blue'])} {random.choice(['cat', 'dog'])}, number {place} {number} ."
            for number in range(random.integers(1, most + 1))
        ]
    return made


def pictures(folder: Path, names: Iterable[str], size: tuple[int, int] = SIZE) -> None:
    for name in names:
        photo(folder / name, int.from_bytes(name.encode(), "big"), size)


def flickr(root: Path, made: Captions, lists: Mapping[str, Iterable[str]] | None = None) -> Path:
    """Flickr8k's. lists: the images of each list, "train", "dev" and "test"."""
    pictures(root / "images", made)
    lines = [f"{name}#{number}\t{caption}\n" for name, told in made.items() for number, caption in enumerate(told)]
    (root / "Flickr8k.token.txt").write_text("".join(lines), encoding="utf-8")
    for part, names in (lists or {}).items():
        (root / f"Flickr_8k.{part}Images.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return root


def table(
    file: Path, made: Captions, splits: Mapping[str, str] | None = None, header: Sequence[str] = ("image", "caption")
) -> Path:
    """A CSV file beside its images. splits: of each image, in a third column."""
    pictures(file.parent, made)
    rows = [(name, caption, *([splits[name]] if splits else [])) for name, told in made.items() for caption in told]
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([(*header, *(["split"] if splits else [])), *rows])
    return file


def listing(made: Captions) -> dict[str, list[dict]]:
    """COCO's lists."""
    places = {name: 1000 + place for place, name in enumerate(made)}
    rows = [(name, caption) for name, told in made.items() for caption in told]
    return {
        "images": [{"id": places[name], "file_name": name} for name in made],
        "annotations": [{"id": n, "image_id": places[name], "caption": caption} for n, (name, caption) in enumerate(rows)],
    }


def coco(file: Path, images: Path, made: Captions) -> Path:
    """A JSON file, and the images in a folder."""
    pictures(images, made)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(listing(made)))
    return file
