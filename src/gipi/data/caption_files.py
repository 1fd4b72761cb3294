"""Images with captions as they are found on disk: what any of the layouts comes to."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gipi.data.entry import SUFFIXES, Entry, Found, visible
from gipi.data.folder import parts
from gipi.errors import ConfigError, nearest
from gipi.ops.text import scored

FOLDERS = (  # in which images are looked for, seen from where their captions lie
    "images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset", "flickr30k_images", "",
)  # fmt: skip


class Pair(NamedTuple):
    """An image, perhaps one that is not there, and its captions, one or more, each with a word."""

    image: Entry
    captions: tuple[str, ...]


@dataclass(frozen=True)
class CaptionFiles:
    """What was found. The entries of `found` are the images that have a caption and, where splits are told, one; all of label 0.

    captions: by the entry's name, each with a word.  faults: sentences on lines that are not as they must be.
    empty: sentences on captions without a word.  missing: images with captions that are not there; they may be entries, too.
    bare: images without a caption, there or listed.  unlisted: images there with captions, of no split where others have one.
    """

    found: Found
    captions: Mapping[str, tuple[str, ...]]
    faults: tuple[str, ...]
    empty: tuple[str, ...]
    missing: tuple[str, ...]
    bare: tuple[str, ...]
    unlisted: tuple[str, ...]

    def pairs(self) -> dict[str, tuple[Pair, ...]]:
        """Those of each split: train, test and, where the source has all three, validation.

        Where the source has a validation part but no test part, that is the test. Where it has neither, a fifth of the images is:
        the first in the order of a hash of their names; see `folder.parts`.
        """
        divided = parts(self.found)
        return {split: tuple(Pair(entry, self.captions[entry.name]) for entry in part) for split, part in divided.items()}

    def of_split(self, split: str) -> tuple[Pair, ...]:
        """The pairs of a split. Raises ConfigError for one that there is not."""
        if split not in (divided := self.pairs()):
            raise ConfigError(f"{self.found.path} has no split {split!r}{nearest(split, divided)}")
        return divided[split]


class Listing:
    """What is written in a data set, while it is gathered. root: folder from which its images are named.

    captions: of each image, perhaps none.  splits: of those images of which one is told.  empty, faults: see CaptionFiles.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.captions, self.splits = dict[Path, list[str]](), dict[Path, str]()
        self.empty, self.faults = list[str](), list[str]()

    def add(self, where: str, image: Path, caption: str) -> None:
        """A caption of an image. where: file and line, to be said of one without a word."""
        told = self.captions.setdefault(image, [])
        if scored(caption):
            told.append(caption.strip())
        else:
            self.empty.append(f"{where}: the caption of {self.name(image)} is empty")

    def divide(self, where: str, image: Path, split: str) -> None:
        """The split of an image; a second one is a fault."""
        self.captions.setdefault(image, [])
        if self.splits.setdefault(image, split) != split:
            self.faults.append(f"{where}: {self.name(image)} is listed for {self.splits[image]} before; list it once")

    def name(self, image: Path) -> str:
        return Path(os.path.relpath(image, self.root)).as_posix()

    def files(self, path: Path) -> CaptionFiles:
        """What it comes to, as the data set `path`."""
        captions = {image: tuple(told) for image, told in self.captions.items() if told}
        there = {image for image in captions if os.path.isfile(image)}
        used = self.splits or captions
        entries = [Entry(image, 0, self.splits.get(image, ""), self.name(image)) for image in captions if image in used]
        return CaptionFiles(
            Found(path, (), tuple(entries)),
            captions={entry.name: captions[entry.path] for entry in entries},
            faults=tuple(self.faults),
            empty=tuple(self.empty),
            missing=self._names(image for image in captions if image not in there),
            bare=self._names(image for image in (*self.captions, *self._beside()) if image not in captions),
            unlisted=self._names(image for image in captions if image in there and image not in used),
        )

    def _names(self, images: Iterable[Path]) -> tuple[str, ...]:
        return tuple(map(self.name, images))

    def _beside(self) -> list[Path]:
        """Pictures that nothing is written of, in the folders of those that something is."""
        folders = sorted({image.parent for image in self.captions if image.parent.is_dir()})
        beside = (item for folder in folders for item in sorted(folder.iterdir()) if visible(item.name))
        return [item for item in beside if item.suffix.lower() in SUFFIXES and item not in self.captions]


def finder(folders: Sequence[Path]) -> Callable[[str], Path]:
    """Where an image of a name lies: in the first of the folders that has it; if none has, where it would lie in one of them.

    Systems write accents and syllables of Hangul as one sign or as several: both are tried.
    """

    @cache
    def find(name: str) -> Path:
        names = dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))))
        spots = [folder / each for each in names for folder in folders]
        there = next((spot for spot in spots if os.path.isfile(spot)), None)
        return there or next((spot for spot in spots if os.path.isdir(spot.parent)), spots[0])

    return find


def image_folders(*roots: Path) -> list[Path]:
    """Those of `FOLDERS` that are there, below any of the folders."""
    return [root / folder for root in roots for folder in FOLDERS if os.path.isdir(root / folder)]
