"""Captions in the layout of Flickr8k: a file of captions for all images, and a list of images for each split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gipi.data.caption_csv import read_csv
from gipi.data.caption_files import CaptionFiles, Listing, finder, image_folders
from gipi.data.entry import listed
from gipi.errors import DataError

TEXTS = ("", "Flickr8k_text")  # folders in which captions and lists are looked for
TOKENS = ("*.token.txt", "*.token")  # Flickr8k's and Flickr30k's
TABLES = ("captions.txt", "captions.csv")  # of image,caption, as Kaggle has them
LISTS = {"train": "train", "dev": "validation", "val": "validation", "test": "test"}  # in *trainImages.txt and so on


def flickr_files(path: Path) -> list[Path]:
    """The files of captions of a folder; none if it is no such data set."""
    found = (file for name in (*TOKENS, *TABLES) for folder in TEXTS for file in sorted((path / folder).glob(name)))
    return [file for file in found if file.is_file() and not file.name.startswith(".") and ".lemma." not in file.name]


def in_flickr(path: Path) -> CaptionFiles:
    """The images that the file of captions names, of the splits that *trainImages.txt, *devImages.txt and *testImages.txt list.

    A line of the file is `NAME#0<TAB>caption`, the number counting the captions of an image; or the file is a CSV file of
    image,caption, see `read_csv`. Blank lines are passed over. Images lie in one of `FOLDERS`, beside the text or above it.
    Raises DataError for several such files, or one that is no text.
    """
    files, listing = flickr_files(path), Listing(path)
    if len(files) > 1:
        raise DataError(f"{path} has several files of captions: {listed([file.name for file in files])}; keep one of them")
    find = finder(image_folders(*dict.fromkeys((path, files[0].parent))))
    (read_csv if files[0].name in TABLES else _read_tokens)(files[0], listing, find)
    for name, split in LISTS.items():
        for file in sorted(files[0].parent.glob(f"*{name}Images.txt")):
            for number, line in enumerate(_lines(file), 1):
                if line.strip():
                    listing.divide(f"{file.name}, line {number}", find(line.strip()), split)
    return listing.files(path)


def _read_tokens(file: Path, listing: Listing, find: Callable[[str], Path]) -> None:
    for number, line in enumerate(_lines(file), 1):
        where, (head, tab, caption) = f"{file.name}, line {number}", line.partition("\t")
        name, mark, count = (part.strip() for part in head.rpartition("#"))
        if name and mark and count.isdecimal() and tab:
            listing.add(where, find(name), caption)
        elif line.strip():
            listing.faults.append(f"{where}: must be an image's name, # and a number, a tab and a caption; it is {line[:60]!r}")


def _lines(file: Path) -> list[str]:
    """The lines of a file of any system, without the mark of UTF-8 that some begin with."""
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text in UTF-8: {error}") from error
