"""Pairs of image and mask by their names, in any of three layouts."""

from __future__ import annotations

from pathlib import Path

from gipi.data.entry import SPLITS, visible
from gipi.data.search import Search

TWINS, VOC = ("images", "masks"), ("JPEGImages", "SegmentationClass")
ANNOTATED = tuple((split, f"{split}annot") for split in SPLITS)


def search_twins(search: Search) -> None:
    """images/ and masks/, perhaps with folders of the splits below both."""
    folders = [search.root / name for name in TWINS]
    items = [item for folder in folders for item in sorted(folder.iterdir()) if visible(item.name)]
    splits = sorted({item.name for item in items if item.is_dir() and item.name.lower() in SPLITS})
    for name in splits:
        _match_folders(search, folders[0] / name, folders[1] / name, SPLITS[name.lower()])
    if splits:
        search.left_out.extend(f"{search.name(item)}: lies beside {splits[0]}" for item in items if item.name not in splits)
    else:
        _match_folders(search, folders[0], folders[1], "")


def search_annotated(search: Search) -> None:
    """train/ and trainannot/, and the same of val and test."""
    for images, masks in ANNOTATED:
        _match_folders(search, search.root / images, search.root / masks, SPLITS[images])


def _match_folders(search: Search, images: Path, masks: Path, split: str) -> None:
    left, right = search.files(images), search.files(masks)
    search.match(left, right, split, sorted({*left, *right}), search.name(masks))


def search_voc(search: Search) -> None:
    """JPEGImages/ and SegmentationClass/, with lists of names for each split, or none."""
    images, masks = (search.files(search.root / name) for name in VOC)
    if not search.match_lists(images, masks, search.root / "ImageSets" / "Segmentation", VOC[1]):
        search.match(images, masks, "", sorted(masks), VOC[1])
