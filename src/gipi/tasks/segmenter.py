"""Using a trained segmentation net: scoring it on a data set, naming what every pixel of a picture is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi import showing
from gipi.data.masks import MaskSet
from gipi.engine.agree import gathered
from gipi.engine.place import Place
from gipi.engine.winograd import winograd
from gipi.errors import ConfigError, DataError
from gipi.model import Card
from gipi.ops.image import MAX_PIXELS, open_image, resize, scale_short, short_size
from gipi.ops.metrics import Metrics, values
from gipi.ops.segmentation import boundary, iou, pixel_confusion, segment_scores
from gipi.tasks.segmentation import Segmentation
from gipi.tasks.tiling import any_size, most_pixels
from gipi.tasks.trained import Trained
from gipi.tasks.video import Echo, Film, MaskFrames, Paint, film

EVAL_PIXELS = 500_000  # read at once, at most, or one image


@dataclass(frozen=True)
class SegmentEvaluation:
    """A net's answers on a data set. confusion: counts of pixels, row is the label.

    answers: uint8 (n, h, w).  ious: float (n), the mean IoU of each image alone.
    """

    metrics: Metrics
    confusion: Tensor
    answers: Tensor
    ious: Tensor

    def _repr_html_(self) -> str:
        return showing.evaluation(values(self.metrics), self.confusion.tolist())


class Segmenter(Trained):
    """A segmentation net with its card, ready to use."""

    KIND = "segment"

    def __init__(self, net: torch.nn.Module, card: Card, place: Place, path: Path | None = None) -> None:
        super().__init__(net, card, place, path)
        self._answering = self.net

    @property
    def stride(self) -> int:
        return self.net.stride  # pyright: ignore[reportReturnType]

    @property
    def short(self) -> int:
        """Pixels of the shorter side to which this model wants pictures."""
        return self.card.preprocess.short

    def inputs(self, pixels: Tensor) -> Tensor:
        """uint8 pixels, or floats of that range, (n, c, h, w) as the net is fed them: with zeros below and to the right up to a
        multiple of its stride.
        """
        return self.place.put_images(pad(self.scale(pixels.to(self.place.device)), self.stride))

    def expect(self, count: int) -> None:
        """Get ready for so many pictures: a copy of the net answers from now on where it is faster, see `winograd`."""
        if self.path and count > 1 and self._answering is self.net:
            self._answering = winograd(self.net, self.place) or self.net

    def logits(self, pixels: Tensor) -> Tensor:
        """uint8 (n, c, h, w) of any size -> float32 (n, classes, h, w), dropout off."""
        height, width = pixels.shape[-2:]
        return self.run(self._answering, self.inputs(pixels))[..., :height, :width]

    def masks(self, pixels: Tensor) -> Tensor:
        """uint8 (n, c, h, w) of any size -> the class of each pixel, uint8 (n, h, w), on the CPU.

        The net sees them scaled to its own size; its logits are brought back to theirs before the highest is taken. What is too
        much for the memory that is free is read image by image, and in tiles.
        """
        small, size, limit = scale_short(pixels, self.short), (pixels.shape[-2], pixels.shape[-1]), most_pixels(self.place)
        if len(pixels) == 1 or len(pixels) * small.shape[-2] * small.shape[-1] > limit:
            return torch.stack([any_size(self.logits, one, size, stride=self.stride, limit=limit) for one in small])
        logits = self.logits(small)
        if logits.shape[-2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear")
        return logits.argmax(1).to("cpu", torch.uint8)

    def predict_video(self, source: Path, out: Path, *, paint: Paint | None = None, echo: Echo | None = None) -> Film:
        """Read a video frame by frame into another one, drawn over: see `tasks/video.py`."""
        self.expect(2)  # frames, at least
        return film(MaskFrames(self, paint), source, out, echo=echo)

    def accept(self, data: MaskSet) -> None:
        """Raises ConfigError if the images have other classes than the model."""
        if data.classes != self.card.classes:
            raise ConfigError(f"the model knows {', '.join(self.card.classes)}, but {data.name!r} has {', '.join(data.classes)}")

    def evaluate(self, data: MaskSet, *, boundaries: bool = True) -> SegmentEvaluation:
        """Score on masks, at their own size. boundaries: boundary F1, too, which takes as long as the rest.

        Several processes of a training share the images. Raises ConfigError if the classes are not the model's.
        """
        self.accept(data)
        place, size = self.place, data.images.shape[2] * data.images.shape[3]
        count = math.ceil(len(data) / place.world)  # as many in every process: with sharded weights they compute each together
        parts = math.ceil(count / max(1, EVAL_PIXELS // size))
        images = data.images.tensor_split(place.world)[place.rank].tensor_split(parts)
        answers = gathered(torch.cat([self.masks(part) for part in images]), place)
        confusions = torch.stack([
            pixel_confusion(label[None], answer[None], len(data.classes))
            for label, answer in zip(data.labels.cpu(), answers, strict=True)
        ])  # fmt: skip
        confusion = confusions.sum(0)
        metrics = segment_scores(confusion)
        if boundaries:
            metrics["boundary_f1"] = boundary(data.labels.cpu(), answers, len(data.classes)).score
        return SegmentEvaluation(metrics, confusion, answers, torch.stack([iou(one).nanmean() for one in confusions]))

    def predict(self, source: Path | bytes) -> Segmentation:
        """What every pixel of a picture is, in a file or in memory. Raises DataError if it cannot be read."""
        return self.answer([self.frame(source)])[0]

    def frame(self, source: Path | bytes) -> Tensor:
        """The pixels of a picture, uint8 (3, h, w). Raises DataError if it is so long that, scaled, it is too large."""
        image = open_image(source)
        height, width = short_size((image.height, image.width), self.short)
        if height * width > MAX_PIXELS:
            raise DataError(
                f"a picture of {image.width} x {image.height} pixels would be {width:,} x {height:,} to this model, whose "
                f"shorter side is {self.short}; allowed are {MAX_PIXELS:,} pixels in all: cut it into parts"
            )
        return resize(image, (3, image.height, image.width))

    @property
    def at_once(self) -> int:
        return 1  # pictures have any size

    def answer(self, framed: Sequence[Tensor]) -> list[Segmentation]:
        return [Segmentation(self.card.classes, self.card.colours, seen, self.masks(seen[None])[0]) for seen in framed]


def pad(images: Tensor, stride: int, value: float = 0) -> Tensor:
    """Images or masks (..., h, w) with rows below and columns to the right, so that both are multiples of the stride."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % stride, 0, -height % stride), value=value)
