"""Labelled images by the name of their data set, or by the folder or CSV file that they are in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from gipi import catalog
from gipi.config import Config
from gipi.data.folder import find, folder, has_validation
from gipi.data.stream import ImageSet
from gipi.engine.place import Place
from gipi.errors import ConfigError
from gipi.tasks.start import Start, start

SHORT = 256  # shorter side of pictures of any size, unless a model says otherwise


class TrainingImages(NamedTuple):
    """Images to train on, images held out, digest of the sets that both are from."""

    train: ImageSet
    held_out: ImageSet | None
    digest: dict[str, str]


def load_images(name: str, split: str, *, short: int = SHORT, broken: float = 0.01) -> ImageSet:
    """A data set of the catalogue, or pictures in a folder or named by a CSV file.

    short: pixels of the shorter side to which pictures of any size are brought.  broken: share of them that may be unreadable.
    Raises ConfigError for an unknown name and DataError if it cannot be had.
    """
    if not name:
        raise ConfigError("this recipe is for pictures of your own: name their folder, or a CSV file of path,label, by --data")
    if is_path(name):
        return folder(Path(name), split, short=short, broken=broken)
    factory = catalog.resolve(catalog.data_factory(name, "classify", "label for each image", "a folder of pictures"))
    return factory(split, short=short) if catalog.DATASETS[name].framing == "crop" else factory(split)


def own_validation(name: str, *, short: int, broken: float) -> ImageSet | None:
    """The validation images that a folder sets apart itself, beside training and test images; None: it does not."""
    if is_path(name) and has_validation(find(Path(name))):
        return folder(Path(name), "validation", short=short, broken=broken)
    return None


def is_path(name: str) -> bool:
    """Whether a data set is named by where it is, not by its name in the catalogue."""
    return name not in catalog.DATASETS and (os.sep in name or Path(name).expanduser().exists())


def training_images(config: Config, place: Place, begun: Start | None = None) -> TrainingImages:
    """The images that a configuration trains on, on the device if they are few, and those it holds out.

    Pictures that come with a validation part of their own give none of the training part away.
    Raises ConfigError for an unknown data set or a part of it that leaves nothing, DataError if it cannot be had.
    """
    short = (begun or start(config)).short
    train, held_out = load_images(config.data.name, "train", short=short, broken=config.data.broken), None
    digest = {f"{train.name}/train": train.digest()}
    if config.data.holdout:
        held_out = own_validation(config.data.name, short=short, broken=config.data.broken)
        if held_out is None:
            train, held_out = train.hold_out(config.data.holdout)
    if config.data.limit:
        train = train.limit(config.data.limit)
    resident = place.holds(train.images.nbytes)
    return TrainingImages(train.to(place.device) if resident else train, held_out, digest)
