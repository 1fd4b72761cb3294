"""Exporting with fewer bits: which models, and by which images; the work is that of `tasks/quantise.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch

from gipi.data.boxes import BoxSet
from gipi.data.masks import MaskSet
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError
from gipi.ops.image import centre_crop, scale, scale_short
from gipi.tasks.boxes import load_boxes
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector
from gipi.tasks.evaluation import Loaded
from gipi.tasks.export_feeds import Feed, with_regions
from gipi.tasks.export_run import File, onnx_opened
from gipi.tasks.export_told import Precision
from gipi.tasks.images import load_images
from gipi.tasks.masks import load_masks
from gipi.tasks.segmenter import Segmenter

if TYPE_CHECKING:  # it needs the extra "onnx"
    from gipi.tasks.quant_loss import Loss

CALIBRATION = 256  # images of a data set, at most

Calibrated = Classifier | Segmenter | Detector
Labelled = ImageSet | MaskSet | BoxSet


def check_precision(model: Loaded, to: str, precision: Precision, calibrate: str | None) -> None:
    """Raises ConfigError for what does not fit together."""
    if precision == "fp32":
        if calibrate:
            raise ConfigError(f"--calibrate {calibrate} is for --precision int8 and fp16: add one of them, or leave it out")
        return
    if to != "onnx":
        raise ConfigError(f"--precision {precision} is for ONNX files: add --to onnx, or leave it out")
    if not isinstance(model, Calibrated):
        if precision == "int8":
            raise ConfigError(
                f"--precision int8 is for classifiers, segmentation nets and detectors, this does {model.KIND}: use fp16"
            )
        if calibrate:
            raise ConfigError(f"--calibrate {calibrate} is of classifiers, segmentation nets and detectors: leave it out")
    elif precision == "int8" and not calibrate:
        raise ConfigError(
            "--precision int8 needs images by which the ranges of its numbers are chosen: name a data set, or a folder of your "
            "own, with --calibrate"
        )


def labelled(model: Loaded, data: str, split: str) -> Labelled:
    """A data set of the model's kind. Raises ConfigError if its classes or sizes are not the model's, DataError if it cannot be
    had.
    """
    if isinstance(model, Segmenter):
        masks = load_masks(data, split)
        model.accept(masks)
        return masks
    if isinstance(model, Detector):
        boxes = load_boxes(data, split)
        model.accept(boxes)
        return boxes
    classifier = cast(Classifier, model)
    images = load_images(data, split, short=classifier.short)
    classifier.accept(images)
    return images


def lowered(
    model: Loaded, files: list[File], precision: Precision, sets: dict[str, Labelled], fed: Feed
) -> tuple[list[File], Loss | None]:
    """Float32 ONNX files with fewer bits, and what that costs on the "test" set of `sets`, if there is one; int8 is fitted to
    images of the "train" set.

    fed: what the graph is fed.
    """
    from gipi.tasks.quant_loss import loss_of
    from gipi.tasks.quantise import lower

    bits: Literal["fp16", "int8"] = "int8" if precision == "int8" else "fp16"
    images = _feeds(model, sets["train"], fed) if bits == "int8" else ()
    lower_files = [lower(file.data, bits, images) for file in files]
    loss = None
    if sets and isinstance(model, Calibrated):
        loss = loss_of(model, files[0].data, lower_files[0], sets["test"])
    return [onnx_opened(data) for data in lower_files], loss


def _feeds(model: Loaded, data: Labelled, fed: Feed) -> list[Feed]:
    """Images spread evenly over the set, which may lie in order of classes, as the graph reads them: a detector's of one size."""
    chosen = torch.arange(min(CALIBRATION, len(data))) * len(data) // min(CALIBRATION, len(data))
    parts = data.images[chosen].cpu().split(1)
    if isinstance(data, BoxSet):
        size = fed[0].shape[2], fed[0].shape[3]
        whole = zip(parts, data.sizes[chosen].tolist(), strict=True)
        return with_regions(model, [scale(part[..., :height, :width], size) for part, (height, width) in whole])
    if isinstance(model, Segmenter):
        return [(scale_short(part, model.short),) for part in parts]
    return [(centre_crop(part, (model.card.image[1], model.card.image[2])),) for part in parts]
