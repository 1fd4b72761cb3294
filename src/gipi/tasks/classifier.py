"""Using a trained classifier: scoring it on a data set, reading pictures with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi import showing
from gipi.data.stream import ImageSet
from gipi.engine.agree import gathered, together
from gipi.engine.compiled import Compiled
from gipi.engine.place import Place
from gipi.errors import ConfigError
from gipi.model import Card
from gipi.ops.digit import frame_digit
from gipi.ops.image import centre_crop, open_image, resize, shrink
from gipi.ops.metrics import Mean, Metrics, confusion_matrix, values
from gipi.tasks.answers import AT_ONCE, Classification, classifications
from gipi.tasks.compiled import compiled
from gipi.tasks.images import SHORT
from gipi.tasks.trained import ALONE, Trained

EVAL_BATCH = 500  # images at once, of
EVAL_PIXELS = 2_000_000  # at most so many pixels in all


@dataclass(frozen=True)
class Evaluation:
    """A classifier's answers on a data set. confusion: counts, row is the label.  answers, scores: of each image, in order."""

    metrics: Metrics
    confusion: Tensor
    answers: Tensor
    scores: Tensor

    def _repr_html_(self) -> str:
        return showing.evaluation(values(self.metrics), self.confusion.tolist())


class Classifier(Trained):
    """A classifier with its card, ready to use."""

    KIND = "classify"

    def __init__(self, net: torch.nn.Module, card: Card, place: Place, path: Path | None = None) -> None:
        super().__init__(net, card, place, path)
        self._compiled: Compiled | None = None

    def expect(self, count: int) -> None:
        """Get ready for so many pictures: another runtime answers from now on where it saves time, see `engine/fast.py`."""
        if self.path and not self._compiled:
            self._compiled = compiled(self.net, self.card, self.place, self.path, count)

    @property
    def runtime(self) -> str:
        return str(self._compiled or "PyTorch")

    @property
    def short(self) -> int:
        """Pixels of the shorter side to which this model wants pictures of any size."""
        return self.card.preprocess.short or SHORT

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the net is fed."""
        return self.card.image[1], self.card.image[2]

    def logits(self, pixels: Tensor) -> Tensor:
        """uint8 (n, c, h, w) -> float32 (n, classes), with dropout off; of images larger than the net's input the middle."""
        if self._compiled:
            return self._compiled(self.scale(centre_crop(pixels, self.size)))
        return self.run(self.net, self.inputs(pixels))

    def accept(self, data: ImageSet) -> None:
        """Raises ConfigError if the images have other classes than the model, or are not of the size that it takes."""
        classes = self.card.classes
        if data.classes != classes:
            ours, theirs = (", ".join(names[:12]) + (", ..." if len(names) > 12 else "") for names in (classes, data.classes))
            raise ConfigError(f"the model tells {ours} apart, but {data.name!r} has {theirs}")
        how, got = self.card.preprocess, tuple(data.images.shape[1:])
        wanted = (how.image[0], how.short, how.short) if how.framing == "crop" else how.image
        if got != wanted:
            raise ConfigError(f"the model takes images of {wanted} (channels, height, width), {data.name!r} has {got}")

    def embed(self, data: ImageSet) -> Tensor:
        """What the head of the net sees of each image, float32, as `Backbone.embed` gives it, on the device."""
        parts = data.images.split(_batch(data.images.shape[2:]))
        return torch.cat([self.run(self.net.embed, self.inputs(part)) for part in parts])  # pyright: ignore[reportArgumentType]

    def inputs(self, pixels: Tensor) -> Tensor:
        """uint8 (n, c, h, w) as the net is fed them."""
        return self.place.put_images(self.scale(centre_crop(pixels, self.size).to(self.place.device)))

    def evaluate(self, data: ImageSet, embedded: Tensor | None = None) -> Evaluation:
        """Score on labelled images. Raises ConfigError if their classes or sizes are not the model's.

        embedded: what `embed` gives for them, if that is known.
        """
        self.accept(data)
        if embedded is None:
            self.expect(len(data))

        def read(inputs: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.logits(inputs) if embedded is None else self.run(self.net.answer, inputs)  # pyright: ignore[reportArgumentType]
            return logits, logits.argmax(1)

        return score(data, self.card.classes, read, embedded, self.place)

    def frame(self, source: Path | bytes) -> Tensor:
        """A picture brought to the form of the training images, uint8 (c, h, w). Raises DataError if that cannot be done."""
        how = self.card.preprocess
        if how.framing == "crop":
            return centre_crop(shrink(open_image(source, least=how.short), how.short), self.size)
        image = open_image(source)
        return frame_digit(image) if how.framing == "digit" else resize(image, how.image)

    def predict(self, source: Path | bytes) -> Classification:
        """The label of a picture in a file or in memory. Raises DataError if it cannot be read or holds no digit."""
        return self.answer([self.frame(source)])[0]

    @property
    def at_once(self) -> int:
        return min(AT_ONCE, _batch(self.size))

    def answer(self, framed: Sequence[Tensor]) -> list[Classification]:
        """The labels of pictures, one or more and not above `at_once`, that `frame` has framed."""
        logits = self.logits(torch.stack(list(framed)))
        return classifications(self.card.classes, logits, logits.argmax(1), framed)


def score(
    data: ImageSet,
    classes: tuple[str, ...],
    read: Callable[[Tensor], tuple[Tensor, Tensor]],
    inputs: Tensor | None = None,
    place: Place = ALONE,
) -> Evaluation:
    """Answers on labelled images of the `classes`, some at a time; several processes of a training share the images.

    read: a part of `inputs`, by default the pixels (n, c, h, w) -> (logits (n, classes), answers (n)).
    """
    inputs = data.images if inputs is None else inputs
    # As many parts in every process: with sharded weights they compute each together.
    parts = math.ceil(math.ceil(len(data) / place.world) / _batch(data.images.shape[2:]))
    mine = inputs.tensor_split(place.world)[place.rank].tensor_split(parts)
    logits, answers = map(torch.cat, zip(*map(read, mine), strict=True))
    labels = data.labels.tensor_split(place.world)[place.rank].to(logits.device)
    losses = F.cross_entropy(logits, labels, reduction="none")
    right = (answers == labels).sum()
    metrics = {"accuracy": Mean(right, len(labels)), "loss": Mean(losses.sum(), len(labels))}
    if len(classes) > 5:
        metrics["top5"] = Mean((logits.topk(5).indices == labels[:, None]).sum(), len(labels))
    scores = logits.softmax(1).gather(1, answers[:, None])[:, 0]
    answers, scores = gathered(answers, place), gathered(scores, place)
    confusion = confusion_matrix(data.labels.cpu(), answers, len(classes))
    return Evaluation(together(metrics, place), confusion, answers, scores)


def _batch(size: Sequence[int]) -> int:
    return max(1, min(EVAL_BATCH, EVAL_PIXELS // (size[0] * size[1])))
