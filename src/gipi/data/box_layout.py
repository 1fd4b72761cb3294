"""Images with boxes as they are found on disk, in any of three layouts; no picture is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gipi.data.box_coco import in_coco
from gipi.data.box_csv import FORM, in_csv, is_box_csv
from gipi.data.box_files import BoxFiles, Note, Pair
from gipi.data.box_voc import ANNOTATIONS, IMAGES, in_voc
from gipi.data.coco_files import coco_files
from gipi.data.faults import Fault
from gipi.errors import DataError

__all__ = ["BoxFiles", "Note", "Pair", "find_boxes", "is_box_folder"]
LAYOUTS = (
    "VOC's JPEGImages/ and Annotations/, with ImageSets/Main/train.txt, val.txt and test.txt or without; or COCO's, a JSON file "
    "in annotations/, beside the images, or in train/, valid/ and test/ as _annotations.coco.json; or a CSV file with " + FORM
)


def is_box_folder(path: Path) -> bool:
    """Whether a folder or file has one of the layouts of images with boxes; if not, it may hold masks or class folders."""
    try:
        return _layout(path.expanduser()) is not None
    except OSError:
        return False


def _layout(path: Path) -> Callable[[Path], BoxFiles] | None:
    if all(os.path.isdir(path / folder) for folder in (IMAGES, ANNOTATIONS)):
        return in_voc
    return in_coco if coco_files(path) else in_csv if is_box_csv(path) else None


def find_boxes(path: Path) -> BoxFiles:
    """The images and boxes of a folder or file. No picture is opened, so some may turn out to be broken.

    1. PASCAL VOC: `JPEGImages`, `Annotations` with an XML file for each image, and the lists of names `ImageSets/Main/train.txt`,
    `val.txt` and `test.txt`. Without lists, all images; see `in_voc`.
    2. COCO: JSON files of images, annotations and categories; see `coco_files` for where, `in_coco` for what.
    3. A CSV file of a line for each box; see `in_csv`.
    Raises DataError, saying how to mend it, if it is none of these, if a list of boxes is not as it must be, or if there are no
    images, none for training, or no boxes at all.
    """
    path = path.expanduser()
    try:
        if (layout := _layout(path)) is None:
            what = "has no images with boxes in a layout that is known" if path.exists() else "is not there"
            raise DataError(f"{path} {what}: {LAYOUTS}")
        files = layout(path)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    notes = [note for note in files.notes.values() if isinstance(note, Note)]
    broken = [note.text() for note in files.notes.values() if isinstance(note, Fault)]
    if not files.found.entries:
        raise DataError(f"{path} has no image with boxes; " + ("; ".join(files.faults[:3]) or f"it must have {LAYOUTS}"))
    if (splits := files.found.splits) and "train" not in splits:
        raise DataError(f"{path} has images for {', '.join(sorted(splits))}, but none for train")
    if not any(len(note.boxes) for note in notes):
        raise DataError(f"{path} has no box in any of {len(notes):,} images; " + ("; ".join(broken[:3]) or "draw some"))
    return files
