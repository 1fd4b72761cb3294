"""A detector without a net: it finds what is red, green and blue."""

from __future__ import annotations

import torch

from gipi.model import Card
from gipi.ops.image import open_image, resize
from gipi.preprocess import Preprocess
from gipi.tasks.detection import Detection
from gipi.tasks.video import BoxFrames, film

CLASSES = ("red", "green", "blue")
CARD = Card("detect", "none", {}, CLASSES, Preprocess((3, 64, 96), "whole"))


class Finder:
    """The signature of a Detector. Of each colour the box of its bright pixels is found, its score the mean brightness in there."""

    card, at_once = CARD, 1

    def __init__(self):
        self.score, self.overlap = 0.5, None

    def threshold(self, *, score=None, overlap=None):
        self.score, self.overlap = self.score if score is None else score, overlap

    def expect(self, count):
        pass

    def frame(self, source):
        image = open_image(source)
        return resize(image, (3, image.height, image.width))

    def predict(self, source):
        return self.answer([self.frame(source)])[0]

    def answer(self, framed):
        return [self.found(pixels) for pixels in framed]

    def found(self, pixels):
        rows = []
        for label, channel in enumerate(pixels):
            y, x = (channel > 150).nonzero().T
            if len(x):
                box = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]
                inside = channel[box[1] : box[3], box[0] : box[2]].float().mean().item() / 255
                rows.append((inside, label, [float(side) for side in box]))
        rows = [row for row in sorted(rows, reverse=True) if row[0] >= self.score]
        boxes = torch.tensor([row[2] for row in rows]).view(-1, 4)
        labels = torch.tensor([row[1] for row in rows], dtype=torch.int64)
        return Detection(CLASSES, pixels, boxes, torch.tensor([row[0] for row in rows]), labels)

    def predict_video(self, source, out, *, echo=None):
        return film(BoxFrames(self), source, out, echo=echo)
