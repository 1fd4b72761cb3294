"""Small folders of images with boxes, made from seeds, in every layout."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from oracle.photos import photo

CLASSES = ("cat", "dog", "eel")
SIZE = (40, 30)  # width and height of the images
Box = tuple[str, float, float, float, float]  # class, x0, y0, x1, y1 as edges
Boxes = Mapping[str, Sequence[Box]]  # by the stem of the image


def boxes(stems: Iterable[str], most: int = 4, size: tuple[int, int] = SIZE) -> dict[str, list[Box]]:
    """1 to `most` boxes for each stem, inside an image of `size`; 2 pixels at least, as VOC's of one pixel are taken for slips."""
    made: dict[str, list[Box]] = {}
    for stem in stems:
        random = np.random.default_rng(list(stem.encode()))
        made[stem] = []
        for _ in range(random.integers(1, most + 1)):
            (x0, x1), (y0, y1) = (sorted((2 * random.choice(side // 2 + 1, 2, replace=False)).tolist()) for side in size)
            made[stem].append((CLASSES[random.integers(len(CLASSES))], x0, y0, x1, y1))
    return made


def pictures(folder: Path, stems: Iterable[str], size: tuple[int, int] = SIZE) -> None:
    for stem in stems:
        photo(folder / f"{stem}.png", sum(stem.encode()), size)


def xml(things: Sequence[Box], size: tuple[int, int] | None = SIZE, difficult: Collection[int] = ()) -> str:
    """VOC's text of an image. difficult: numbers of boxes that are."""
    sides = "<size><width>{}</width><height>{}</height><depth>3</depth></size>".format(*size) if size else ""
    objects = [
        f"<object><name>{name}</name><difficult>{int(number in difficult)}</difficult><bndbox><xmin>{x0 + 1}</xmin>"
        f"<ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for number, (name, x0, y0, x1, y1) in enumerate(things)
    ]
    return f"<annotation><filename>x</filename>{sides}{''.join(objects)}</annotation>"


def voc(root: Path, made: Boxes, lists: Mapping[str, Iterable[str]] | None = None) -> Path:
    """lists: the stems in each file of ImageSets/Main, "train" and so on."""
    pictures(root / "JPEGImages", made)
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    for stem, things in made.items():
        (root / "Annotations" / f"{stem}.xml").write_text(xml(things))
    for name, stems in (lists or {}).items():
        (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    return root


def instances(made: Boxes, crowd: Collection[tuple[str, int]] = (), ids: Sequence[int] = (3, 7, 12)) -> dict[str, list[dict]]:
    """COCO's lists. crowd: stem and number of boxes that are.  ids: of the categories `CLASSES`."""
    rows = [(stem, number, *box) for stem, things in made.items() for number, box in enumerate(things)]
    places = {stem: 1000 + place for place, stem in enumerate(made)}
    return {
        "images": [{"id": places[s], "file_name": f"{s}.png", "width": SIZE[0], "height": SIZE[1]} for s in made],
        "annotations": [
            {
                "id": place,
                "image_id": places[stem],
                "category_id": ids[CLASSES.index(name)],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": int((stem, number) in crowd),
            }
            for place, (stem, number, name, x0, y0, x1, y1) in enumerate(rows)
        ],
        "categories": [{"id": number, "name": name} for number, name in zip(ids, CLASSES, strict=True)],
    }


def coco(file: Path, images: Path, made: Boxes) -> Path:
    """A JSON file, and the images in a folder."""
    pictures(images, made)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(instances(made)))
    return file


def table(file: Path, made: Boxes, header: str = "path,x0,y0,x1,y1,class") -> Path:
    """A CSV file beside its images; one without boxes has empty fields. header: "" for none."""
    pictures(file.parent, made)
    lines = [header] if header else []
    for stem, things in made.items():
        lines += [f"{stem}.png,{x0},{y0},{x1},{y1},{name}" for name, x0, y0, x1, y1 in things] or [f"{stem}.png,,,,,"]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file
