"""Images with captions by the name of their data set, or by the folder or file that they are in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gipi import catalog
from gipi.config import DataConfig
from gipi.data.caption_folder import SIDE, caption_folder, flickr8k_folder
from gipi.data.caption_layout import find_captions
from gipi.data.captions import CaptionSet
from gipi.data.sizes import Size
from gipi.errors import ConfigError
from gipi.tasks.images import is_path


class TrainingCaptions(NamedTuple):
    """Images to train on, images held out, digest of the sets that both are from."""

    train: CaptionSet
    held_out: CaptionSet | None
    digest: dict[str, str]


def load_captions(name: str, split: str, *, side: int | Size = 0, broken: float = 0.01) -> CaptionSet:
    """A data set of the catalogue, or images with captions in Flickr8k's or COCO's layout or listed in a CSV file.

    split: train, validation or test.  side: pixels of height and width to which images are brought, or both; 0: images of the
    catalogue are as they are, those of a folder 224x224.  broken: share of the images that may be unreadable or missing.
    Raises ConfigError for an unknown name, one without captions or a size that it cannot have, DataError if it cannot be had.
    """
    if not name:
        raise ConfigError("this recipe is for pictures of your own: name the folder of images and captions by --data")
    size = side if isinstance(side, tuple) else (side, side)
    if is_path(name):
        return caption_folder(Path(name), split, size=size if side else (SIDE, SIDE), broken=broken)
    factory = catalog.resolve(
        catalog.data_factory(name, "caption", "captions", "a folder of images and captions (Flickr8k, COCO or CSV)")
    )
    return factory(split, side=side) if side else factory(split)


def training_captions(data: DataConfig) -> TrainingCaptions:
    """The images to train on and those held out: the validation part that the set comes with, else a share of the training part.

    Raises ConfigError for an unknown data set or a part of it that leaves nothing, DataError if it cannot be had.
    """
    train, held_out = load_captions(data.name, "train", side=data.size, broken=data.broken), None
    digest = {f"{train.name}/train": train.digest()}
    if data.holdout:
        if not is_path(data.name) or "validation" in find_captions(Path(data.name)).pairs():
            held_out = load_captions(data.name, "validation", side=data.size, broken=data.broken)
        else:
            train, held_out = train.hold_out(data.holdout)
    return TrainingCaptions(train.limit(data.limit) if data.limit else train, held_out, digest)


def training_sentences(name: str) -> tuple[str, ...]:
    """All captions of the training split of a data set, in the order of its images; no picture of a folder is read.

    Raises ConfigError and DataError as `load_captions` does.
    """
    if is_path(name) or name == "flickr8k":
        place = Path(name) if is_path(name) else flickr8k_folder()
        captions = [pair.captions for pair in find_captions(place).of_split("train")]
    else:
        captions = load_captions(name, "train").captions
    return tuple(caption for told in captions for caption in told)
