"""Training a classifier: one label for an image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.config import AugmentConfig, Config
from gipi.data.stream import ImageBatch, ImageSet, ImageStream
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.errors import GipiWarning
from gipi.inspect.training import write_training_report
from gipi.ops.augment import augment, mix
from gipi.ops.metrics import Mean, Metrics, correct, values
from gipi.runs import Run
from gipi.tasks.classifier import Classifier
from gipi.tasks.images import load_images, own_validation
from gipi.tasks.start import Start, start

RESIDENT = 2 << 30  # bytes of training images up to which they lie on the device


class TrainingImages(NamedTuple):
    """Images to train on, images held out, digest of the sets that both are from."""

    train: ImageSet
    held_out: ImageSet | None
    digest: dict[str, str]


class Classify:
    """Training a classifier. `steps` and `every` are the length of the training and of an epoch.

    images: what `training_images` gives for the configuration, where several trainings share it.
    """

    def __init__(self, config: Config, place: Place, images: TrainingImages | None = None) -> None:
        begun = start(config)
        train, self._held_out, digest = images or training_images(config, place, begun)
        if config.data.augment.flip and train.framing == "digit":
            warnings.warn(
                f"data.augment.flip {config.data.augment.flip} mirrors the digits of {train.name!r}: a mirrored digit is another "
                "one or none (2 looks like 5), but keeps its label; leave it 0",
                GipiWarning,
                stacklevel=2,
            )
        net, card = begun.build(train, digest)
        self.model = Classifier(net.train(), card, place)
        self._net: Any = self.model.net  # a Backbone, GoogLeNet with an AUXILIARY_WEIGHT
        # With a body that stays as it is and images that stay as they are, the body's work is done once for all steps.
        still = config.transfer.frozen == 1 and config.data.augment == AugmentConfig()
        self._embedded = self.model.embed(train).to(train.labels.device) if still else None
        self._held_out_embedded = self.model.embed(self._held_out) if still and self._held_out else None
        self._stream = ImageStream(train, config.data.batch, config.run.seed, self._embedded)
        self.every = self._stream.batches_per_epoch
        self.steps = config.run.epochs * self.every
        self._optim = Optim(net, config.optim, place, self.steps, first_rate=config.transfer.first_rate)
        self.answering = Classifier(self._optim.averaged, card, place)  # what is evaluated and saved
        self._config, self._place = config, place

    def parts(self) -> dict[str, Stateful]:
        return {"net": self.model.net, "optim": self._optim, "stream": self._stream}

    def source(self) -> Iterator[ImageBatch]:
        return self._stream

    def prepare(self, batch: ImageBatch) -> ImageBatch:
        """The batch as the net is fed it: augmented, scaled, mixed."""
        batch = batch.to(self._place.device)
        if self._embedded is not None:
            return batch
        change, address = self._config.data.augment, (self._config.run.seed, batch.epoch, batch.number)
        images = self.model.scale(augment(batch.images.float(), change, *address, self.model.size))
        if change.mixes:
            images, own = mix(images, change, *address)
            batch = batch._replace(own=own, others=batch.labels.roll(-1))
        return batch._replace(images=self._place.put_images(images))

    def step(self, batch: ImageBatch) -> Metrics:
        if self._config.transfer.weights:
            self._set_modes(frozen=self._optim.progress < self._config.transfer.frozen)
        lr = self._optim.lr
        return {**self._optim.minimize(self._loss, self.prepare(batch)), "lr": Mean(lr, 1)}

    def _set_modes(self, *, frozen: bool) -> None:
        """Of a net that starts from weights: let only the head learn, or all layers.

        Batch norm keeps the statistics that came with the weights: those of a few small batches are worse, and weights whose
        batch norm was folded into the convolutions have no others.
        """
        net = self._net
        net.train(not frozen).requires_grad_(not frozen)
        net.head.train().requires_grad_(True)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()

    def _loss(self, part: ImageBatch) -> tuple[Tensor, int, Metrics]:
        net = self._net
        return self.loss(net(part.images) if self._embedded is None else net.answer(part.images), part)

    def loss(self, logits: Tensor | tuple[Tensor, ...], part: ImageBatch) -> tuple[Tensor, int, Metrics]:
        """(mean loss, count, metrics) of logits (n, classes) for a prepared batch, or of those and an auxiliary head's."""
        logits, *auxiliary = logits if isinstance(logits, tuple) else (logits,)
        loss = self._cross_entropy(logits.float(), part)
        for other in auxiliary:
            loss = loss + self._net.AUXILIARY_WEIGHT * self._cross_entropy(other.float(), part)
        return loss, len(part.labels), {"accuracy": correct(logits.detach().float(), part.labels)}

    def _cross_entropy(self, logits: Tensor, part: ImageBatch) -> Tensor:
        smoothing = self._config.optim.label_smoothing
        if part.own is None or part.others is None:
            return F.cross_entropy(logits, part.labels, label_smoothing=smoothing)
        own, others = (F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
                       for labels in (part.labels, part.others))  # fmt: skip
        return torch.lerp(others, own, part.own).mean()

    def evaluate(self) -> Metrics:
        return self.answering.evaluate(self._held_out, self._held_out_embedded).metrics if self._held_out else {}

    def save_model(self, path: Path) -> None:
        self.answering.save(path)

    def finish(self, run: Run, report: bool) -> None:
        """Look at the test set, once: its score goes into the metrics and the model's card, its mistakes into the `report`."""
        conclude(run, self.answering, self._config, report, {})


def conclude(run: Run, model: Classifier, config: Config, report: bool, more: dict[str, float]) -> None:
    """Score a trained model on the test set in float32, save it with the score on its card, add the row, draw the report.

    more: further numbers for the row.
    """
    data = load_images(config.data.name, "test", short=model.card.preprocess.short, broken=config.data.broken)
    result = Classifier(model.net, model.card, replace(model.place, dtype=torch.float32)).evaluate(data)
    numbers = values(result.metrics)
    card = replace(model.card, metrics=numbers, data={**model.card.data, f"{data.name}/test": data.digest()})
    Classifier(model.net, card, model.place).save(run.model_path)
    last = run.rows()[-1]
    run.append({"split": "test", "step": last["step"], "steps": last["steps"], "time_s": last["time_s"], **numbers, **more})
    if report:
        write_training_report(
            run,
            model.net,
            card,
            images=data.images,
            labels=data.labels,
            answers=result.answers,
            scores=result.scores,
            confusion=result.confusion,
        )


def training_images(config: Config, place: Place, begun: Start | None = None) -> TrainingImages:
    """The images that a configuration trains on, on the device if they are few, and those it holds out.

    Pictures that come with a validation part of their own give none of the training part away.
    Raises ConfigError for an unknown data set or a part of it that leaves nothing, DataError if it cannot be had.
    """
    short = (begun or start(config)).short
    train, held_out = load_images(config.data.name, "train", short=short, broken=config.data.broken), None
    digest = {f"{train.name}/train": train.digest()}
    if config.data.holdout:
        held_out = own_validation(config.data.name, short=short, broken=config.data.broken)
        if held_out is None:
            train, held_out = train.hold_out(config.data.holdout)
    if config.data.limit:
        train = train.limit(config.data.limit)
    resident = place.device.type == "cpu" or train.images.nbytes <= RESIDENT
    return TrainingImages(train.to(place.device) if resident else train, held_out, digest)
