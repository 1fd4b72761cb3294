"""Boxes in the layout of COCO: a JSON file for all images of a split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gipi.data.box_files import BoxFiles, Note, box_note
from gipi.data.coco_files import Row, coco_files, file_splits, image_places, is_known, listed_images, read_lists
from gipi.data.entry import SUFFIXES, Entry, Found, listed, visible
from gipi.errors import DataError

LISTS = ("images", "annotations", "categories")


def in_coco(path: Path) -> BoxFiles:
    """The images that the JSON files at `path` list; those without annotations have no boxes.

    A file's split is in its name or that of its folder. The classes are its categories in the order of their ids.
    Raises DataError, naming what is faulty, for files whose splits cannot be told apart, or that are not as COCO's are.
    """
    files, root = coco_files(path), path if path.is_dir() else path.parent
    names, entries, notes, faults = dict[int, str](), list[Entry](), dict[str, Note](), list[str]()
    for file, split in file_splits(path, files).items():
        table = read_lists(file, LISTS)
        if wrong := _wrong(table):
            raise DataError(f"{file} is not as COCO's files are, {len(wrong):,} faults in all:\n  " + listed(wrong, "\n  "))
        for row in table["categories"]:
            if names.setdefault(row["id"], row["name"]) != row["name"]:
                raise DataError(f"{file}: category {row['id']} is {row['name']!r} here and {names[row['id']]!r} in another file")
        boxes = {row["id"]: list[Row]() for row in table["images"]}
        for row in table["annotations"]:
            boxes[row["image_id"]].append(row)
        places = image_places(root, file)
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


def _wrong(table: Mapping[str, Sequence[Row]]) -> list[str]:
    """Rows that lack what they must have."""
    images, wrong = listed_images(table["images"])
    for number, row in enumerate(table["categories"]):
        if not isinstance(row.get("id"), int) or not isinstance(row.get("name"), str):
            wrong.append(f"categories[{number}] must have a whole number as id and a name")
    for number, row in enumerate(table["annotations"]):
        box = row.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(n, int | float) and abs(n) < 1e9 for n in box):
            wrong.append(f"annotations[{number}] must have a bbox of 4 numbers, it has {str(box)[:60]}")
        elif not isinstance(row.get("category_id"), int) or not is_known(row.get("image_id"), images):
            wrong.append(f"annotations[{number}] must have a category_id and the id of a listed image as image_id")
    return wrong


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
