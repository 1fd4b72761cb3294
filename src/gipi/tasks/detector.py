"""Using a trained detector: scoring it on a data set, finding what is where in a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from gipi import showing
from gipi.data.boxes import BoxSet
from gipi.engine.agree import everyone
from gipi.engine.place import Place
from gipi.errors import ConfigError
from gipi.model import Card
from gipi.models.region_net import Found, RegionNet
from gipi.ops.boxes import areas
from gipi.ops.detection import box_confusion, detection_scores, f1
from gipi.ops.image import open_image, resize, scale, short_size
from gipi.ops.matching import Matches, match
from gipi.ops.metrics import Metrics, values
from gipi.ops.selective_search import selective_search
from gipi.tasks.detection import Detection
from gipi.tasks.proposals import kept
from gipi.tasks.segmenter import pad
from gipi.tasks.trained import Trained
from gipi.tasks.video import BoxFrames, Echo, Film, film

SHOWN = 0.5  # least score of what is told of a picture, unless said otherwise
LONGEST = 1333 / 800  # times the net's shorter side: most that the longer side of a picture is, as in Faster R-CNN's trainings
Search = Callable[[Tensor], Tensor]  # a picture uint8 (3, h, w) -> its regions (r, 4)
AT_ONCE = 700_000  # pixels that are read at once, at most, or one image


@dataclass(frozen=True)
class DetectEvaluation:
    """A net's answers on a data set. found: in pixels of its images.  matches: with its boxes.

    confusion: counts of boxes, row is the label, column the answer, the last of both is the background.  f1: of each image.
    """

    metrics: Metrics
    found: Found
    matches: Matches
    confusion: Tensor
    f1: Tensor

    @property
    def answers(self) -> Tensor:
        return self.found.labels

    def _repr_html_(self) -> str:
        return showing.evaluation(values(self.metrics), self.confusion.tolist())


class Detector(Trained):
    """A net that finds boxes, with its card, ready to use. shown: least score of what `answer` tells, 0 to 1."""

    KIND = "detect"

    def __init__(self, net: torch.nn.Module, card: Card, place: Place, path: Path | None = None) -> None:
        super().__init__(net, card, place, path)
        self.shown = SHOWN

    def threshold(self, *, score: float | None = None, overlap: float | None = None) -> None:
        """score: least score of what `answer` tells.  overlap: IoU with a better box of its class above which one gives way.

        Both 0 to 1; None leaves one as it is. Raises ConfigError for other numbers.
        """
        for name, value in (("score", score), ("overlap", overlap)):
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"--{name} is {value}, allowed are 0 to 1")
        if score is not None:
            self.shown = score
            self.finder.score = min(self.finder.score, score)
        if overlap is not None:
            self.finder.overlap = overlap

    @property
    def finder(self) -> RegionNet:
        """The net by its own type."""
        return cast(RegionNet, self.net)

    @property
    def given(self) -> bool:
        """Whether the net wants regions from outside."""
        return self.finder.GIVEN

    def inputs(self, pixels: Tensor) -> Tensor:
        """uint8 pixels, or floats of that range, (n, 3, h, w) as the net is fed them: with zeros below and to the right up to a
        multiple of its stride.
        """
        return self.place.put_images(pad(self.scale(pixels.to(self.place.device)), self.finder.stride))

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) to which a picture is scaled: the shorter side as the card says, the longer at most LONGEST of it."""
        short = self.card.preprocess.short
        longest = max(short * LONGEST, *self.card.image[1:])
        short = min(short, math.floor(longest * min(height, width) / max(height, width)))
        return short_size((height, width), max(1, short))

    def find(self, pixels: Tensor, sizes: Tensor | None = None, search: Search = selective_search) -> Found:
        """uint8 (n, 3, h, w) of any size -> what is in them, in their pixels, on the CPU, float32.

        sizes: int64 (n, 2), height and width of the picture in each, if that does not fill it.  search: gives the regions of a
        picture to a net that wants them.
        """
        height, width = pixels.shape[-2:]
        small = scale(pixels, self.size(height, width))
        ratio = torch.tensor([small.shape[-1] / width, small.shape[-2] / height])
        whole = torch.tensor([[height, width]]).expand(len(pixels), 2) if sizes is None else sizes.cpu()
        seen = (whole * ratio.flip(0)).round().long().clamp(min=1)
        found = self.detect(small, seen, search)
        boxes = found.boxes.float().cpu() / ratio.repeat(2)
        return Found(boxes, found.scores.float().cpu(), found.labels.cpu())

    def detect(self, pixels: Tensor, sizes: Tensor, search: Search = selective_search) -> Found:
        """What the net finds in pictures of the size that it is fed, in their pixels; sizes: of the pictures in them."""
        regions = given_regions(pixels.cpu(), sizes, search).to(self.place.device) if self.given else None
        images = self.inputs(pixels)
        with self.answering():
            return self.net(images, sizes=sizes.to(self.place.device), regions=regions)

    def accept(self, data: BoxSet) -> None:
        """Raises ConfigError if the boxes are of other classes than the model's."""
        if data.classes != self.card.classes:
            raise ConfigError(f"the model knows {', '.join(self.card.classes)}, but {data.name!r} has {', '.join(data.classes)}")

    def evaluate(self, data: BoxSet) -> DetectEvaluation:
        """Score on boxes, at the images' own size. Several processes of a training share the images.

        Raises ConfigError if the classes are not the model's.
        """
        self.accept(data)
        world, (height, width) = self.place.world, data.images.shape[2:]
        small = math.prod(self.size(height, width))
        count = math.ceil(len(data) / world)  # as many in every process: with sharded weights they compute each together
        parts = math.ceil(count / max(1, AT_ONCE // small))
        images, sizes = (whole.tensor_split(world)[self.place.rank] for whole in (data.images, data.sizes))
        found = joined([
            self.find(*part, search=kept)  # regions of a data set are searched once
            for part in zip(images.tensor_split(parts), sizes.tensor_split(parts), strict=True)
        ])  # fmt: skip
        found = joined(everyone(found, self.place))
        matches = match(data.boxes.cpu(), data.labels.cpu(), data.ignored.cpu(), data.scales.cpu(), found)
        metrics = detection_scores(matches, len(data.classes))
        return DetectEvaluation(metrics, found, matches, box_confusion(matches, len(data.classes)), f1(matches))

    def predict(self, source: Path | bytes) -> Detection:
        """What is where in a picture, in a file or in memory. Raises DataError if it cannot be read."""
        return self.answer([self.frame(source)])[0]

    def predict_video(self, source: Path, out: Path, *, echo: Echo | None = None) -> Film:
        """Read a video frame by frame into another one, boxes drawn over it: see `tasks/video.py`."""
        return film(BoxFrames(self), source, out, echo=echo)

    def frame(self, source: Path | bytes) -> Tensor:
        """The pixels of a picture, uint8 (3, h, w)."""
        image = open_image(source)
        return resize(image, (3, image.height, image.width))

    @property
    def at_once(self) -> int:
        return 1  # pictures have any size

    def answer(self, framed: Sequence[Tensor]) -> list[Detection]:
        return [self._told(seen, self.find(seen[None])) for seen in framed]

    def _told(self, pixels: Tensor, found: Found) -> Detection:
        """What has a high enough score and an area."""
        boxes, scores, labels = (part[0] for part in found)
        good = (labels >= 0) & (scores >= self.shown) & (areas(boxes) > 0)
        return Detection(self.card.classes, pixels, boxes[good], scores[good], labels[good])


def given_regions(pixels: Tensor, sizes: Tensor, search: Search = selective_search) -> Tensor:
    """Regions for each picture (n, r, 4), in pixels of them; rows of zeros are none."""
    found = [search(one[:, :height, :width]) for one, (height, width) in zip(pixels, sizes.tolist(), strict=True)]
    return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)


def joined(parts: Sequence[Found]) -> Found:
    """What was found in images one after another; rows are filled up to the most boxes of an image."""
    most = max(part.labels.shape[1] for part in parts)

    def filled(rows: Tensor, value: float) -> Tensor:
        gap = rows.new_full((rows.shape[0], most - rows.shape[1], *rows.shape[2:]), value)
        return torch.cat([rows, gap], 1)

    padded = [Found(filled(boxes, 0), filled(scores, 0), filled(labels, -1)) for boxes, scores, labels in parts]
    return Found(*(torch.cat(same) for same in zip(*padded, strict=True)))
