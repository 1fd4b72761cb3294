"""Choosing a training for pictures of one's own: by how many there are, and by which weights can be had to start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gipi.config import AugmentConfig, Config, NetConfig, TransferConfig
from gipi.data.any_folder import find_classes
from gipi.data.box_layout import find_boxes, is_box_folder
from gipi.data.caption_layout import find_captions, is_caption_folder
from gipi.data.folder import of_split
from gipi.data.mask_layout import find_masks, is_mask_folder
from gipi.errors import DataError, WeightsError
from gipi.recipes import RECIPES
from gipi.tasks.pretrained import pretrained
from gipi.tasks.worded import sided

STEPS = 400  # of a training, about
EPOCHS = 5, 60  # fewest, most
LARGEST_BATCH = 32
MASK_STEPS = 2000  # of a training of a segmentation net, about
MASK_EPOCHS = 10, 100
BOX_STEPS = 1500  # of a training of a detector, about
BOX_EPOCHS = 8, 60
CAPTION_STEPS = 2000  # of a training of a captioner, about
CAPTION_EPOCHS = 10, 100
SPOKEN = 1000  # captions, for each time that a word must be in them to be learnt


def choose(data: str) -> tuple[Config, str]:
    """(configuration, a sentence that says what was found and chosen) for pictures in a folder or named by a CSV file.

    With weights at hand or to be downloaded, their net gets a new head: alone on a CPU, which takes seconds, and with all other
    layers on a GPU. Without, a small ResNet learns from nothing. The batch is an eighth of the pictures at most, a power of two.
    Images with boxes are for a detector, those with masks for a segmentation net, those with captions for a captioner: see
    `_choose_boxes`, `_choose_masks`, `_choose_captions`. Raises ConfigError or DataError for what is no such set.
    """
    if is_box_folder(Path(data)):
        return _choose_boxes(data)
    if is_caption_folder(Path(data)):
        return _choose_captions(data)
    if is_mask_folder(Path(data)):
        return _choose_masks(data)
    found = find_classes(Path(data))
    count = len(of_split(found, "train"))
    recipe, why = _recipe()
    batch = max(2, min(LARGEST_BATCH, 1 << max(1, (count // 8).bit_length() - 1)))
    epochs = min(max(EPOCHS[0], round(STEPS * batch / count)), EPOCHS[1])
    base = RECIPES[recipe].config
    config = replace(base, data=replace(base.data, name=data, batch=batch), run=replace(base.run, epochs=epochs))
    return config, (
        f"{count:,} training pictures of {len(found.classes)} classes ({_named(found.classes)}): recipe {recipe}, {why}; "
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
    return config, (
        f"{count:,} training images with masks of {len(classes)} classes ({_named(classes)}): recipe segment, {why}; "
        f"batch {batch}, {epochs} epochs"
    )


def _choose_boxes(data: str) -> tuple[Config, str]:
    """Faster R-CNN on a MobileNetV2 from ImageNet where its weights are at hand or can be downloaded, else on a small ResNet."""
    files = find_boxes(Path(data))
    count, classes = len(files.of_split("train")), files.found.classes
    config, why = RECIPES["detect"].config, "Faster R-CNN on MobileNetV2 from ImageNet"
    try:
        pretrained("imagenet", "mobilenet-v2")
    except (DataError, WeightsError):
        config = replace(
            config,
            net=NetConfig("faster-rcnn-resnet18-fpn", {"width": 0.5, "fixed": 0, "finest": 8, "pyramid": 128, "hidden": 512}),
            transfer=TransferConfig(),
        )
        why = "Faster R-CNN on a ResNet-18 with half of its channels, since no ImageNet weights of mobilenet-v2 can be had"
    batch = max(1, min(config.data.batch, count // 2))
    epochs = min(max(BOX_EPOCHS[0], round(BOX_STEPS * batch / count)), BOX_EPOCHS[1])
    config = replace(config, data=replace(config.data, name=data, batch=batch), run=replace(config.run, epochs=epochs))
    return config, (
        f"{count:,} training images with boxes of {len(classes)} classes ({_named(classes)}): recipe detect, {why}; "
        f"batch {batch}, {epochs} epochs"
    )


def _choose_captions(data: str) -> tuple[Config, str]:
    """A net that attends, on a MobileNetV2 from ImageNet where its weights are at hand or can be downloaded, else a small ResNet.

    Nothing is mirrored where captions tell left from right. Of few captions rarer words are learnt, too.
    """
    pairs = find_captions(Path(data)).of_split("train")
    captions = [caption for pair in pairs for caption in pair.captions]
    config, why = RECIPES["caption"].config, "MobileNetV2 from ImageNet"
    try:
        pretrained("imagenet", "mobilenet-v2")
    except (DataError, WeightsError):
        light = AugmentConfig(flip=config.data.augment.flip, brightness=0.2, contrast=0.2)
        config = replace(
            config,
            net=NetConfig("attend-resnet18", {"width": 0.5, "embedding": 256, "hidden": 256, "attention": 128}),
            data=replace(config.data, size=128, augment=light),
            transfer=TransferConfig(),
        )
        why = "ResNet-18 with half of its channels, since no ImageNet weights of mobilenet-v2 can be had"
    augment = replace(config.data.augment, flip=0.0) if sided(captions) else config.data.augment
    batch = max(1, min(config.data.batch, len(pairs) // 2))
    epochs = min(max(CAPTION_EPOCHS[0], round(CAPTION_STEPS * batch / len(pairs))), CAPTION_EPOCHS[1])
    least = max(1, min(config.data.least_count, len(captions) // SPOKEN))
    words = f"words said {least} times or more" if least > 1 else "all words"
    chosen = replace(config.data, name=data, batch=batch, least_count=least, augment=augment)
    return replace(config, data=chosen, run=replace(config.run, epochs=epochs)), (
        f"{len(pairs):,} training images with {len(captions):,} captions: recipe caption, {why}; {words}, "
        f"batch {batch}, {epochs} epochs"
    )


def _named(classes: Sequence[str]) -> str:
    return ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")


def _recipe() -> tuple[str, str]:
    name = "finetune" if torch.cuda.is_available() else "transfer"
    net = RECIPES[name].config.net.name
    try:
        pretrained("imagenet", net)
    except (DataError, WeightsError):
        return "scratch", f"since no ImageNet weights of {net} can be had"
    return name, f"{net} from ImageNet, " + ("all layers trained" if name == "finetune" else "only its head trained")
