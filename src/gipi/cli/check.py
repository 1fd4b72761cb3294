"""gipi check: looking through pictures of one's own before training on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gipi.cli.common import Json, parse, print_json

DATA = (
    "a folder of class folders, alone or in train and val, a folder of tar shards, a CSV file of path,label; a folder of "
    "images with masks: images/ and masks/, train/ and trainannot/, or as PASCAL VOC; images with boxes: PASCAL VOC's XML, "
    "COCO's JSON, or a CSV file of path,x0,y0,x1,y1,class; or images with captions: as Flickr8k, COCO's JSON, or a CSV file of "
    "image,caption"
)


@dataclass(frozen=True)
class CheckArgs:
    """Look through a data set of your own: counts, sizes, unreadable pictures, duplicates, and whether it is ready to train on.

    Of masks: pixels of each class, values of no class, sizes that differ, files without a partner, masks without labels.
    Of boxes: how many of each class and size, empty ones, those outside their image, doubles, unknown classes, images without.
    Of captions: how many, their words and scripts, empty and over-long ones, images without any, captions without an image.

    Ends with 0 if it is and with 1 if it is not.
    """

    data: Positional[Annotated[Path, arg(help=DATA, metavar="DATA")]]
    json: Json = False


def check(argv: list[str]) -> int:
    args = parse(CheckArgs, "gipi check", argv)
    from gipi import api

    survey = api.check(args.data)
    print_json(survey.json()) if args.json else print(survey.text())
    return 0 if survey.trainable else 1
