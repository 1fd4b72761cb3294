"""Images with boxes of one's own, and BCCD, as a data set: found, divided into splits, brought to one size."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from gipi.config import DataConfig
from gipi.data.box_files import BoxFiles, Pair
from gipi.data.box_format import wrong_format
from gipi.data.box_layout import find_boxes
from gipi.data.box_read import Clean, cleaned, mistake, read
from gipi.data.boxes import BoxSet, padded
from gipi.data.entry import listed
from gipi.data.faults import Fault, refused, told
from gipi.data.fetch import data_folders
from gipi.data.sizes import Size, check_memory, common_size, fitting_size
from gipi.data.threads import in_threads
from gipi.errors import ConfigError, DataError, GipiWarning, nearest
from gipi.ops.image import scale

BCCD = "https://github.com/Shenggan/BCCD_Dataset"


class Held(NamedTuple):
    """What is kept of an image beside its pixels. whole, size: height and width of it in its file, and in the data set.

    written: its boxes as they are in theirs.  clean: those of them to learn from.
    """

    name: str
    whole: Size
    size: Size
    written: Float[ndarray, "m 4"]
    clean: Clean

    def boxes(self) -> Float[Tensor, "k 4"]:
        """Those to learn from, in pixels of the data set."""
        sides = [torch.tensor([width, height] * 2, dtype=torch.float32) for height, width in (self.whole, self.size)]
        return (torch.from_numpy(self.clean.boxes) * (sides[1] / sides[0])).minimum(sides[1])


def box_folder(path: Path, split: str, *, short: int = 0, broken: float = 0.01) -> BoxSet:
    """The images of a split with their boxes: for layouts see `find_boxes`, for splits `BoxFiles.pairs`.

    short: pixels that the shorter side of each image is scaled to, its aspect ratio kept; 0: as it is. Where sizes differ even
    then, that which most images of the split have is taken; others are scaled to fit into it, their aspect ratio kept, and filled
    up with 0 at the right or at the bottom. Boxes are scaled with their images. All of it is held in memory, 3 bytes a pixel.
    Boxes are clipped to their images; those with no size, outside or repeated are left out with a warning, see `cleaned`.
    broken: share of the split's images that may be unreadable, or whose boxes may be; those are left out with a warning, too.
    Raises ConfigError for a split that there is not. Raises DataError if no such data set is found, files have no partner, or
    more cannot be read; if a box is of no class, or for an image of another size; if boxes are in another format than they
    should be; if a training split has none to learn from; if it is more than this machine's memory.
    """
    files = find_boxes(path)
    data, dropped = _box_set(path, split, files, short, broken)
    if dropped:
        got = ", ".join(f"{count:,} {why}" for why, count in dropped.items())
        warnings.warn(GipiWarning(f"{path} ({split}): boxes left out: {got}; see gipi check {path}"), stacklevel=2)
    if left_out := files.found.left_out:
        warnings.warn(GipiWarning(f"{path}: files left out: {len(left_out):,}: {listed(left_out)}"), stacklevel=2)
    return data


def _box_set(path: Path, split: str, files: BoxFiles, short: int, broken: float) -> tuple[BoxSet, Counter[str]]:
    """(the data set, why boxes were left out -> how many)."""
    pairs = files.of_split(split)
    if files.faults:
        raise DataError(f"{path}: files without a partner: {len(files.faults):,}:\n  " + listed(files.faults, "\n  "))
    size = common_size([pair.image for pair in pairs], short)
    check_memory(f"{path} ({split})", len(pairs), size, channels=3)
    images, kept, faults = torch.zeros(len(pairs), 3, *size, dtype=torch.uint8), list[Held](), list[Fault]()

    def work(pair: Pair) -> tuple[Held, UInt8[Tensor, "3 h w"]] | Fault:
        raw = read(pair)
        if isinstance(raw, Fault):
            return raw
        if wrong := mistake(raw, files.found.classes):
            return wrong
        scaled = fitting_size(raw.size, short, size)
        image = scale(torch.from_numpy(raw.image).permute(2, 0, 1), scaled)
        return Held(raw.name, raw.size, scaled, raw.note.boxes, cleaned(raw)), image

    def take(_: int, got: tuple[Held, UInt8[Tensor, "3 h w"]] | Fault) -> None:
        if isinstance(got, Fault):
            faults.append(got)
            return
        held, image = got
        images[len(kept), :, : held.size[0], : held.size[1]] = image
        kept.append(held)

    in_threads(work, pairs, take, "reading images and boxes")
    if refusal := refused(path, len(pairs), faults, broken, "boxes"):
        raise DataError(f"{path} ({split}): {refusal}")
    sizes = [held.whole for held in kept for _ in held.written]
    if wrong := wrong_format(
        np.concatenate([held.written for held in kept]), np.array(sizes, float).reshape(-1, 2), files.written
    ):
        raise DataError(f"{path} ({split}): {wrong}")
    if split == "train" and not any((~held.clean.ignored).any() for held in kept):
        raise DataError(f"{path} has no box to train on in any image: it needs one at least that is not difficult or a crowd")
    if faults:
        warnings.warn(GipiWarning(f"{path} ({split}): {told(len(pairs), faults, 'boxes')}\nthey are left out"), stacklevel=3)
    data = BoxSet(
        str(path),
        split,
        files.found.classes,
        images[: len(kept)],
        *padded(
            [held.boxes() for held in kept],
            [torch.from_numpy(held.clean.labels) for held in kept],
            [torch.from_numpy(held.clean.ignored) for held in kept],
        ),
        tuple(held.name for held in kept),
        torch.tensor([max(held.size) / max(held.whole) for held in kept]),
        torch.tensor([held.size for held in kept]),
    )
    return data, sum((held.clean.dropped for held in kept), Counter[str]())


def bccd(split: str, *, short: int = 0) -> BoxSet:
    """BCCD: 364 images of blood under a microscope, 480x640, its cells in boxes: Platelets, RBC (red ones) and WBC (white ones).

    split: 'train', 205 images, 'validation', 87, or 'test', 72: its own lists. Two boxes of its 4,888, RBC, one each of
    train and validation, have no size and are left out.  short: see `box_folder`.
    Source: images by cosmicad and akshaylamba, boxes by Shenggan, "BCCD Dataset", 2017. Licence: MIT.
    Raises ConfigError for another split; DataError, saying where it was looked for and how to get it, if it is not there.
    """
    if split not in (splits := ("train", "validation", "test")):
        raise ConfigError(f"data set 'bccd' has no split {split!r}{nearest(split, splits)}")
    places = [place / "BCCD" for place in data_folders("bccd")]
    for place in places:
        if place.is_dir():
            data, _ = _box_set(place, split, find_boxes(place), short, DataConfig().broken)
            return replace(data, name="bccd")
    raise DataError(
        f"data set 'bccd' is in none of {', '.join(map(str, places))}: get the folder BCCD of {BCCD} and put it at {places[-1]}"
    )
