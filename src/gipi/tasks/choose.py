"""Choosing a training for pictures of one's own: by how many there are, and by which weights can be had to start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from gipi.config import Config, TransferConfig
from gipi.data.folder import find, of_split
from gipi.data.mask_layout import find_masks, is_mask_folder
from gipi.errors import DataError, WeightsError
from gipi.recipes import RECIPES
from gipi.tasks.pretrained import pretrained

STEPS = 400  # of a training, about
EPOCHS = 5, 60  # fewest, most
LARGEST_BATCH = 32
MASK_STEPS = 2000  # of a training of a segmentation net, about
MASK_EPOCHS = 10, 100


def choose(data: str) -> tuple[Config, str]:
    """(configuration, a sentence that says what was found and chosen) for pictures in a folder or named by a CSV file.

    With weights at hand or to be downloaded, their net gets a new head: alone on a CPU, which takes seconds, and with all other
    layers on a GPU. Without, a small ResNet learns from nothing. The batch is an eighth of the pictures at most, a power of two.
    A folder of images and masks is for a segmentation net, see `_choose_masks`.
    Raises ConfigError or DataError for what is no such set.
    """
    if is_mask_folder(Path(data)):
        return _choose_masks(data)
    found = find(Path(data))
    count = len(of_split(found, "train"))
    recipe, why = _recipe()
    batch = max(2, min(LARGEST_BATCH, 1 << max(1, (count // 8).bit_length() - 1)))
    epochs = min(max(EPOCHS[0], round(STEPS * batch / count)), EPOCHS[1])
    base = RECIPES[recipe].config
    config = replace(base, data=replace(base.data, name=data, batch=batch), run=replace(base.run, epochs=epochs))
    names = ", ".join(found.classes[:5]) + (", ..." if len(found.classes) > 5 else "")
    return config, (
        f"{count:,} training pictures of {len(found.classes)} classes ({names}): recipe {recipe}, {why}; "
        f"batch {batch}, {epochs} epochs"
    )


def _choose_masks(data: str) -> tuple[Config, str]:
    """FCN-8s on a ResNet-18 from ImageNet where its weights are at hand or can be downloaded, else SegNet with few channels."""
    files = find_masks(Path(data))
    count, classes = len(files.of_split("train")), files.legend.classes
    config, why = RECIPES["segment"].config, "ResNet-18 from ImageNet"
    try:
        pretrained("imagenet", config.net.name.removeprefix("fcn8s-"))
    except (DataError, WeightsError):
        scratch = RECIPES["segnet-camvid-small"].config.net
        config = replace(config, net=scratch, transfer=TransferConfig())
        why = "SegNet with a quarter of its channels, since no ImageNet weights of resnet18 can be had"
    batch = max(1, min(config.data.batch, count // 2))
    epochs = min(max(MASK_EPOCHS[0], round(MASK_STEPS * batch / count)), MASK_EPOCHS[1])
    config = replace(config, data=replace(config.data, name=data, batch=batch), run=replace(config.run, epochs=epochs))
    names = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
    return config, (
        f"{count:,} training images with masks of {len(classes)} classes ({names}): recipe segment, {why}; batch {batch}, "
        f"{epochs} epochs"
    )


def _recipe() -> tuple[str, str]:
    name = "finetune" if torch.cuda.is_available() else "transfer"
    net = RECIPES[name].config.net.name
    try:
        pretrained("imagenet", net)
    except (DataError, WeightsError):
        return "scratch", f"since no ImageNet weights of {net} can be had"
    return name, f"{net} from ImageNet, " + ("all layers trained" if name == "finetune" else "only its head trained")
