"""Selective search beside OpenCV's fast mode: share of the true boxes with a region on them (IoU 0.5), and seconds an image.

python bench/proposals.py [--images N]: so many images of the test split of BCCD and of scenes, spread over it. k and the other
numbers of the search were chosen on training images. OpenCV (pip install opencv-contrib-python-headless) searches the image at a
longer side of 500 pixels, about as R-CNN did, and at ours; both take one thread. Writes bench/results/proposals.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from common import Row, row, write
from gipi.data.boxes import BoxSet
from gipi.ops import selective_search as search
from gipi.ops.boxes import iou
from gipi.tasks.boxes import load_boxes

MOST = 2000


def opencv(long: int) -> Callable[[Tensor], Tensor]:
    """OpenCV's fast mode on the image with a longer side of `long` pixels."""

    def find(pixels: Tensor) -> Tensor:
        scale = long / max(pixels.shape[1:])
        image = cv2.cvtColor(pixels.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2BGR)
        cv2.setRNGSeed(0)
        finder = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        finder.setBaseImage(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
        finder.switchToSelectiveSearchFast()
        found = torch.from_numpy(finder.process()[:MOST].astype(np.float32))
        found[:, 2:] += found[:, :2]
        return found / scale

    return find


def measure(name: str, data: BoxSet, find: Callable[[Tensor], Tensor]) -> list[Row]:
    best, counts, seconds = [], [], []
    for number, (height, width) in enumerate(data.sizes.tolist()):
        pixels = data.images[number, :, :height, :width]
        begun = time.process_time()
        regions = find(pixels)
        seconds.append(time.process_time() - begun)
        best.append(iou(data.boxes[number][data.labels[number] >= 0], regions).amax(1))
        counts.append(float(len(regions)))
    hits, split = torch.cat(best), f"{data.name} {data.split}"
    note = f"{len(hits)} boxes in {len(data)} images"
    return [
        row(f"{data.name}: {name}, recall at IoU 0.5", [100 * float((hits >= 0.5).float().mean())], "%", split=split, note=note),
        row(f"{data.name}: {name}, recall at IoU 0.7", [100 * float((hits >= 0.7).float().mean())], "%", split=split, note=note),
        row(f"{data.name}: {name}, regions", counts, "", split=split, note=f"at most {MOST:,}"),
        row(f"{data.name}: {name}, processor time", seconds, "s/image", split=split, note="one thread"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=72)
    count = parser.parse_args().images
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows: list[Row] = []
    for name in ("bccd", "scenes"):
        data = load_boxes(name, "test")
        data = data.limit(min(count, len(data)))
        rows += measure("gipi", data, lambda pixels: search.selective_search(pixels, MOST))
        ours = round(min(search.LONG, search.ENLARGED * max(data.images.shape[2:])))
        for long in (500, ours):
            rows += measure(f"OpenCV fast, {long} pixels", data, opencv(long))
    write("proposals", rows)


if __name__ == "__main__":
    main()
