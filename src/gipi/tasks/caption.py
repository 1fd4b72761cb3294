"""Training a captioner: a sentence for an image."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.config import Config
from gipi.data.ahead import Ahead
from gipi.data.captions import CaptionSet
from gipi.data.stream import ImageBatch, ImageStream
from gipi.engine.agree import everyone, gathered, same_buffers
from gipi.engine.batchnorm import synchronise
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.inspect.caption_figures import Attended
from gipi.inspect.caption_report import write_caption_report
from gipi.ops.augment import MIRROR, augment
from gipi.ops.metrics import Mean, Metrics
from gipi.ops.random import uniforms
from gipi.ops.text import LONGEST, PAD, Vocabulary, encoded
from gipi.runs import Run
from gipi.tasks.captioner import Captioner, Framed
from gipi.tasks.captions import load_captions, training_captions
from gipi.tasks.keep import Best, Course, followed, note_test, save_best
from gipi.tasks.trainable import Trainable
from gipi.tasks.whole_start import begin, check
from gipi.tasks.worded import CaptionBatch, Worded, check_frozen, warn_of_mirror

log = logging.getLogger("gipi")


class Caption(Trainable):
    """Training a captioner, alone or as one of several processes. `steps` and `every`: of the training, of an epoch.

    An image brings all of its captions into a step; each of their words counts the same. While the encoder is frozen, what it
    sees of all images is computed once. With held-out images the weights of the epoch with the best mean of BLEU-1 to BLEU-4 on
    them are saved and tested, else the last ones.
    """

    def __init__(self, config: Config, place: Place) -> None:
        check(config)
        check_frozen(config)
        train, self._held_out, digest = training_captions(config.data)
        self._sentences = tuple(caption for each in train.captions for caption in each)
        vocabulary = Vocabulary.of(self._sentences, config.data.least_count)
        warn_of_mirror(config, self._sentences)
        net, card = begin(config, train, vocabulary.words, digest)
        self.model = Captioner(net.train(), card, place)
        if config.run.sync_batchnorm and place.world > 1:
            synchronise(net, place)
        self._config, self._place = config, place
        self._features = self._seen(train.images) if config.transfer.frozen else None
        self._held_out_features = (
            self.model.features(self._held_out.images) if self._held_out and config.transfer.frozen == 1 else None
        )
        resident = place.holds(train.images.nbytes)
        images = train.images.to(place.device) if resident else train.images
        data = Worded(train.name, images, encoded(train.captions, vocabulary).to(images.device))
        stream = ImageStream(data, config.data.batch, config.run.seed, rank=place.rank, world=place.world)
        self.every = stream.batches_per_epoch
        self.steps = config.run.epochs * self.every
        self._source = stream if resident else Ahead(stream, lambda batch: batch.to(place.device))
        self._optim = Optim(
            net,
            config.optim,
            place,
            self.steps,
            first_rate=config.transfer.first_rate,
            partly=config.transfer.frozen > 0,
        )
        self.answering = Captioner(self._optim.averaged, card, place)  # what is evaluated and saved
        self._best, self._course = Best(), Course(config.run.epochs)
        log.info(
            "%s, %s, vocabulary of %s words", place, "images resident" if resident else "images fetched ahead", len(vocabulary)
        )

    def _seen(self, images: Tensor) -> Tensor:
        """Features of the images and, where some are mirrored, of their mirror images: float16 (n, 1 or 2, p, d)."""
        part = images.tensor_split(self._place.world)[self._place.rank]
        views = [part, part.flip(3)] if self._config.data.augment.flip else [part]
        features = torch.stack([self.model.features(view).half() for view in views], 1)
        return gathered(features, self._place).to(self._place.device)

    def parts(self) -> dict[str, Stateful]:
        parts = {"net": self.model.net, "optim": self._optim, "stream": self._source}
        return {**parts, "best": self._best, "course": self._course} if self._held_out else parts

    def source(self) -> Iterator[ImageBatch]:
        return self._source

    @property
    def frozen(self) -> bool:
        """Whether the encoder is, in the next step."""
        return self._optim.progress < self._config.transfer.frozen

    def prepare(self, batch: ImageBatch) -> ImageBatch:
        """The batch as the net is fed it: images augmented and scaled, or their features."""
        batch = batch.to(self._place.device)
        change, address = self._config.data.augment, (self._config.run.seed, batch.epoch, batch.number)
        if self.frozen and self._features is not None:
            mirrored = (uniforms(*address, MIRROR + 1)[:, MIRROR] < change.flip).long()
            return batch._replace(images=self._features[batch.number, mirrored].float())
        images = augment(batch.images.float(), change, *address, self.model.card.image[1:])
        return batch._replace(images=self._place.put_images(self.model.scale(images)))

    def step(self, batch: ImageBatch) -> Metrics:
        if self._config.transfer.weights:
            self._set_modes(frozen=self.frozen)
        lr, ready = self._optim.lr, self.prepare(batch)
        longest = int((ready.labels >= 0).sum(2).max())
        return {**self._optim.minimize(self._loss, CaptionBatch(ready.images, ready.labels[..., :longest])), "lr": Mean(lr, 1)}

    def _set_modes(self, *, frozen: bool) -> None:
        """Of a net whose encoder starts from weights: let all of it learn, or the decoder alone.

        Batch norm keeps the statistics that came with the weights, as in transfer learning of classifiers.
        """
        encoder = self.model.net.get_submodule("encoder")
        encoder.train(not frozen).requires_grad_(not frozen)
        for layer in encoder.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.SyncBatchNorm):
                layer.eval()

    def _loss(self, part: CaptionBatch) -> tuple[Tensor, int, Metrics]:
        """Cross-entropy: the mean over all words, ends included."""
        logits, _ = self._optim.replica(part.seen, part.words)
        words = part.words[part.words != PAD]
        loss = F.cross_entropy(logits.float(), words, label_smoothing=self._config.optim.label_smoothing)
        return loss, len(words), {}

    def evaluate(self) -> Metrics:
        same_buffers(self.answering.net, self._place)
        if not self._held_out:
            return {}
        result = self.answering.evaluate(self._held_out, self._held_out_features)
        scores = [result.metrics[f"bleu{n}"].value for n in (1, 2, 3, 4)]  # BLEU-4 alone is 0 for sentences of three words
        self._best.offer(sum(scores) / 4, self.answering.weights)
        spoken = result.spoken[followed(len(self._held_out))]
        self._course.add(F.pad(spoken, (0, LONGEST + 1 - spoken.shape[1]), value=PAD))
        return result.metrics

    def save_model(self, path: Path) -> None:
        save_best(path, self._best, self.answering)

    def finish(self, run: Run, report: bool) -> None:
        """Look at the test set, once: its score goes into the metrics and the card, its worst images into the `report`."""
        everyone(None, self._place)  # the first process has written the model
        model, data = Captioner.load(run.model_path, replace(self._place, precision="fp32")), self._config.data
        test = load_captions(data.name, "test", side=data.size, broken=data.broken)
        result = model.evaluate(test)
        note_test(run, model, result.metrics, {f"{test.name}/test": test.digest()})
        if report and self._place.first:
            text = model.vocabulary.text
            write_caption_report(
                run,
                model.net,
                model.card,
                data=test,
                answers=result.answers,
                cider=result.cider,
                training=self._sentences,
                followed=_followed(self._held_out),
                course={epoch: [text(row) for row in rows.tolist()] for epoch, rows in self._course.answers.items()},
                attended=_attended(model, test),
            )


def _followed(held_out: CaptionSet | None) -> CaptionSet | None:
    return held_out.subset(torch.tensor(followed(len(held_out))), "validation") if held_out else None


def _attended(model: Captioner, test: CaptionSet) -> list[Attended]:
    """Where a net that attends looked, for a few test images."""
    if not model.speaker.ATTENDS:
        return []
    images = [test.images[number] for number in followed(len(test))]
    answers = model.answer([Framed(image, image) for image in images])
    return [Attended(one.pixels, best.words, best.maps) for one in answers if (best := one.sentences[0]).maps is not None]
