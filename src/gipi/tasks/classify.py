"""Training a classifier: one label for an image."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.config import AugmentConfig, Config
from gipi.data.ahead import Ahead
from gipi.data.stream import ImageBatch, ImageStream
from gipi.engine.agree import same_buffers
from gipi.engine.batchnorm import synchronise
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.errors import ConfigError, GipiWarning
from gipi.inspect.training import write_training_report
from gipi.models.backbone import Answer
from gipi.ops.augment import augment, mix
from gipi.ops.metrics import Mean, Metrics, correct, values
from gipi.runs import Run
from gipi.tasks.classifier import Classifier
from gipi.tasks.images import TrainingImages, load_images, training_images
from gipi.tasks.start import start
from gipi.tasks.trainable import Trainable
from gipi.tasks.trained import ALONE, training_work

log = logging.getLogger("gipi")


class Classify(Trainable):
    """Training a classifier, alone or as one of several processes. `steps` and `every`: length of the training, of an epoch.

    images: what `training_images` gives for the configuration, where several trainings share it.
    """

    def __init__(self, config: Config, place: Place, images: TrainingImages | None = None) -> None:
        if config.data.class_weights != "none":
            raise ConfigError(f"data.class_weights {config.data.class_weights!r} is for segmentation: leave it 'none'")
        if config.data.least_count > 1:
            raise ConfigError(f"data.least_count {config.data.least_count} is for captioning: leave it 1")
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
        if config.run.sync_batchnorm and place.world > 1:
            synchronise(net, place)
        self._net: Any = self.model.net  # a Backbone, GoogLeNet with an AUXILIARY_WEIGHT
        # With a body that stays as it is and images that stay as they are, the body's work is done once for all steps.
        still = config.transfer.frozen == 1 and config.data.augment == AugmentConfig()
        self._embedded = self.model.embed(train).to(train.labels.device) if still else None
        self._held_out_embedded = self.model.embed(self._held_out) if still and self._held_out else None
        stream = ImageStream(train, config.data.batch, config.run.seed, self._embedded, rank=place.rank, world=place.world)
        self.every = stream.batches_per_epoch
        self.steps = config.run.epochs * self.every
        resident = still or place.holds(train.images.nbytes)
        self._source = stream if resident else Ahead(stream, lambda batch: batch.to(place.device))
        compiled = place.compiles(training_work(card, len(train) * config.run.epochs))
        self._optim = Optim(
            net,
            config.optim,
            place,
            self.steps,
            first_rate=config.transfer.first_rate,
            called=Answer(self._net) if still else None,
            partly=config.transfer.frozen > 0,
        )
        if compiled:
            net.compile()
        self.answering = Classifier(self._optim.averaged, card, place)  # what is evaluated and saved
        self._config, self._place = config, place
        where = "images resident" if resident else "images fetched ahead"
        log.info("%s, %s, %s", place, where, "compiled" if compiled else "not compiled")

    def parts(self) -> dict[str, Stateful]:
        return {"net": self.model.net, "optim": self._optim, "stream": self._source}

    def source(self) -> Iterator[ImageBatch]:
        return self._source

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
            if isinstance(layer, nn.BatchNorm2d | nn.SyncBatchNorm):
                layer.eval()

    def _loss(self, part: ImageBatch) -> tuple[Tensor, int, Metrics]:
        return self.loss(self._optim.replica(part.images), part)

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
        same_buffers(self.answering.net, self._place)
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
    result = Classifier(model.net, model.card, replace(model.place, precision="fp32")).evaluate(data)
    numbers = values(result.metrics)
    card = replace(model.card, metrics=numbers, data={**model.card.data, f"{data.name}/test": data.digest()})
    Classifier(model.net, card, model.place).save(run.model_path)
    if not model.place.first:
        return
    last = run.rows()[-1]
    run.append({"split": "test", "step": last["step"], "steps": last["steps"], "time_s": last["time_s"], **numbers, **more})
    if report:
        net = Classifier.load(run.model_path, ALONE).net if model.place.shard else model.net
        write_training_report(
            run,
            net,
            card,
            images=data.images,
            labels=data.labels,
            answers=result.answers,
            scores=result.scores,
            confusion=result.confusion,
        )
