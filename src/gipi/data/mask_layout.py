"""Images with masks as they are found on disk, in any of three layouts; no picture is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gipi.data.entry import Entry, Found
from gipi.data.folder import parts
from gipi.data.mask_legend import FORMS, LIST, Legend, read_legend, voc_legend
from gipi.data.mask_search import ANNOTATED, TWINS, VOC, search_annotated, search_twins, search_voc
from gipi.data.search import Search
from gipi.errors import ConfigError, DataError, nearest

LAYOUTS = (
    "images/ and masks/ with equal names in both, alone or in train, val and test below each; "
    "or train/ and trainannot/, val/ and valannot/, test/ and testannot/; "
    "or JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/ with train.txt, val.txt and test.txt"
)


class Pair(NamedTuple):
    """An image, and where its mask lies. mask_name: path of the mask inside the data set, with slashes."""

    image: Entry
    mask: Path
    mask_name: str


@dataclass(frozen=True)
class MaskFiles:
    """What a folder of images and masks holds. The entries of `found` are the images that have a mask, all of label 0.

    masks: the mask of each of them, by the image's name.  faults: sentences on files that have no partner, or more than one.
    """

    found: Found
    legend: Legend
    masks: Mapping[str, Path]
    faults: tuple[str, ...]

    def pairs(self) -> dict[str, tuple[Pair, ...]]:
        """Those of each split: train, test and, where the source has all three, validation.

        Where the source has a validation part but no test part, that is the test. Where it has neither, a fifth of the images is:
        the first in the order of a hash of their names; see `folder.parts`.
        """
        return {split: tuple(self._pair(entry) for entry in part) for split, part in parts(self.found).items()}

    def _pair(self, entry: Entry) -> Pair:
        mask = self.masks[entry.name]
        return Pair(entry, mask, mask.relative_to(self.found.path).as_posix())

    def of_split(self, split: str) -> tuple[Pair, ...]:
        """The pairs of a split. Raises ConfigError for one that there is not."""
        if split not in (divided := self.pairs()):
            raise ConfigError(f"{self.found.path} has no split {split!r}{nearest(split, divided)}")
        return divided[split]


def is_mask_folder(path: Path) -> bool:
    """Whether a folder has one of the layouts of images with masks; if not, it may be one of class folders."""
    return _layout(path.expanduser()) is not None


def _layout(path: Path) -> tuple[str, str] | None:
    """The pair of folders by which the layout is known."""
    kinds = (TWINS, VOC, *ANNOTATED)
    return next((kind for kind in kinds if all(os.path.isdir(path / folder) for folder in kind)), None)


def find_masks(path: Path) -> MaskFiles:
    """The images and masks below a folder, and the classes of the masks. No picture is opened, so some may turn out to be broken.

    1. `images` and `masks`: partners have equal names up to the suffix. Both hold the files themselves, or folders train, val
    (valid, validation) and test of them.
    2. `train` and `trainannot`, and the same of val and test, as in SegNet's copy of CamVid.
    3. PASCAL VOC: `JPEGImages`, `SegmentationClass` and the lists of names `ImageSets/Segmentation/train.txt`, `val.txt` and
    `test.txt`. Without lists, all images that have a mask. A test list of which no mask is there is left out: VOC keeps them.

    The classes are those of `classes.txt` in the folder, see `read_legend`; without it, of the third layout they are VOC's own.
    Raises DataError, saying how to mend it, if it has none of these layouts, no list of classes, no images with masks or none
    for training.
    """
    path = path.expanduser()
    try:
        layout = _layout(path)
        if layout is None:
            what = "has no images with masks in a layout that is known" if path.is_dir() else "is no folder of images with masks"
            raise DataError(f"{path} {what}: {LAYOUTS}")
        search = Search(path, [], {}, [], [], "mask", ".png")
        {TWINS: search_twins, VOC: search_voc}.get(layout, search_annotated)(search)
        if not (path / LIST).is_file() and layout != VOC:
            raise DataError(f"{path / LIST} is not there: list in it {FORMS}; a class named void is ignored")
        legend = read_legend(path / LIST) if (path / LIST).is_file() else voc_legend()
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    found = Found(path, legend.classes, tuple(search.entries), tuple(search.left_out))
    if not found.entries:
        raise DataError(f"{path} has no image with a mask; " + ("; ".join(search.faults[:3]) or f"it must have {LAYOUTS}"))
    if found.splits and "train" not in found.splits:
        raise DataError(f"{path} has images for {', '.join(sorted(found.splits))}, but none for train")
    return MaskFiles(found, legend, search.partners, tuple(search.faults))
