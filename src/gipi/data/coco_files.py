"""COCO's JSON files: which of them hold boxes and which captions, of which split they are, and where their images lie."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gipi.data.entry import SPLITS
from gipi.errors import DataError

ROBOFLOW = "_annotations.coco.json"
Row = Mapping[str, Any]


def coco_files(path: Path, *, captions: bool = False) -> list[Path]:
    """The JSON files of boxes, or those of captions, at `path`; none if it is no such data set.

    `path` itself; those in its folder annotations/, only instances_*.json (captions_*.json) if there are any; Roboflow's in
    train/, valid/ and test/; else those beside the images that hold lists of images and annotations.
    """
    if path.suffix.lower() == ".json" and path.is_file():
        return [path] if _of_captions(path) == captions else []
    there, begin = sorted(path.glob("annotations/*.json")), "captions" if captions else "instances"
    named = [file for file in there if file.name.startswith(begin)]
    if there := named or [file for file in there if _of_captions(file) == captions]:
        return there
    folders = sorted(folder for folder in path.iterdir() if folder.name.lower() in SPLITS) if path.is_dir() else []
    beside = [folder / ROBOFLOW for folder in folders if (folder / ROBOFLOW).is_file()]
    beside = beside or [file for file in sorted(path.glob("*.json")) if _holds(file, "images", "annotations")]
    return [file for file in beside if _of_captions(file) == captions]


def _of_captions(file: Path) -> bool:
    """By its name, or else by what is in it: a file of boxes may have captions, too."""
    if file.name.startswith(("captions", "instances")):
        return file.name.startswith("captions")
    return _holds(file, "caption") and not _holds(file, "bbox")


def _holds(file: Path, *words: str) -> bool:
    text = file.read_bytes()
    return all(b'"%s"' % word.encode() in text for word in words)


def file_splits(path: Path, files: Sequence[Path]) -> dict[Path, str]:
    """The split of each file of the data set `path`, from a word of its name or its folder's; "" if there is one file of none.

    Raises DataError if the splits of several cannot be told apart.
    """
    splits = {file: _split(file) for file in files}
    if len(files) > 1 and ("" in splits.values() or len(set(splits.values())) < len(files)):
        names = ", ".join(file.relative_to(path).as_posix() for file in files)
        raise DataError(f"{path} has {names}: allowed are one, or one each whose name has the word train, val or test")
    return splits


def _split(file: Path) -> str:
    words = re.split(r"[^a-z]+", file.stem.lower())
    splits = {SPLITS[word] for word in (*words, file.parent.name.lower()) if word in SPLITS}
    return splits.pop() if len(splits) == 1 else ""


def read_lists(file: Path, names: Sequence[str]) -> Mapping[str, list[Row]]:
    """The lists of those names in a file. Raises DataError if it has not each of them."""
    try:
        table = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is no JSON file: {error}") from error
    lists: dict[str, Any] = {name: table.get(name) for name in names} if isinstance(table, dict) else {}
    if not lists or not all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in lists.values()):
        raise DataError(f"{file} must hold the lists {', '.join(names)}, as COCO's files do")
    return lists


def listed_images(rows: Sequence[Row]) -> tuple[dict[int | str, str], list[str]]:
    """(file of each image by its id, what is wrong with rows of the list of images)."""
    images, wrong = dict[int | str, str](), list[str]()
    for number, row in enumerate(rows):
        if not isinstance(row.get("id"), int | str) or not isinstance(row.get("file_name"), str):
            wrong.append(f"images[{number}] must have an id and a file_name")
        elif row["id"] in images:
            wrong.append(f"images[{number}] has the id {row['id']!r}, as one before")
        else:
            images[row["id"]] = row["file_name"]
    return images, wrong


def is_known(number: object, images: Mapping[int | str, str]) -> bool:
    """Whether what a file gives as an image's id is one."""
    return isinstance(number, int | str) and number in images


def image_places(root: Path, file: Path) -> list[Path]:
    """Folders in which the images of a file may lie: of instances_train2017.json also train2017 and images/train2017.

    root: folder of the data set; that of the file, if it is the file alone: then images may lie beside its annotations/, too.
    """
    part = file.stem.removeprefix("instances_").removeprefix("captions_")
    roots = [root, root.parent] if root.name == "annotations" else [root]
    return [file.parent, *(folder / place for folder in roots for place in ("", part, "images", f"images/{part}"))]
