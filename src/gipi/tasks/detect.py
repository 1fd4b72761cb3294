"""Training a detector that learns by gradients: Faster R-CNN, and Fast R-CNN on given regions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gipi.config import Config
from gipi.data.ahead import Ahead
from gipi.data.boxes import NO_BOX
from gipi.data.stream import ImageBatch, ImageStream
from gipi.engine.agree import everyone, same_buffers
from gipi.engine.batchnorm import synchronise
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.inspect.detect_report import write_detect_report
from gipi.models.region_net import Found, Truth
from gipi.ops.augment_boxes import augment_boxes
from gipi.ops.metrics import Mean, Metrics
from gipi.runs import Run
from gipi.tasks.boxes import load_boxes, training_boxes
from gipi.tasks.detector import Detector
from gipi.tasks.keep import Best, Course, followed, note_test, save_best
from gipi.tasks.proposals import proposals
from gipi.tasks.trainable import Trainable
from gipi.tasks.trained import training_work
from gipi.tasks.whole_start import begin, check

log = logging.getLogger("gipi")


class BoxBatch(NamedTuple):
    """Images as the net is fed them, what is in them, and the address of their randomness; see `Truth`."""

    images: Tensor
    labels: Tensor
    boxes: Tensor
    ignored: Tensor
    number: Tensor
    regions: Tensor | None
    seed: int
    epoch: int


class Detect(Trainable):
    """Training a detector, alone or as one of several processes. `steps` and `every`: of the training, of an epoch.

    boxes: of all training images.  With held-out images the weights of the epoch with the best AP on them are saved and tested,
    else the last ones.
    """

    def __init__(self, config: Config, place: Place) -> None:
        check(config)
        train, self._held_out, digest = training_boxes(config.data)
        net, card = begin(config, train, train.classes, digest)
        self.model = Detector(net.train(), card, place)
        if config.run.sync_batchnorm and place.world > 1:
            synchronise(net, place)
        self._regions = proposals(train).to(place.device) if self.model.given else None
        resident = place.holds(train.images.nbytes)
        train = train.to(place.device) if resident else train
        self.boxes, self._ignored = train.boxes.to(place.device), train.ignored.to(place.device)
        stream = ImageStream(train, config.data.batch, config.run.seed, rank=place.rank, world=place.world)
        self.every = stream.batches_per_epoch
        self.steps = config.run.epochs * self.every
        self._source = stream if resident else Ahead(stream, lambda batch: batch.to(place.device))
        self._optim = Optim(net, config.optim, place, self.steps, first_rate=config.transfer.first_rate)
        compiled = place.compiles(training_work(card, len(train) * config.run.epochs))
        if compiled:
            net.compile()
        self.answering = Detector(self._optim.averaged, card, place)  # what is evaluated and saved
        self._best, self._course = Best(), Course(config.run.epochs)
        self._config, self._place = config, place
        where = "images resident" if resident else "images fetched ahead"
        log.info("%s, %s, %s", place, where, "compiled" if compiled else "not compiled")

    def parts(self) -> dict[str, Stateful]:
        parts = {"net": self.model.net, "optim": self._optim, "stream": self._source}
        return {**parts, "best": self._best, "course": self._course} if self._held_out else parts

    def source(self) -> Iterator[ImageBatch]:
        return self._source

    def prepare(self, batch: ImageBatch) -> BoxBatch:
        """The batch as the net is fed it: images, boxes and given regions augmented alike, images scaled and filled up to its
        stride.
        """
        batch = batch.to(self._place.device)
        number, seed = batch.number, self._config.run.seed
        boxes, labels, count = self.boxes[number], batch.labels, batch.labels.shape[1]
        if self._regions is not None:  # they move as boxes of some class
            given = self._regions[number]
            boxes = torch.cat([boxes, given], 1)
            labels = torch.cat([labels, torch.where((given != 0).any(2), 0, NO_BOX)], 1)
        images, boxes, labels = augment_boxes(
            batch.images.float(), boxes, labels, self._config.data.augment, seed, batch.epoch, number
        )
        regions = None if self._regions is None else boxes[:, count:]
        return BoxBatch(
            images=self.model.inputs(images),
            labels=labels[:, :count],
            boxes=boxes[:, :count],
            ignored=self._ignored[number],
            number=number,
            regions=regions,
            seed=seed,
            epoch=batch.epoch,
        )

    def step(self, batch: ImageBatch) -> Metrics:
        lr = self._optim.lr
        return {**self._optim.minimize(self._loss, self.prepare(batch)), "lr": Mean(lr, 1)}

    def _loss(self, part: BoxBatch) -> tuple[Tensor, int, Metrics]:
        """The sum of the net's losses, each of which is told, too."""
        images, labels, boxes, ignored, number, regions, seed, epoch = part
        losses = self._optim.replica(images, Truth(boxes, labels, ignored, number, regions, seed, epoch))
        count = len(images)
        total = torch.stack([*losses.values()]).sum()
        return total, count, {name: Mean(loss.detach() * count, count) for name, loss in losses.items()}

    def evaluate(self) -> Metrics:
        same_buffers(self.answering.net, self._place)
        if not self._held_out:
            return {}
        result = self.answering.evaluate(self._held_out)
        self._best.offer(result.metrics["ap"].value, self.answering.weights)
        self._course.add(packed(result.found)[followed(len(self._held_out))])
        return result.metrics

    def save_model(self, path: Path) -> None:
        save_best(path, self._best, self.answering)

    def finish(self, run: Run, report: bool) -> None:
        """Look at the test set, once: its score goes into the metrics and the card, its worst images into the `report`."""
        everyone(None, self._place)  # the first process has written the model
        model, data = Detector.load(run.model_path, replace(self._place, precision="fp32", shard=False)), self._config.data
        test = load_boxes(data.name, "test", broken=data.broken)
        result = model.evaluate(test)
        note_test(run, model, result.metrics, {f"{test.name}/test": test.digest()})
        if report and self._place.first:
            held_out = self._held_out
            write_detect_report(
                run,
                model.net,
                model.card,
                data=test,
                found=result.found,
                matches=result.matches,
                followed=held_out.subset(torch.tensor(followed(len(held_out))), "validation") if held_out else None,
                course={epoch: unpacked(answers) for epoch, answers in self._course.answers.items()},
            )


def packed(found: Found) -> Tensor:
    """Of what was found one tensor (n, k, 6): boxes, scores, labels."""
    return torch.cat([found.boxes, found.scores.unsqueeze(2), found.labels.unsqueeze(2).float()], 2)


def unpacked(answers: Tensor) -> Found:
    return Found(answers[..., :4], answers[..., 4], answers[..., 5].long())
