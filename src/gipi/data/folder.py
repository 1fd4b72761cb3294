"""Pictures of one's own as a data set: found in any of four layouts, divided into splits, brought to one size."""

from __future__ import annotations

import hashlib
import unicodedata
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch

from gipi.config import DataConfig
from gipi.data.entry import Entry, Found, listed, visible
from gipi.data.fetch import cache_folder, data_folders
from gipi.data.layout import in_csv, in_folders
from gipi.data.pictures import copies, refused, told
from gipi.data.shards import index
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, DataError, GipiWarning, nearest
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD

HYMENOPTERA = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"


def find(path: Path) -> Found:
    """The labelled pictures of a data set; none is opened, so some may turn out to be broken.

    path: a folder of class folders; a folder of train, val (or valid, validation) and test, each with class folders; a CSV file
    of path,label and perhaps split; a folder of tar files of the webdataset layout. See `layout.py` and `shards.py`.
    Raises DataError, saying how to mend it, if it is none of these, or if a class has no picture, only one, or none in a split.
    """
    path = path.expanduser()
    try:
        if path.is_dir():
            items = [item for item in path.iterdir() if visible(item.name)]
            shards = any(item.suffix == ".tar" for item in items) and not any(item.is_dir() for item in items)
            found = index(path) if shards else in_folders(path)
        elif path.suffix.lower() == ".csv" and path.is_file():
            found = in_csv(path)
        else:
            what = "is neither a folder nor a .csv file" if path.exists() else "is not there"
            raise DataError(f"{path} {what}: name a folder of class folders or of tar shards, or a .csv file of path,label")
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    if fault := _fault(found):
        raise DataError(f"{path} {fault}")
    return found


def _fault(found: Found) -> str:
    """Why nothing can be trained on what was found; "" if something can."""
    counts = Counter(entry.label for entry in found.entries)
    labels = {split: {e.label for e in found.entries if e.split == split} for split in sorted({e.split for e in found.entries})}
    if not found.entries:
        return "holds no pictures" + (f"; left out: {listed(found.left_out)}" if found.left_out else "")
    if "" in labels and len(labels) > 1:
        return f"says train, val or test of some pictures but not of {next(e.name for e in found.entries if not e.split)!r}"
    if found.splits and "train" not in labels:
        return f"has pictures for {', '.join(labels)}, but none for train"
    for split in sorted(found.splits - {"train"}):
        missing = ((here, labels[here] - labels[there]) for here, there in (("train", split), (split, "train")))
        only = [f"only in {here}: {listed([found.classes[n] for n in sorted(those)])}" for here, those in missing if those]
        if only:
            return f"has other classes in {split} than in train; {'; '.join(only)}; add pictures or take the classes out"
    if len(found.classes) == 1:
        return f"has one class only, {found.classes[0]!r}: a classifier needs two or more; name the folder of the class folders"
    for count, few in ((0, "no picture in"), (1, "one picture, where training and test need one each, in")):
        if names := [name for label, name in enumerate(found.classes) if counts[label] == count]:
            return f"has {few} {listed(names)}: add pictures or take the classes out"
    return ""


def parts(found: Found) -> dict[str, tuple[Entry, ...]]:
    """The pictures of each split: train, test and, where the source has all three, validation.

    Where the source has a validation part but no test part, that is the test. Where it has neither, a fifth of each class is:
    the first in the order of a hash of their names, so the same on every machine, and a new picture moves one other at most.
    """
    if found.splits - {"train"}:
        divided = {split: tuple(e for e in found.entries if e.split == split) for split in sorted(found.splits)}
        return divided if "test" in divided else {"train": divided["train"], "test": divided["validation"]}
    classes: dict[int, list[Entry]] = {}
    for entry in sorted(found.entries, key=_address):
        classes.setdefault(entry.label, []).append(entry)
    test = {entry.name for entries in classes.values() for entry in entries[: -(-len(entries) // 5)]}
    return {split: tuple(e for e in found.entries if (e.name in test) == (split == "test")) for split in ("train", "test")}


def _address(entry: Entry) -> bytes:
    name = unicodedata.normalize("NFC", entry.name)  # some systems take accents apart
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def of_split(found: Found, split: str) -> tuple[Entry, ...]:
    """The pictures of a split, see `parts`. Raises ConfigError for one that there is not."""
    divided = parts(found)
    if split not in divided:
        raise ConfigError(f"{found.path} has no split {split!r}{nearest(split, divided)}")
    return divided[split]


def has_validation(found: Found) -> bool:
    """Whether the source sets pictures for validation apart, beside those for training and test."""
    return found.splits == {"train", "validation", "test"}


def folder(path: Path, split: str, *, short: int, broken: float) -> ImageSet:
    """The pictures of a split, images (n, 3, short, short): see `find` and `parts`; how they are brought to the size, `shrink`.

    Those that cannot be read are left out, with a warning that lists them. Copies are kept in the cache, see `copies`.
    broken: share of the split's pictures that may be unreadable.
    Raises ConfigError for a split that there is not; DataError if no such data set is found, more cannot be read, a class is left
    without pictures, or the copies find no room.
    """
    found = find(path)
    entries = of_split(found, split)
    images, faults = copies(entries, short=short, folder=cache_folder() / "pictures")
    if refusal := refused(found, entries, faults, broken):
        raise DataError(f"{path} ({split}): {refusal}")
    if faults:
        warnings.warn(GipiWarning(f"{path} ({split}): {told(entries, faults)}\nthey are left out"), stacklevel=2)
    if found.left_out:
        warnings.warn(GipiWarning(f"{path}: files left out: {len(found.left_out):,}: {listed(found.left_out)}"), stacklevel=2)
    labels = torch.tensor([entry.label for number, entry in enumerate(entries) if number not in faults])
    return ImageSet(str(path), split, found.classes, images, labels, "crop", IMAGENET_MEAN, IMAGENET_STD)


def hymenoptera(split: str, *, short: int = 256) -> ImageSet:
    """Ants and bees, the photographs of PyTorch's tutorial on transfer learning, images (n, 3, short, short): see `folder`.

    split: 'train', 244 photographs, or 'test', 153, its val. Raises ConfigError for another; DataError, saying where the folder
    `hymenoptera` was looked for and how to get it, if it is not there.
    """
    if split not in (splits := ("train", "test")):
        raise ConfigError(f"data set 'hymenoptera' has no split {split!r}{nearest(split, splits)}")
    places = data_folders("hymenoptera")
    for place in places:
        if place.is_dir():
            return replace(folder(place, split, short=short, broken=DataConfig().broken), name="hymenoptera")
    looked = ", ".join(map(str, places))
    raise DataError(
        f"data set 'hymenoptera' is in none of {looked}: unpack {HYMENOPTERA}, so that train and val lie in {places[-1]}"
    )
