"""Images with masks by the name of their data set, or by the folder that they are in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gipi import catalog
from gipi.config import DataConfig
from gipi.data.mask_folder import mask_folder
from gipi.data.mask_layout import find_masks
from gipi.data.masks import MaskSet
from gipi.errors import ConfigError
from gipi.tasks.images import is_path


class TrainingMasks(NamedTuple):
    """Images to train on, images held out, digest of the sets that both are from."""

    train: MaskSet
    held_out: MaskSet | None
    digest: dict[str, str]


def load_masks(name: str, split: str, *, short: int = 0, broken: float = 0.01) -> MaskSet:
    """A data set of the catalogue, or a folder of images and masks; split: train, validation or test.

    short: pixels to which the shorter side of images and masks is brought, 0 leaves them as they are.  broken: share of the pairs
    that may be unreadable. Raises ConfigError for an unknown name or one without masks, DataError if it cannot be had.
    """
    if not name:
        raise ConfigError("this recipe is for pictures of your own: name the folder of images and masks by --data")
    if is_path(name):
        return mask_folder(Path(name), split, short=short, broken=broken)
    factory = catalog.data_factory(name, "segment", "masks", "a folder of images and masks")
    return catalog.resolve(factory)(split, short=short)


def training_masks(data: DataConfig) -> TrainingMasks:
    """The images to train on and those held out: the validation part that the set comes with, else a share of the training part.

    Raises ConfigError for an unknown data set or a part of it that leaves nothing, DataError if it cannot be had.
    """
    train, held_out = load_masks(data.name, "train", short=data.size, broken=data.broken), None
    digest = {f"{train.name}/train": train.digest()}
    if data.holdout:
        if not is_path(data.name) or "validation" in find_masks(Path(data.name)).pairs():
            held_out = load_masks(data.name, "validation", short=data.size, broken=data.broken)
        else:
            train, held_out = train.hold_out(data.holdout)
    return TrainingMasks(train.limit(data.limit) if data.limit else train, held_out, digest)
