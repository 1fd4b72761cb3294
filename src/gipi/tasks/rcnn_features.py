"""What the classifier of an R-CNN sees of the regions of its training images, computed once and kept in files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from gipi.data.boxes import BoxSet
from gipi.models.anchors import COVERED
from gipi.models.rcnn import RCNN
from gipi.ops.boxes import areas, coverage, iou
from gipi.runs import write_atomic
from gipi.tasks.detector import Detector


class Seen(NamedTuple):
    """The regions of an image, r of them, and behind them its m true boxes.

    features: float32 (r + m, d).  boxes: (r + m, 4).  overlaps: (r + m, classes), IoU with the nearest true box of each class.
    spared: (r + m), those amid what is to be ignored.  truth: (m, 4), labels: (m), the true boxes again.
    """

    features: Tensor
    boxes: Tensor
    overlaps: Tensor
    spared: Tensor
    truth: Tensor
    labels: Tensor


class Features:
    """One image after another, as often as wanted. folder: a file for each; what is in it is not computed again."""

    def __init__(self, model: Detector, data: BoxSet, regions: Tensor, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._model, self._data, self._regions, self._folder = model, data, regions, folder

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Seen]:
        return map(self._seen, range(len(self)))

    def _seen(self, number: int) -> Seen:
        data, own = self._data, self._regions[number]
        known, ignored = data.labels[number] >= 0, data.ignored[number]
        truth, labels = data.boxes[number][known & ~ignored], data.labels[number][known & ~ignored]
        boxes = torch.cat([own[areas(own) > 0], truth])
        overlaps = torch.zeros(len(boxes), len(data.classes))
        overlaps.scatter_reduce_(1, labels.expand(len(boxes), -1), iou(boxes, truth), "amax")
        hidden = data.boxes[number][known & ignored]
        spared = (coverage(boxes, hidden) >= COVERED).any(1)
        return Seen(self._features(number, boxes), boxes, overlaps, spared, truth, labels)

    def _features(self, number: int, boxes: Tensor) -> Tensor:
        path = self._folder / f"{number}.npy"
        if not path.exists():
            net, (height, width) = cast(RCNN, self._model.net), self._data.sizes[number].tolist()
            image = self._model.inputs(self._data.images[number : number + 1, :, :height, :width])[0]
            with self._model.answering():
                seen = net.features(image, boxes.to(image.device)).half().cpu()
            file = io.BytesIO()
            np.save(file, seen.numpy())
            write_atomic(path, file.getvalue())
        return torch.from_numpy(np.load(path)).float()
