"""Images with boxes by the name of their data set, or by the folder or file that they are in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gipi import catalog
from gipi.config import DataConfig
from gipi.data.box_folder import box_folder
from gipi.data.box_layout import find_boxes
from gipi.data.boxes import BoxSet
from gipi.errors import ConfigError
from gipi.tasks.images import is_path


class TrainingBoxes(NamedTuple):
    """Images to train on, images held out, digest of the sets that both are from."""

    train: BoxSet
    held_out: BoxSet | None
    digest: dict[str, str]


def load_boxes(name: str, split: str, *, short: int = 0, broken: float = 0.01) -> BoxSet:
    """A data set of the catalogue, or images with boxes in VOC's or COCO's layout or listed in a CSV file.

    split: train, validation or test.  short: pixels to which the shorter side of images is brought, 0 leaves them as they are.
    broken: share of the images that may be unreadable. Raises ConfigError for an unknown name or one without boxes, DataError if
    it cannot be had.
    """
    if not name:
        raise ConfigError("this recipe is for pictures of your own: name the folder of images and boxes by --data")
    if is_path(name):
        return box_folder(Path(name), split, short=short, broken=broken)
    factory = catalog.data_factory(name, "detect", "boxes", "a folder of images and boxes (VOC, COCO or CSV)")
    return catalog.resolve(factory)(split, short=short)


def training_boxes(data: DataConfig) -> TrainingBoxes:
    """The images to train on and those held out: the validation part that the set comes with, else a share of the training part.

    Raises ConfigError for an unknown data set or a part of it that leaves nothing, DataError if it cannot be had.
    """
    train, held_out = load_boxes(data.name, "train", short=data.size, broken=data.broken), None
    digest = {f"{train.name}/train": train.digest()}
    if data.holdout:
        if not is_path(data.name) or "validation" in find_boxes(Path(data.name)).pairs():
            held_out = load_boxes(data.name, "validation", short=data.size, broken=data.broken)
        else:
            train, held_out = train.hold_out(data.holdout)
    return TrainingBoxes(train.limit(data.limit) if data.limit else train, held_out, digest)
