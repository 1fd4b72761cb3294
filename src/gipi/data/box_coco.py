"""Boxes in the layout of COCO: a JSON file for all images of a split."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gipi.data.box_files import BoxFiles, Note, box_note
from gipi.data.entry import SPLITS, SUFFIXES, Entry, Found, listed, visible
from gipi.errors import DataError

ROBOFLOW = "_annotations.coco.json"
LISTS = ("images", "annotations", "categories")
Row = Mapping[str, Any]


def coco_files(path: Path) -> list[Path]:
    """The JSON files of boxes at `path`; none if it is no such data set.

    `path` itself; those in its folder annotations/, only instances_*.json if there are any; Roboflow's in train/, valid/ and
    test/; else those beside the images that hold lists of images and annotations.
    """
    if path.suffix.lower() == ".json" and path.is_file():
        return [path]
    there = sorted(path.glob("annotations/*.json"))
    if there := [file for file in there if file.name.startswith("instances")] or there:
        return there
    folders = sorted(folder for folder in path.iterdir() if folder.name.lower() in SPLITS) if path.is_dir() else []
    if there := [folder / ROBOFLOW for folder in folders if (folder / ROBOFLOW).is_file()]:
        return there
    texts = {file: file.read_bytes() for file in sorted(path.glob("*.json"))}
    return [file for file, text in texts.items() if all(b'"%s"' % name.encode() in text for name in LISTS[:2])]


def in_coco(path: Path) -> BoxFiles:
    """The images that the JSON files at `path` list; those without annotations have no boxes.

    A file's split is in its name or that of its folder. The classes are its categories in the order of their ids.
    Raises DataError, naming what is faulty, for files whose splits cannot be told apart, or that are not as COCO's are.
    """
    files, root = coco_files(path), path if path.is_dir() else path.parent
    splits = {file: _split(file) for file in files}
    if len(files) > 1 and ("" in splits.values() or len(set(splits.values())) < len(files)):
        names = ", ".join(file.relative_to(root).as_posix() for file in files)
        raise DataError(f"{path} has {names}: allowed are one, or one each whose name has the word train, val or test")
    names, entries, notes, faults = dict[int, str](), list[Entry](), dict[str, Note](), list[str]()
    for file, split in splits.items():
        table = _table(file)
        if wrong := _wrong(table):
            raise DataError(f"{file} is not as COCO's files are, {len(wrong):,} faults in all:\n  " + listed(wrong, "\n  "))
        for row in table["categories"]:
            if names.setdefault(row["id"], row["name"]) != row["name"]:
                raise DataError(f"{file}: category {row['id']} is {row['name']!r} here and {names[row['id']]!r} in another file")
        boxes = {row["id"]: list[Row]() for row in table["images"]}
        for row in table["annotations"]:
            boxes[row["image_id"]].append(row)
        places = _places(root, file)
        for row in table["images"]:
            image = next((place / row["file_name"] for place in places if (place / row["file_name"]).is_file()), None)
            if image is None:
                faults.append(f"{row['file_name']}: listed in {file.name}, but not there; add it or take it off the list")
                continue
            entry = Entry(image, 0, split, Path(os.path.relpath(image, root)).as_posix())
            if entry.name in notes:
                raise DataError(f"{file} lists {entry.name}, which is listed before: list it once, with all of its boxes")
            entries.append(entry)
            notes[entry.name] = _note(file.relative_to(root).as_posix(), row, boxes[row["id"]], names)
    if len(set(names.values())) < len(names):
        raise DataError(f"{path} has several categories of one name: {listed(sorted(names.values()))}; make them one")
    classes = tuple(names[number] for number in sorted(names))
    return BoxFiles(Found(path, classes, tuple(entries), _unlisted(root, entries)), notes, tuple(faults), "xywh")


def _split(file: Path) -> str:
    """The one that a word of the file's name, or its folder's name, means."""
    words = re.split(r"[^a-z]+", file.stem.lower())
    splits = {SPLITS[word] for word in (*words, file.parent.name.lower()) if word in SPLITS}
    return splits.pop() if len(splits) == 1 else ""


def _table(file: Path) -> Mapping[str, Any]:
    try:
        table = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is no JSON file: {error}") from error
    lists = {name: table.get(name) for name in LISTS} if isinstance(table, dict) else {}
    if not lists or not all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in lists.values()):
        raise DataError(f"{file} must hold the lists {', '.join(LISTS)}, as COCO's files of instances do")
    return lists


def _wrong(table: Mapping[str, Sequence[Row]]) -> list[str]:
    """Rows that lack what they must have."""
    images, wrong = set[int | str](), list[str]()
    for number, row in enumerate(table["images"]):
        if not isinstance(row.get("id"), int | str) or not isinstance(row.get("file_name"), str):
            wrong.append(f"images[{number}] must have an id and a file_name")
        elif row["id"] in images:
            wrong.append(f"images[{number}] has the id {row['id']!r}, as one before")
        else:
            images.add(row["id"])
    for number, row in enumerate(table["categories"]):
        if not isinstance(row.get("id"), int) or not isinstance(row.get("name"), str):
            wrong.append(f"categories[{number}] must have a whole number as id and a name")
    for number, row in enumerate(table["annotations"]):
        box = row.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(n, int | float) and abs(n) < 1e9 for n in box):
            wrong.append(f"annotations[{number}] must have a bbox of 4 numbers, it has {str(box)[:60]}")
        elif not isinstance(row.get("category_id"), int) or not _known(row.get("image_id"), images):
            wrong.append(f"annotations[{number}] must have a category_id and the id of a listed image as image_id")
    return wrong


def _known(number: object, images: set[int | str]) -> bool:
    return isinstance(number, int | str) and number in images


def _places(root: Path, file: Path) -> list[Path]:
    """Folders in which the images of a file may lie: of instances_train2017.json also train2017 and images/train2017."""
    part = file.stem.removeprefix("instances_")
    return [file.parent, root, root / part, root / "images", root / "images" / part]


def _note(name: str, image: Row, rows: Sequence[Row], names: Mapping[int, str]) -> Note:
    height, width = (image.get(side) for side in ("height", "width"))
    stated = (height, width) if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0 else None
    boxes = [(x, y, x + width, y + height) for x, y, width, height in (row["bbox"] for row in rows)]
    words = [names.get(row["category_id"], f"category {row['category_id']}") for row in rows]
    return box_note(name, stated, boxes, words, crowd=[bool(row.get("iscrowd")) for row in rows])


def _unlisted(root: Path, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Pictures beside those that are listed."""
    taken = {entry.path for entry in entries}
    folders = sorted({path.parent for path in taken})
    beside = (item for folder in folders for item in sorted(folder.iterdir()) if visible(item.name))
    loose = [item for item in beside if item not in taken and item.suffix.lower() in SUFFIXES]
    return tuple(f"{Path(os.path.relpath(item, root)).as_posix()}: is not listed" for item in loose)
