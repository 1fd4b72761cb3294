"""A detector's weights as others save them, such as those that torchvision publishes for COCO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from gipi import __version__
from gipi.errors import WeightsError
from gipi.model import Card
from gipi.models.two_stage import published
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from gipi.tasks.state_dict import fit_state_dict

SCORES = "roi_heads.box_predictor.cls_score.weight"  # a row for the background, which is the first, and for each class
SHORT = 800  # pixels of the shorter side of the pictures that such a detector was trained on
# COCO's categories in the order of their ids, 1 to 90; ten of the ids were never used.
NAMES = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, (12), stop sign, "
    "parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, (26), backpack, umbrella, (29), "
    "(30), handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, "
    "surfboard, tennis racket, bottle, (45), wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, "
    "broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, (66), dining table, (68), (69), toilet, "
    "(71), tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, (83), book, clock, "
    "vase, scissors, teddy bear, hair drier, toothbrush"
)
CLASSES = tuple(NAMES.split(", "))


def is_detector(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is that of a detector of two stages, not of a classifier."""
    return SCORES in weights


def detector_weights(weights: Mapping[str, Tensor], net: str, path: Path) -> tuple[dict[str, Tensor], Card]:
    """(weights as the net has them, card that says what they are). Of 90 classes they are taken for COCO's, by their ids.

    Raises WeightsError if they do not fit the net.
    """
    if not is_detector(weights):
        raise WeightsError(f"{path} has no {SCORES}: it is no state dict of {net}")
    count = weights[SCORES].shape[0] - 1
    args: dict[str, bool | int | float | str] = {"classes": count, "channels": 3}
    fitted = fit_state_dict(published(weights), net, args, str(path))
    classes = CLASSES if count == len(CLASSES) else tuple(map(str, range(count)))
    how = Preprocess((3, SHORT, SHORT * 4 // 3), "whole", SHORT, IMAGENET_MEAN, IMAGENET_STD)
    return fitted, Card("detect", net, args, classes, how, parents=(path.name,), gipi=__version__)
