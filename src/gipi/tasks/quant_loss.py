"""What an exported file with fewer bits loses: the score of a labelled data set by it and by the float32 file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi.data.boxes import BoxSet
from gipi.data.masks import MaskSet
from gipi.data.stream import ImageSet
from gipi.engine.compiled import ONNXRuntime
from gipi.models.region_net import Found
from gipi.ops.image import centre_crop, scale
from gipi.ops.metrics import values
from gipi.ops.selective_search import selective_search
from gipi.showing import Told
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector, Search, given_regions, joined
from gipi.tasks.proposals import MOST
from gipi.tasks.segmenter import Segmenter

HEADLINES = {"accuracy": "accuracy", "mean_iou": "mean IoU", "ap": "AP"}


@dataclass(frozen=True)
class Loss(Told):
    """A headline score, 0 to 1, of the float32 file and of the one with fewer bits.

    data, split: which data set.  images: how many it has.
    """

    data: str
    split: str
    images: int
    score: str
    float32: float
    lowered: float

    @property
    def points(self) -> float:
        """What is lost, in percentage points; below 0 if the score has risen."""
        return 100 * (self.float32 - self.lowered)

    def text(self) -> str:
        change = f"{abs(self.points):.2f} points {'lost' if self.points >= 0 else 'won'}"
        shares = f"{self.lowered:.2%}, of the float32 file {self.float32:.2%}: {change}"
        return f"{HEADLINES[self.score]} on {self.images:,} images of {self.data} {self.split}: {shares}"

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "points": self.points}


class File:
    """An ONNX file that ONNX Runtime runs on the CPU, by as many threads as PyTorch has."""

    def __init__(self, data: bytes) -> None:
        runtime = ONNXRuntime.package()
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.inputs = {each.name: each.shape for each in self._session.get_inputs()}

    def run(self, *feeds: Tensor) -> list[Tensor]:
        """Its outputs, for inputs in the graph's order."""
        named = {name: feed.numpy() for name, feed in zip(self.inputs, feeds, strict=True)}
        return [torch.from_numpy(part) for part in self._session.run(None, named)]


class FileClassifier(Classifier):
    """A classifier that answers by its exported file; so do the two below."""

    def __init__(self, model: Classifier, file: File) -> None:
        super().__init__(model.net, model.card, model.place)
        self.file = file

    def logits(self, pixels: Tensor) -> Tensor:
        return self.file.run(centre_crop(pixels, self.size).contiguous())[0]


class FileSegmenter(Segmenter):
    def __init__(self, model: Segmenter, file: File) -> None:
        super().__init__(model.net, model.card, model.place)
        self.file = file

    def logits(self, pixels: Tensor) -> Tensor:
        return self.file.run(pixels.contiguous())[0]


class FileDetector(Detector):
    """Pictures are scaled to the size that the file takes."""

    def __init__(self, model: Detector, file: File) -> None:
        super().__init__(model.net, model.card, model.place)
        self.file = file

    def detect(self, pixels: Tensor, sizes: Tensor, search: Search = selective_search) -> Found:
        return joined(
            [self._one(one[None, :, :high, :wide], search) for one, (high, wide) in zip(pixels, sizes.tolist(), strict=True)]
        )

    def _one(self, pixels: Tensor, search: Search) -> Found:
        """pixels uint8 (1, 3, h, w), the boxes in them."""
        height, width = self.file.inputs["pixels"][2:]
        fed = [scale(pixels, (height, width)).contiguous()]
        if self.given:
            regions = given_regions(fed[0], torch.tensor([[height, width]]), search)[0]
            fed.append(F.pad(regions, (0, 0, 0, MOST - len(regions))))
        boxes, scores, labels = self.file.run(*fed)
        ratio = torch.tensor([pixels.shape[3] / width, pixels.shape[2] / height]).repeat(2)
        return Found((boxes * ratio)[None], scores[None], labels[None])


def loss_of(model: Classifier | Segmenter | Detector, data32: bytes, data: bytes, images: ImageSet | MaskSet | BoxSet) -> Loss:
    """The score of a labelled set by both files of a model. Raises ConfigError if classes or sizes are not the model's."""
    scores = []
    for file in (File(data32), File(data)):
        if isinstance(model, Classifier):
            found = FileClassifier(model, file).evaluate(cast(ImageSet, images))
        elif isinstance(model, Segmenter):
            found = FileSegmenter(model, file).evaluate(cast(MaskSet, images), boundaries=False)
        else:
            found = FileDetector(model, file).evaluate(cast(BoxSet, images))
        scores.append(values(found.metrics))
    name = next(iter(scores[0]))
    return Loss(images.name, images.split, len(images), name, scores[0][name], scores[1][name])
