"""What a detector says of a picture: boxes, each with a class and a score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gipi import showing
from gipi.data.mask_legend import palette_colour
from gipi.ops.draw_boxes import draw_boxes, enlargement
from gipi.ops.overlay import as_image


@dataclass(frozen=True)
class Often:
    """How often a class was found in the frames of a video. boxes: in all of them.  per_frame: their mean number in one."""

    name: str
    boxes: int
    per_frame: float

    def __str__(self) -> str:
        return f"{self.name} ({self.per_frame:.1f} a frame)"

    def json(self) -> dict[str, Any]:
        return {"name": self.name, "boxes": self.boxes, "per_frame": self.per_frame}


@dataclass(frozen=True)
class Detection:
    """An answer for one picture: k boxes by falling score.

    pixels: the picture, uint8 (3, h, w).  boxes: x0, y0, x1, y1 in its pixels, float (k, 4).  scores: 0 to 1, float (k).
    labels: the numbers of their classes, int64 (k).
    """

    classes: tuple[str, ...]
    pixels: Tensor = field(repr=False)
    boxes: Tensor
    scores: Tensor
    labels: Tensor

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many boxes of each class that is there, most first."""
        counts = tally(self.labels, self.classes).tolist()
        return sorted(((name, n) for name, n in zip(self.classes, counts, strict=True) if n), key=lambda pair: -pair[1])

    def __str__(self) -> str:
        """ "3 RBC, 1 WBC (best 98%)" """
        if not len(self.labels):
            return "nothing"
        return f"{', '.join(f'{n} {name}' for name, n in self.counts)} (best {self.scores.max():.0%})"

    def painted(self) -> Tensor:
        """The picture with its boxes drawn over, class and score beside each: uint8 (3, h, w)."""
        return self._painted(1)

    def draw(self) -> Image.Image:
        """The same as an image; a small picture is enlarged, so that what stands beside the boxes can be read."""
        return as_image(self._painted(enlargement(*self.pixels.shape[1:])))

    def _repr_png_(self) -> bytes:
        return showing.png(self.draw())

    def _painted(self, times: int) -> Tensor:
        labels, scores = self.labels.tolist(), self.scores.tolist()
        texts = [f"{self.classes[label]} {score:.0%}" for label, score in zip(labels, scores, strict=True)]
        colours = [palette_colour(label + 1) for label in labels]  # of PASCAL VOC, whose 0 is black
        pixels = self.pixels.repeat_interleave(times, 1).repeat_interleave(times, 2)
        return draw_boxes(pixels, self.boxes * times, texts, colours)

    def json(self) -> dict[str, Any]:
        """boxes: label, score and box (x0, y0, x1, y1 in pixels) of each, by falling score.  size: width and height."""
        rows = zip(self.labels.tolist(), self.scores.tolist(), _rounded(self.boxes), strict=True)
        boxes = [{"label": self.classes[label], "score": score, "box": box} for label, score, box in rows]
        return {"boxes": boxes, "size": [self.pixels.shape[2], self.pixels.shape[1]]}

    def coco(self, image_id: int) -> list[dict[str, Any]]:
        """The rows of a COCO results file. category_id: from 1 on in the order of the classes.  bbox: x, y, width, height."""
        bboxes = _rounded(torch.cat([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]], 1))
        rows = zip(self.labels.tolist(), self.scores.tolist(), bboxes, strict=True)
        return [{"image_id": image_id, "category_id": n + 1, "bbox": bbox, "score": score} for n, score, bbox in rows]


def tally(labels: Tensor, classes: tuple[str, ...]) -> Tensor:
    """How many of each class there are: int64 (classes)."""
    return torch.bincount(labels, minlength=len(classes))


def often(classes: tuple[str, ...], counts: Tensor, frames: int) -> list[Often]:
    """Of sums of counts over so many frames: the classes that are there, most first."""
    found = [Often(name, boxes, boxes / frames) for name, boxes in zip(classes, counts.tolist(), strict=True) if boxes]
    return sorted(found, key=lambda one: -one.boxes)


def _rounded(boxes: Tensor) -> list[list[float]]:
    """To a hundredth of a pixel."""
    return [[round(number, 2) for number in box] for box in boxes.tolist()]
