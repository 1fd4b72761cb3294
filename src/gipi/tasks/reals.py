"""Real images for a generator to learn from: square, by the name of their data set or by the folder that they are in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from gipi import catalog
from gipi.config import DataConfig
from gipi.data.any_folder import any_folder, find_any
from gipi.data.folder import has_validation
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError
from gipi.models.dcgan import sides
from gipi.ops.image import scale
from gipi.tasks.images import is_path

SIDE = 64  # of pictures of any size, unless another is asked for


class TrainingReals(NamedTuple):
    """Images to train on, images held out, digest of the set that both are from."""

    train: ImageSet
    held_out: ImageSet | None
    digest: dict[str, str]


def load_reals(name: str, split: str, *, side: int = 0, broken: float = 0.01) -> ImageSet:
    """A data set of the catalogue, or any folder of pictures; images (n, c, side, side).

    side: to which the images of the catalogue are scaled, and pictures of any size brought by their middle square. 0: as the
    catalogue's are, and `SIDE` for pictures of any size.  broken: share of these that may be unreadable.
    Raises ConfigError for an unknown name or a side that no generator makes, DataError if it cannot be had.
    """
    if not name:
        raise ConfigError("this recipe is for pictures of your own: name their folder by --data")
    _check(side)
    if is_path(name):
        return any_folder(Path(name), split, side=side or SIDE, broken=broken)
    factory = catalog.resolve(catalog.data_factory(name, "generate", "images to learn from alone", "any folder of pictures"))
    if catalog.DATASETS[name].framing == "crop":
        return replace(factory(split, short=side or SIDE), framing="resize")
    data = factory(split)
    if side:
        parts = data.images.split(1000)  # for scaling takes many times their memory
        data = replace(data, images=torch.cat([scale(part, (side, side)) for part in parts]))
    return data


def _check(side: int) -> None:
    if side:
        try:
            sides(side)
        except ValueError as error:
            raise ConfigError(f"data.size {side}: 0 takes the images' own; {error}") from error


def training_reals(data: DataConfig) -> TrainingReals:
    """The images to train on and those held out: the validation part that the set comes with, else a share of the training part.

    Raises ConfigError for an unknown data set or a part of it that leaves nothing, DataError if it cannot be had.
    """
    train, held_out = load_reals(data.name, "train", side=data.size, broken=data.broken), None
    digest = {f"{train.name}/train": train.digest()}
    if data.holdout:
        if is_path(data.name) and has_validation(find_any(Path(data.name))):
            held_out = load_reals(data.name, "validation", side=data.size, broken=data.broken)
        else:
            train, held_out = train.hold_out(data.holdout)
    return TrainingReals(train.limit(data.limit) if data.limit else train, held_out, digest)
