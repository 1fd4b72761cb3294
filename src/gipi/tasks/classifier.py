"""Using a trained classifier: scoring it on a data set, reading pictures with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gipi import catalog
from gipi.data.stream import ImageSet
from gipi.engine.place import Place
from gipi.errors import ConfigError
from gipi.model import Card, fit_weights, load_model, save_model
from gipi.models.ensemble import Ensemble
from gipi.models.kinds import build_net
from gipi.ops.digit import frame_digit
from gipi.ops.image import open_image, resize
from gipi.ops.metrics import Mean, Metrics, confusion_matrix

EVAL_BATCH = 500


def load_images(name: str, split: str) -> ImageSet:
    """A data set of the catalogue. Raises ConfigError for an unknown name and DataError if it cannot be had."""
    return catalog.resolve(catalog.entry(catalog.DATASETS, name, "data set").factory)(split)


@dataclass(frozen=True)
class Classification:
    """An answer for one picture. score: probability of the label.  framed: what the net saw, uint8 (c, h, w)."""

    label: str
    score: float
    probabilities: dict[str, float]
    framed: Tensor = field(repr=False)

    def json(self) -> dict[str, Any]:
        return {"label": self.label, "score": self.score, "probabilities": self.probabilities}

    def draw(self) -> Image.Image:
        """What the net saw, as a picture."""
        pixels = self.framed.permute(1, 2, 0).numpy()
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


@dataclass(frozen=True)
class Evaluation:
    """A classifier's answers on a data set. confusion: counts, row is the label.  answers, scores: of each image, in order."""

    metrics: Metrics
    confusion: Tensor
    answers: Tensor
    scores: Tensor


class Classifier:
    """A net with its card, ready to use."""

    def __init__(self, net: torch.nn.Module, card: Card, place: Place) -> None:
        self.net, self.card, self.place = place.put_net(net), card, place

    @classmethod
    def load(cls, path: Path, place: Place) -> Classifier:
        """The classifier in a model file. Raises WeightsError if the file is broken or its weights do not fit its card."""
        weights, card = load_model(path)
        nets = [build_net(card.net, card.args) for _ in range(card.members)]
        net = nets[0] if card.members == 1 else Ensemble(nets)
        fit_weights(net, weights, str(path))
        return cls(net.eval(), card, place)

    def save(self, path: Path) -> None:
        save_model(path, self.net.state_dict(), self.card)

    def scale(self, pixels: Tensor) -> Tensor:
        """uint8 pixels, or floats of that range, to the net's input values."""
        return (pixels.float() * self.card.scale - self.card.mean) / self.card.std

    @torch.inference_mode()
    def logits(self, pixels: Tensor) -> Tensor:
        """uint8 (n, c, h, w) -> float32 (n, classes), with dropout off."""
        was_training = self.net.training
        self.net.eval()
        with self.place.autocast():
            out = self.net(self.place.put_images(self.scale(pixels.to(self.place.device))))
        self.net.train(was_training)
        return out.float()

    def evaluate(self, data: ImageSet) -> Evaluation:
        """Score on labelled images. Raises ConfigError if they have other classes than the model."""

        def read(pixels: Tensor) -> tuple[Tensor, Tensor]:
            logits = self.logits(pixels)
            return logits, logits.argmax(1)

        return score(data.to(self.place.device), self.card.classes, read)

    def frame(self, source: Path | bytes) -> Tensor:
        """A picture brought to the form of the training images, uint8 (c, h, w). Raises DataError if that cannot be done."""
        image = open_image(source)
        return frame_digit(image) if self.card.framing == "digit" else resize(image, self.card.image)

    def predict(self, source: Path | bytes) -> Classification:
        """The label of a picture in a file or in memory. Raises DataError if it cannot be read or holds no digit."""
        framed = self.frame(source)
        chances = self.logits(framed[None])[0].softmax(0).tolist()
        best = max(range(len(chances)), key=chances.__getitem__)
        classes = self.card.classes
        return Classification(classes[best], chances[best], dict(zip(classes, chances, strict=True)), framed)


def score(data: ImageSet, classes: tuple[str, ...], read: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Evaluation:
    """Answers on labelled images, `EVAL_BATCH` at a time. Raises ConfigError if `data` has other classes than the model.

    read: uint8 pixels (n, c, h, w) -> (logits (n, classes), answers (n)) on the device of `data`.
    """
    if data.classes != classes:
        raise ConfigError(f"the model tells {', '.join(classes)} apart, but {data.name!r} has {', '.join(data.classes)}")
    logits, answers = map(torch.cat, zip(*map(read, data.images.split(EVAL_BATCH)), strict=True))
    losses = F.cross_entropy(logits, data.labels, reduction="none")
    metrics = {"accuracy": Mean((answers == data.labels).sum(), len(data)), "loss": Mean(losses.sum(), len(data))}
    scores = logits.softmax(1).gather(1, answers[:, None])[:, 0]
    return Evaluation(metrics, confusion_matrix(data.labels, answers, len(classes)).cpu(), answers.cpu(), scores.cpu())
