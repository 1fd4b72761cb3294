"""Pairs of image and mask by their names, in any of three layouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gipi.data.entry import SPLITS, SUFFIXES, Entry, is_text, visible
from gipi.errors import DataError

TWINS, VOC = ("images", "masks"), ("JPEGImages", "SegmentationClass")
ANNOTATED = tuple((split, f"{split}annot") for split in SPLITS)


class Search(NamedTuple):
    """What is found below `root` while looking: see `MaskFiles`."""

    root: Path
    entries: list[Entry]
    masks: dict[str, Path]
    faults: list[str]
    left_out: list[str]

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def pictures(self, folder: Path) -> dict[str, Path]:
        """Those that lie in a folder, by their stems; what else lies there is left out."""
        found: dict[str, Path] = {}
        for item in sorted(item for item in folder.iterdir() if visible(item.name)) if folder.is_dir() else ():
            if not item.is_file() or item.suffix.lower() not in SUFFIXES:
                self.left_out.append(f"{self.name(item)}: no picture by its name")
            elif not is_text(item.name):
                raise DataError(f"{folder} holds {item.name!r}, a name that is no text in UTF-8: rename it")
            elif item.stem in found:
                self.faults.append(f"{self.name(item)}: {found[item.stem].name} has the same stem; rename or remove one")
            else:
                found[item.stem] = item
        return found

    def match(self, images: Mapping[str, Path], masks: Mapping[str, Path], split: str, stems: Iterable[str], where: str) -> None:
        """Take the pairs of those stems. where: the folder of the masks, to be said of an image that has none."""
        for stem in stems:
            if stem in images and stem in masks:
                entry = Entry(images[stem], 0, split, self.name(images[stem]))
                self.entries.append(entry)
                self.masks[entry.name] = masks[stem]
            elif stem in images:
                self.faults.append(f"{self.name(images[stem])}: no mask {where}/{stem}.png; add it or remove the image")
            elif stem in masks:
                self.faults.append(f"{self.name(masks[stem])}: no image of this name; add it or remove the mask")
            else:
                self.faults.append(f"{stem}: listed for {split}, but neither image nor mask is there; take it off the list")

    def match_folders(self, images: Path, masks: Path, split: str) -> None:
        left, right = self.pictures(images), self.pictures(masks)
        self.match(left, right, split, sorted({*left, *right}), self.name(masks))


def search_twins(search: Search) -> None:
    """images/ and masks/, perhaps with folders of the splits below both."""
    folders = [search.root / name for name in TWINS]
    items = [item for folder in folders for item in sorted(folder.iterdir()) if visible(item.name)]
    splits = sorted({item.name for item in items if item.is_dir() and item.name.lower() in SPLITS})
    for name in splits:
        search.match_folders(folders[0] / name, folders[1] / name, SPLITS[name.lower()])
    if splits:
        search.left_out.extend(f"{search.name(item)}: lies beside {splits[0]}" for item in items if item.name not in splits)
    else:
        search.match_folders(folders[0], folders[1], "")


def search_annotated(search: Search) -> None:
    """train/ and trainannot/, and the same of val and test."""
    for images, masks in ANNOTATED:
        search.match_folders(search.root / images, search.root / masks, SPLITS[images])


def search_voc(search: Search) -> None:
    """JPEGImages/ and SegmentationClass/, with lists of names for each split, or none."""
    images, masks = (search.pictures(search.root / name) for name in VOC)
    files = {name: search.root / "ImageSets" / "Segmentation" / f"{name}.txt" for name in SPLITS}
    lists = {name: _names(file) for name, file in files.items() if file.is_file()}
    for name, names in lists.items():
        if name == "test" and not any(stem in masks for stem in names):
            search.left_out.append(f"{search.name(files[name])}: none of its masks is there")
        else:
            search.match(images, masks, SPLITS[name], names, VOC[1])
    if not lists:
        search.match(images, masks, "", sorted(masks), VOC[1])


def _names(file: Path) -> Sequence[str]:
    try:
        return file.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text in UTF-8: {error}") from error
