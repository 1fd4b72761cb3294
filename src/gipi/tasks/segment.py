"""Training a segmentation net: a label for every pixel."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi.config import Config
from gipi.data.ahead import Ahead
from gipi.data.stream import ImageBatch, ImageStream
from gipi.engine.agree import everyone, same_buffers
from gipi.engine.batchnorm import synchronise
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.inspect.segment_report import write_segment_report
from gipi.ops.augment import augment_masks
from gipi.ops.metrics import Mean, Metrics
from gipi.ops.segmentation import VOID, class_weights
from gipi.runs import Run
from gipi.tasks.keep import Best, Course, followed, note_test, save_best
from gipi.tasks.masks import load_masks, training_masks
from gipi.tasks.segmenter import Segmenter, pad
from gipi.tasks.trainable import Trainable
from gipi.tasks.trained import training_work
from gipi.tasks.whole_start import begin, check

log = logging.getLogger("gipi")


class Segment(Trainable):
    """Training a segmentation net, alone or as one of several processes. `steps` and `every`: of the training, of an epoch.

    With held-out images the weights of the epoch with the best mean IoU on them are saved and tested, else the last ones.
    """

    def __init__(self, config: Config, place: Place) -> None:
        check(config)
        train, self._held_out, digest = training_masks(config.data)
        net, card = begin(config, train, train.classes, digest)
        self.model = Segmenter(net.train(), card, place)
        if config.run.sync_batchnorm and place.world > 1:
            synchronise(net, place)
        balanced = config.data.class_weights == "median-frequency"
        self._class_weights = class_weights(train.pixel_counts()).to(place.device) if balanced else None
        resident = place.holds(train.images.nbytes + train.labels.nbytes)
        train = train.to(place.device) if resident else train
        stream = ImageStream(train, config.data.batch, config.run.seed, rank=place.rank, world=place.world)
        self.every = stream.batches_per_epoch
        self.steps = config.run.epochs * self.every
        self._source = stream if resident else Ahead(stream, lambda batch: batch.to(place.device))
        self._optim = Optim(net, config.optim, place, self.steps, first_rate=config.transfer.first_rate)
        compiled = place.compiles(training_work(card, len(train) * config.run.epochs))
        if compiled:
            net.compile()
        self.answering = Segmenter(self._optim.averaged, card, place)  # what is evaluated and saved
        self._best, self._course = Best(), Course(config.run.epochs)
        self._config, self._place = config, place
        where = "images resident" if resident else "images fetched ahead"
        log.info("%s, %s, %s", place, where, "compiled" if compiled else "not compiled")

    def parts(self) -> dict[str, Stateful]:
        parts = {"net": self.model.net, "optim": self._optim, "stream": self._source}
        return {**parts, "best": self._best, "course": self._course} if self._held_out else parts

    def source(self) -> Iterator[ImageBatch]:
        return self._source

    def prepare(self, batch: ImageBatch) -> ImageBatch:
        """The batch as the net is fed it: images and masks augmented alike, images scaled, both filled up to its stride."""
        batch = batch.to(self._place.device)
        change, address = self._config.data.augment, (self._config.run.seed, batch.epoch, batch.number)
        images, labels = augment_masks(batch.images.float(), batch.labels, change, *address)
        return batch._replace(images=self.model.inputs(images), labels=pad(labels, self.model.stride, VOID))

    def step(self, batch: ImageBatch) -> Metrics:
        lr = self._optim.lr
        return {**self._optim.minimize(self._loss, self.prepare(batch)), "lr": Mean(lr, 1)}

    def _loss(self, part: ImageBatch) -> tuple[Tensor, int, Metrics]:
        """Cross-entropy: its sum over labelled pixels divided by all pixels, so that parts of a batch weigh by their images."""
        logits = self._optim.replica(part.images).float()
        smoothing = self._config.optim.label_smoothing
        total = F.cross_entropy(
            logits, part.labels.long(), self._class_weights, ignore_index=VOID, reduction="sum", label_smoothing=smoothing
        )
        return total / part.labels.numel(), len(part.labels), {}

    def evaluate(self) -> Metrics:
        same_buffers(self.answering.net, self._place)
        if not self._held_out:
            return {}
        result = self.answering.evaluate(self._held_out, boundaries=False)
        self._best.offer(result.metrics["mean_iou"].value, self.answering.weights)
        self._course.add(result.answers[followed(len(self._held_out))])
        return result.metrics

    def save_model(self, path: Path) -> None:
        save_best(path, self._best, self.answering)

    def finish(self, run: Run, report: bool) -> None:
        """Look at the test set, once: its score goes into the metrics and the card, its worst images into the `report`."""
        everyone(None, self._place)  # the first process has written the model
        exact = replace(self._place, precision="fp32", shard=False)
        model, data = Segmenter.load(run.model_path, exact), self._config.data
        test = load_masks(data.name, "test", broken=data.broken)
        result = model.evaluate(test)
        note_test(run, model, result.metrics, {f"{test.name}/test": test.digest()})
        if report and self._place.first:
            held_out = self._held_out
            shown = held_out.subset(torch.tensor(followed(len(held_out))), "validation") if held_out else None
            write_segment_report(
                run,
                model.net,
                model.card,
                data=test,
                answers=result.answers,
                ious=result.ious,
                confusion=result.confusion,
                followed=shown,
                course=self._course.answers,
            )
