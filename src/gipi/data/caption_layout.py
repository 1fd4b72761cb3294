"""Images with captions as they are found on disk, in any of three layouts; no picture is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gipi.data.caption_coco import in_coco
from gipi.data.caption_csv import FORM, in_csv, is_caption_csv
from gipi.data.caption_files import CaptionFiles, Pair
from gipi.data.caption_flickr import flickr_files, in_flickr
from gipi.data.coco_files import coco_files
from gipi.data.entry import listed
from gipi.errors import DataError

__all__ = ["CaptionFiles", "Pair", "find_captions", "is_caption_folder"]
LAYOUTS = (
    "Flickr8k's, a file *.token.txt of lines NAME#0<TAB>caption, or captions.txt of image,caption, beside images/, with "
    "*trainImages.txt, *devImages.txt and *testImages.txt or without; or COCO's, a JSON file in annotations/ or beside the "
    "images; or a CSV file with " + FORM
)


def is_caption_folder(path: Path) -> bool:
    """Whether a folder or file has one of the layouts of images with captions; COCO's may hold boxes, too."""
    try:
        return _layout(path.expanduser()) is not None
    except OSError:
        return False


def _layout(path: Path) -> Callable[[Path], CaptionFiles] | None:
    if flickr_files(path):
        return in_flickr
    return in_coco if coco_files(path, captions=True) else in_csv if is_caption_csv(path) else None


def find_captions(path: Path) -> CaptionFiles:
    """The images and captions of a folder or file. No picture is opened, so some may turn out to be broken.

    1. Flickr8k: a file of captions, lists of images for each split, and a folder of images; see `in_flickr`.
    2. COCO: JSON files of images and annotations; see `coco_files` for where, `in_coco` for what.
    3. A CSV file of a line for each caption; see `in_csv`.
    Faulty lines are told by what is found, not raised. Raises DataError, saying how to mend it, if it is none of these, if there
    are no captions, none for training or for testing, or if none of their images is there.
    """
    path = path.expanduser()
    try:
        if (layout := _layout(path)) is None:
            what = "has no images with captions in a layout that is known" if path.exists() else "is not there"
            raise DataError(f"{path} {what}: {LAYOUTS}")
        files = layout(path)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    why = [*files.faults, *files.empty][:3]
    if not files.found.entries:
        raise DataError(f"{path} has no image with a caption; " + "; ".join(why or [f"it must have {LAYOUTS}"]))
    if (splits := files.found.splits) and "train" not in splits:
        raise DataError("; ".join([f"{path} has captions for {', '.join(sorted(splits))}, but none for train", *why]))
    if not any(entry.path.is_file() for entry in files.found.entries):
        raise DataError(f"{path} has captions of images that are not there: {listed([*files.captions])}; put them there")
    if splits <= {"train"} and len(files.found.entries) == 1:
        only = f"{path} has one image with captions, {files.found.entries[0].name}: training and test need one each"
        raise DataError("; ".join([only, *why]))
    return files
