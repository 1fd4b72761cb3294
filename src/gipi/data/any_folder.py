"""Pictures for which classes are not needed: any folder of them as a data set of square images, grey if all are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from PIL import Image
from PIL.ContainerIO import ContainerIO
from torch import Tensor

from gipi.data.entry import SPLITS, SUFFIXES, Entry, Found, is_text, listed, visible
from gipi.data.fetch import cache_folder
from gipi.data.folder import find, of_split, parts
from gipi.data.pictures import copies, refused, told
from gipi.data.stream import ImageSet
from gipi.data.threads import in_threads
from gipi.errors import DataError, GipiWarning
from gipi.ops.image import FORMATS

ONLY = "image"  # the class of pictures without classes
FEWEST = 8  # pictures to train on
MEASURED = 2_000  # pictures whose shapes are looked at, at most


def find_any(path: Path) -> Found:
    """What `classless` or else `find` finds. Raises DataError as they do, and for fewer than `FEWEST` pictures to train on."""
    found = classless(path) or find(path)
    if not found.entries:
        raise DataError(f"{path} holds no pictures ({', '.join(SUFFIXES)}); left out: {listed(found.left_out) or 'nothing'}")
    if (count := sum(entry.split in ("", "train") for entry in found.entries)) < FEWEST:
        why = f"wanted are {FEWEST} at least, better thousands, since of few pictures a generator only learns to copy them"
        raise DataError(f"{path} has too few pictures to train on, {count}: {why}; add pictures")
    return found


def find_classes(path: Path) -> Found:
    """`find`, whose fault says so where the pictures lack only classes: they are good for generation."""
    try:
        return find(path)
    except DataError as error:
        unsorted = classless(path)
        if unsorted is None or len(unsorted.entries) < FEWEST:
            raise
        use = f"without classes they are fine for generation, the recipe generate: gipi train generate --data {path}"
        raise DataError(f"{error}; {use}") from error


def classless(root: Path) -> Found | None:
    """All pictures below a folder, or its folders train, val (valid, validation) and test, that lie in no class folders.

    None where two or more folders could be classes, a fault of layout is to be told by `find`, or it is no folder.
    """
    root = root.expanduser()
    try:
        if not root.is_dir():
            return None
        named = {folder: SPLITS.get(folder.name.lower(), "") for folder in _folders(root)}
        shards = not named and any(visible(file.name) for file in root.glob("*.tar"))
        divided = named if named and all(named.values()) else {root: ""}
        splits = list(divided.values())
        wrong = len(set(splits)) < len(splits) or not {"", "train"} & set(splits)
        if shards or wrong or len({folder.name for part in divided for folder in _folders(part)}) > 1:
            return None
        left_out: list[str] = []
        entries = [
            Entry(file, 0, split, file.relative_to(root).as_posix())
            for part, split in divided.items()
            for file in _pictures(part, root, left_out)
        ]
    except OSError as error:
        raise DataError(f"{error.filename or root} cannot be read: {error.strerror}") from error
    return Found(root, (ONLY,), tuple(sorted(entries, key=lambda entry: entry.name)), tuple(sorted(left_out)))


def _folders(folder: Path) -> list[Path]:
    return [item for item in folder.iterdir() if visible(item.name) and item.is_dir()]


def _pictures(top: Path, root: Path, left_out: list[str]) -> Iterator[Path]:
    """All pictures below a folder; what else is there, and links to folders below it, is added to what is left out."""
    waiting = [top]
    while waiting:
        for path in waiting.pop().iterdir():
            if not visible(path.name):
                continue
            if not is_text(path.name):
                raise DataError(f"{path.parent} holds {path.name!r}, a name that is no text in UTF-8: rename it")
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)
            elif path.suffix.lower() in SUFFIXES and path.is_file():
                yield path
            else:
                left_out.append(f"{path.relative_to(root).as_posix()}: no picture by its name, no file, or a link to a folder")


def any_folder(path: Path, split: str, *, side: int, broken: float) -> ImageSet:
    """The pictures of a split, images (n, c, side, side): see `find_any`, and `parts` for how they are divided.

    Of each picture, of whatever size, the shorter side is scaled to `side` and the middle square taken: `shrink`. A warning says
    how many training pictures lose more than half by that. c is 1 if no picture of any split has a colour, else 3, and grey ones
    are in three equal channels. Those that cannot be read are left out, with a warning that lists them.
    broken: share of the split's pictures that may be unreadable.
    Raises ConfigError for a split that there is not; DataError if no pictures are found, more cannot be read, a class is left
    without any, or their copies find no room.
    """
    found = find_any(path)
    entries, cache = of_split(found, split), cache_folder() / "pictures"
    images, faults = copies(entries, short=side, folder=cache)
    if refusal := refused(found, entries, faults, broken):
        raise DataError(f"{path} ({split}): {refusal}")
    if faults:
        warnings.warn(GipiWarning(f"{path} ({split}): {told(entries, faults)}\nthey are left out"), stacklevel=2)
    if found.left_out:
        warnings.warn(GipiWarning(f"{path}: files left out: {len(found.left_out):,}: {listed(found.left_out)}"), stacklevel=2)
    if split == "train" and (cut := _cut(entries)):
        warnings.warn(GipiWarning(f"{path} ({split}): {cut}"), stacklevel=2)
    if _grey(images) and all(_grey(copies(part, short=side, folder=cache)[0]) for part in parts(found).values()):
        images = images[:, :1]
    labels = torch.tensor([entry.label for number, entry in enumerate(entries) if number not in faults])
    return ImageSet(str(path), split, found.classes, images, labels)


def _grey(images: UInt8[Tensor, "n 3 h w"]) -> bool:
    """Whether the channels of every image are equal; a part of the images at a time, for they may be mapped."""
    return all(bool((part[:, :1] == part[:, 1:]).all()) for part in images.split(1000))


def _cut(entries: Sequence[Entry]) -> str:
    """How many of the pictures have a middle square of less than half of them; "" if none."""
    some, long = entries[:: -(-len(entries) // MEASURED)], list[bool]()
    in_threads(_long, some, lambda _, it: long.append(it), "looking at shapes")
    of = f"{sum(long):,} of {len(some):,} pictures" + (" that were looked at" if len(some) < len(entries) else "")
    return f"{of} lose more than half: their middle squares are learnt from; crop them to what matters" if any(long) else ""


def _long(entry: Entry) -> bool:
    """Whether a picture is more than twice as long as wide, or the other way round, by its header; not if that is broken."""
    try:
        with entry.path.open("rb") as file:
            part = ContainerIO(file, entry.offset, entry.size) if entry.offset else file
            with Image.open(part, formats=FORMATS) as image:
                return max(image.size) > 2 * min(image.size)
    except Exception:  # of any kind from hostile bytes; they are told as faults
        return False
