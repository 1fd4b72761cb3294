"""Captions in the layout of COCO: a JSON file for all images of a split."""

from __future__ import annotations

from pathlib import Path

from gipi.data.caption_files import CaptionFiles, Listing, finder
from gipi.data.coco_files import coco_files, file_splits, image_places, is_known, listed_images, read_lists


def in_coco(path: Path) -> CaptionFiles:
    """The images that the JSON files of captions at `path` list, in their order.

    A file's split is in its name or that of its folder. Raises DataError for files whose splits cannot be told apart, or that
    are no JSON files with lists of images and annotations.
    """
    listing = Listing(path if path.is_dir() else path.parent)
    for file, split in file_splits(path, coco_files(path, captions=True)).items():
        table, name = read_lists(file, ("images", "annotations")), listing.name(file)
        names, wrong = listed_images(table["images"])
        listing.faults += [f"{name}: {fault}" for fault in wrong]
        find = finder([place for place in reversed(image_places(listing.root, file)) if place.is_dir()])
        images = {number: find(image) for number, image in names.items()}
        for image in images.values():
            listing.captions.setdefault(image, [])
            if split:
                listing.divide(name, image, split)
        for number, row in enumerate(table["annotations"]):
            where, caption = f"{name}: annotations[{number}]", row.get("caption")
            if isinstance(caption, str) and is_known(row.get("image_id"), names):
                listing.add(where, images[row["image_id"]], caption)
            else:
                listing.faults.append(f"{where} must have a caption and the id of a listed image as image_id")
    return listing.files(path)
