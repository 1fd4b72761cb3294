"""Training the members of an ensemble together, as one stacked net: one step changes them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from statistics import mean, stdev
from typing import cast

import torch
from torch import Tensor

from gipi.config import Config
from gipi.data.stream import ImageBatch
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.models.ensemble import Ensemble, StackedNets
from gipi.ops.metrics import Mean, Metrics, merge
from gipi.runs import Run
from gipi.tasks.classifier import Classifier
from gipi.tasks.classify import Classify, conclude, training_images
from gipi.tasks.images import load_images
from gipi.tasks.trainable import Trainable

Batches = tuple[ImageBatch, ...]


class StackedClassify(Trainable):
    """Training `config.run.members` classifiers at once: each has the first weights, the images and the losses that it has alone.

    Only dropout differs, which draws for all of them from one seed. Metrics are means over the members.
    """

    def __init__(self, config: Config, place: Place) -> None:
        images = training_images(config, place)
        self._members: list[Classify] = []
        for member in config.members():
            torch.manual_seed(member.run.seed)
            self._members.append(Classify(member, place, images))
        self.steps, self.every = self._members[0].steps, self._members[0].every
        self._net = StackedNets([member.model.net for member in self._members]).to(place.device)
        self._optim = Optim(self._net, config.optim, place, self.steps)
        self._config, self._place = config, place

    def parts(self) -> dict[str, Stateful]:
        streams = {f"stream-{number}": member.parts()["stream"] for number, member in enumerate(self._members)}
        return {"net": self._net, "optim": self._optim, **streams}

    def source(self) -> Iterator[Batches]:
        return zip(*(member.source() for member in self._members), strict=True)

    def step(self, batch: Batches) -> Metrics:
        lr = self._optim.lr
        prepared = tuple(member.prepare(own) for member, own in zip(self._members, batch, strict=True))
        return {**self._optim.minimize(self._loss, prepared), "lr": Mean(lr, 1)}

    def _loss(self, batches: Batches) -> tuple[Tensor, int, Metrics]:
        """The sum of the members' mean losses, so that the gradient of each is that of its own."""
        logits = self._net(torch.stack([batch.images for batch in batches]).contiguous()).float()
        losses = [member.loss(own, batch) for member, own, batch in zip(self._members, logits, batches, strict=True)]
        metrics = [{**metrics, "loss": Mean(loss.detach() * count, count)} for loss, count, metrics in losses]
        return torch.stack([loss for loss, _, _ in losses]).sum(), losses[0][1], reduce(merge, metrics)

    def evaluate(self) -> Metrics:
        self._answering()
        return reduce(merge, [member.evaluate() for member in self._members])

    def save_model(self, path: Path) -> None:
        self._answering().save(path)

    def _answering(self) -> Classifier:
        """The ensemble of the weights of now, which the members get, too."""
        stack = cast("StackedNets", self._optim.averaged)
        for member, weights in zip(self._members, stack.weights(), strict=True):
            member.answering.net.load_state_dict(weights)
        return ensemble([member.answering for member in self._members])

    def finish(self, run: Run, report: bool) -> None:
        """Look at the test set, once, with the ensemble and with each member."""
        whole = self._answering()
        data = load_images(self._config.data.name, "test", short=whole.card.preprocess.short, broken=self._config.data.broken)
        exact = replace(self._place, precision="fp32")
        judges = [Classifier(member.answering.net, whole.card, exact) for member in self._members]
        conclude(run, whole, self._config, report, spread([judge.evaluate(data).metrics["accuracy"].value for judge in judges]))


def ensemble(members: list[Classifier]) -> Classifier:
    """Classifiers of one net as one that answers with the mean of their probabilities."""
    first = members[0]
    card = replace(first.card, members=len(members), metrics={})
    return Classifier(Ensemble([member.net for member in members]).eval(), card, first.place)


def spread(accuracies: list[float]) -> dict[str, float]:
    """Mean and sample standard deviation of the accuracies of two or more members, as a row of metrics has them."""
    return {"member_accuracy": mean(accuracies), "member_spread": stdev(accuracies)}
