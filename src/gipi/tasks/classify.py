"""Training a classifier: one label for an image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi import catalog
from gipi.config import Config
from gipi.data.stream import ImageBatch, ImageSet, ImageStream
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.errors import ConfigError, GipiWarning, nearest
from gipi.inspect.training import write_training_report
from gipi.model import Card
from gipi.models.kinds import build_net
from gipi.ops.augment import augment, mix
from gipi.ops.metrics import Mean, Metrics, correct, values
from gipi.runs import Run
from gipi.tasks.classifier import Classifier, load_images

# images to train on, images held out, digest of the set that both are from
TrainingImages = tuple[ImageSet, ImageSet | None, dict[str, str]]


class Classify:
    """Training a classifier. `steps` and `every` are the length of the training and of an epoch.

    images: what `training_images` gives for the configuration, where several trainings share it.
    """

    def __init__(self, config: Config, place: Place, images: TrainingImages | None = None) -> None:
        train, self._held_out, digest = images or training_images(config, place)
        if config.data.augment.flip and catalog.DATASETS[config.data.name].framing == "digit":
            warnings.warn(
                f"data.augment.flip {config.data.augment.flip} mirrors the digits of {train.name!r}: a mirrored digit is another "
                "one or none (2 looks like 5), but keeps its label; leave it 0",
                GipiWarning,
                stacklevel=2,
            )
        self._stream = ImageStream(train, config.data.batch, config.run.seed)
        self.every = self._stream.batches_per_epoch
        self.steps = config.run.epochs * self.every
        card = _card(config, train, digest)
        self.model = Classifier(build_net(card.net, card.args).train(), card, place)
        self._optim = Optim(self.model.net, config.optim, place, self.steps)
        self.answering = Classifier(self._optim.averaged, card, place)  # what is evaluated and saved
        self._config, self._place = config, place

    def parts(self) -> dict[str, Stateful]:
        return {"net": self.model.net, "optim": self._optim, "stream": self._stream}

    def source(self) -> Iterator[ImageBatch]:
        return self._stream

    def prepare(self, batch: ImageBatch) -> ImageBatch:
        """The batch as the net is fed it: augmented, scaled, mixed."""
        change, address = self._config.data.augment, (self._config.run.seed, batch.epoch, batch.number)
        images = self.model.scale(augment(batch.images.float(), change, *address))
        if change.mixes:
            images, own = mix(images, change, *address)
            batch = batch._replace(own=own, others=batch.labels.roll(-1))
        return batch._replace(images=self._place.put_images(images))

    def step(self, batch: ImageBatch) -> Metrics:
        lr = self._optim.lr
        return {**self._optim.minimize(self._loss, self.prepare(batch)), "lr": Mean(lr, 1)}

    def _loss(self, part: ImageBatch) -> tuple[Tensor, int, Metrics]:
        return self.loss(self.model.net(part.images).float(), part)

    def loss(self, logits: Tensor, part: ImageBatch) -> tuple[Tensor, int, Metrics]:
        """(mean loss, count, metrics) of float32 logits (n, classes) for a prepared batch."""
        smoothing = self._config.optim.label_smoothing
        if part.own is None or part.others is None:
            loss = F.cross_entropy(logits, part.labels, label_smoothing=smoothing)
        else:
            own, others = (F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
                           for labels in (part.labels, part.others))  # fmt: skip
            loss = torch.lerp(others, own, part.own).mean()
        return loss, len(part.labels), {"accuracy": correct(logits.detach(), part.labels)}

    def evaluate(self) -> Metrics:
        return self.answering.evaluate(self._held_out).metrics if self._held_out else {}

    def save_model(self, path: Path) -> None:
        self.answering.save(path)

    def finish(self, run: Run, report: bool) -> None:
        """Look at the test set, once: its score goes into the metrics and the model's card, its mistakes into the `report`."""
        conclude(run, self.answering, load_images(self._config.data.name, "test"), report, {})


def conclude(run: Run, model: Classifier, data: ImageSet, report: bool, more: dict[str, float]) -> None:
    """Score a trained model on the test set `data` in float32, save it with the score on its card, add the row, draw the report.

    more: further numbers for the row.
    """
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


def training_images(config: Config, place: Place) -> TrainingImages:
    """The images that a configuration trains on, on the device, and those it holds out.

    Raises ConfigError for an unknown data set or a part of it that leaves nothing, DataError if it cannot be had.
    """
    train, held_out = load_images(config.data.name, "train"), None
    digest = {f"{train.name}/train": train.digest()}
    if config.data.holdout:
        train, held_out = train.hold_out(config.data.holdout)
    if config.data.limit:
        train = train.limit(config.data.limit)
    return train.to(place.device), held_out, digest


def _card(config: Config, data: ImageSet, digest: dict[str, str]) -> Card:
    from gipi import __version__

    net = catalog.entry(catalog.NETS, config.net.name, "net")
    image = data.images.shape[1], data.images.shape[2], data.images.shape[3]
    if net.kind != config.kind:
        raise ConfigError(f"net {config.net.name!r} does {net.kind}, not {config.kind}{nearest(config.kind, catalog.KINDS)}")
    if image[1:] != net.input[1:]:
        raise ConfigError(
            f"net {config.net.name!r} takes images of {net.input[1]}x{net.input[2]}, {data.name!r} has {image[1]}x{image[2]}"
        )
    return Card(
        kind=config.kind,
        net=config.net.name,
        args={**config.net.args, "classes": len(data.classes), "channels": image[0]},
        classes=data.classes,
        image=image,
        framing=catalog.DATASETS[data.name].framing,
        recipe=config.recipe,
        data=digest,
        gipi=__version__,
    )
