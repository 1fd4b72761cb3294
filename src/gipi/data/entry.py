"""Labelled pictures as they are found: where their bytes lie, and what the layouts of data sets call a split and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gipi.errors import DataError

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
SUFFIXES = {  # by which a picture is known, and the format that each promises
    ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF",
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG",
}  # fmt: skip
SHOWN = 10  # things listed in a message


class Entry(NamedTuple):
    """A labelled picture: a file, or a part of a tar file.

    label: index of its class.  split: "train", "validation", "test", or "" where the source does not say.
    name: its path inside the data set, with slashes.
    offset, size: where it lies in the tar file `path`, in bytes; offset 0: the file itself is the picture.
    """

    path: Path
    label: int
    split: str
    name: str
    offset: int = 0
    size: int = 0

    def read(self) -> bytes:
        """The bytes of the picture. Raises DataError if they cannot be read."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(self.size if self.offset else -1)
        except OSError as error:
            raise DataError(f"the image cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class Found:
    """The labelled pictures of a data set. classes: sorted names.  left_out: what is not used, and why."""

    path: Path
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()

    @property
    def splits(self) -> frozenset[str]:
        """Those that the source names itself."""
        return frozenset(entry.split for entry in self.entries) - {""}


def reason(error: DataError) -> str:
    """What `read`, or `decode`, has against the bytes of a picture, to be said behind its name."""
    return str(error).removeprefix("the image ")


def visible(name: str) -> bool:
    """Whether a file or folder of that name is the user's, not hidden and not left there by a system."""
    return not name.startswith(".") and name.lower() not in ("thumbs.db", "desktop.ini", "__macosx")


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8: systems hand out others, too."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def listed(words: Sequence[str], between: str = ", ") -> str:
    """The first ten, and how many more there are."""
    more = [f"and {len(words) - SHOWN:,} more"] if len(words) > SHOWN else []
    return between.join([*words[:SHOWN], *more])
