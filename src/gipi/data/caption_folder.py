"""Images with captions of one's own, and Flickr8k, as a data set: found, divided into splits, brought to one size."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from gipi.config import DataConfig
from gipi.data.caption_layout import CaptionFiles, Pair, find_captions
from gipi.data.captions import CaptionSet
from gipi.data.entry import listed, reason
from gipi.data.faults import Fault, refused, told
from gipi.data.fetch import data_folders
from gipi.data.sizes import Size, check_memory
from gipi.data.threads import in_threads
from gipi.errors import ConfigError, DataError, GipiWarning, nearest
from gipi.ops.image import decode, resize

SIDE = 224  # pixels, unless another size is asked for
FLICKR8K = "https://github.com/jbrownlee/Datasets/releases"  # its authors give it out no longer


def caption_folder(path: Path, split: str, *, size: Size = (SIDE, SIDE), broken: float = 0.01) -> CaptionSet:
    """The images of a split with their captions: for layouts see `find_captions`, for splits `CaptionFiles.pairs`.

    size: height and width to which each image is scaled, its aspect ratio not kept. All are held in memory, 3 bytes a pixel.
    broken: share of the split's images that may be unreadable or missing; those are left out, with a warning that lists them.
    Captions without a word, images without captions and, where splits are listed, images in no list are left out with a warning,
    too.
    Raises ConfigError for a split that there is not. Raises DataError if no such data set is found, a line is not as it must be,
    more images cannot be read, or if they are more than this machine's memory.
    """
    files = find_captions(path)
    data = _caption_set(path, split, files, size, broken)
    left_out = {
        "captions without a word": files.empty,
        "images without a caption": files.bare,
        "images of no split": files.unlisted,
    }
    if got := ", ".join(f"{what}: {len(those):,}" for what, those in left_out.items() if those):
        warnings.warn(GipiWarning(f"{path}: left out are {got}; see gipi check {path}"), stacklevel=2)
    return data


def _caption_set(path: Path, split: str, files: CaptionFiles, size: Size, broken: float) -> CaptionSet:
    pairs = files.of_split(split)
    if files.faults:
        raise DataError(f"{path} has faulty lines, {len(files.faults):,} in all:\n  " + listed(files.faults, "\n  "))
    check_memory(f"{path} ({split})", len(pairs), size, channels=3)
    images, kept, faults = torch.zeros(len(pairs), 3, *size, dtype=torch.uint8), list[Pair](), list[Fault]()

    def work(pair: Pair) -> UInt8[Tensor, "3 h w"] | Fault:
        if not pair.image.path.is_file():
            return Fault("unreadable", pair.image.name, "is not there")
        try:
            return resize(decode(pair.image.read()), (3, *size))
        except DataError as error:
            return Fault("unreadable", pair.image.name, reason(error))

    def take(number: int, got: UInt8[Tensor, "3 h w"] | Fault) -> None:
        if isinstance(got, Fault):
            faults.append(got)
        else:
            images[len(kept)] = got
            kept.append(pairs[number])

    in_threads(work, pairs, take, "reading images")
    if refusal := refused(path, len(pairs), faults, broken, "captions"):
        raise DataError(f"{path} ({split}): {refusal}")
    if faults:
        warnings.warn(GipiWarning(f"{path} ({split}): {told(len(pairs), faults, 'captions')}\nthey are left out"), stacklevel=3)
    captions, names = tuple(pair.captions for pair in kept), tuple(pair.image.name for pair in kept)
    return CaptionSet(str(path), split, images[: len(kept)], captions, names)


def flickr8k(split: str, *, side: int | Size = SIDE) -> CaptionSet:
    """Flickr8k: photographs of people and dogs doing something, each with five captions in English.

    split: 'train', 6,000 images, 'validation', 1,000, or 'test', 1,000: its own lists, which leave 91 images out.
    side: pixels of height and width to which each is scaled, or both.
    Source: M. Hodosh, P. Young and J. Hockenmaier, "Framing Image Description as a Ranking Task", JAIR 2013. For research and
    education, not for commerce; the photographs belong to their Flickr authors.
    Raises ConfigError for another split; DataError, saying where it was looked for and how to get it, if it is not there.
    """
    if split not in (splits := ("train", "validation", "test")):
        raise ConfigError(f"data set 'flickr8k' has no split {split!r}{nearest(split, splits)}")
    place, size = flickr8k_folder(), side if isinstance(side, tuple) else (side, side)
    return replace(_caption_set(place, split, find_captions(place), size, DataConfig().broken), name="flickr8k")


def flickr8k_folder() -> Path:
    """Where Flickr8k is. Raises DataError, saying where it was looked for and how to get it, if it is not there."""
    places = data_folders("flickr8k")
    for place in places:
        if place.is_dir():
            return place
    raise DataError(
        f"data set 'flickr8k' is in none of {', '.join(map(str, places))}: unpack Flickr8k_Dataset.zip and Flickr8k_text.zip of "
        f"{FLICKR8K} and put what is in them into {places[-1]}"
    )
