"""Training a generator: two nets, of which one makes images and the other tells them from real ones."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gipi.config import AugmentConfig, Config
from gipi.data.ahead import Ahead
from gipi.data.stream import ImageBatch, ImageStream
from gipi.engine.agree import everyone, gathered, same_buffers, together
from gipi.engine.batchnorm import synchronise
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.errors import GipiWarning, RunError
from gipi.models.dcgan import Both, opponent
from gipi.ops.augment import augment
from gipi.ops.gallery import grid
from gipi.ops.gan_loss import discriminator_loss, generator_loss
from gipi.ops.metrics import Mean, Metrics
from gipi.ops.random import normals
from gipi.runs import Run, write_atomic
from gipi.tasks.generate_end import conclude
from gipi.tasks.generate_start import begin, check
from gipi.tasks.generator import Generator
from gipi.tasks.generator_score import SCORED, drawn
from gipi.tasks.judge import Look, find_judge
from gipi.tasks.keep import Best, Course, save_best
from gipi.tasks.quality import quality, warnings_of
from gipi.tasks.reals import load_reals, training_reals
from gipi.tasks.trainable import Trainable

log = logging.getLogger("gipi")
SHOWN = 64  # images of the same noise that are drawn after each epoch
NOISE, MADE = 1 << 32, 1 << 33  # added to the seed: the noise of training, the changes of made images
WON, LOST = 0.02, 1e-3  # mean losses of an epoch, below which a discriminator is about to tell all images apart, and does


class Pair(NamedTuple):
    """Real images and as many made ones, of the same labels."""

    real: Tensor
    made: Tensor
    labels: Tensor


class Generate(Trainable):
    """Training a generator, alone or as one of several processes. `steps` and `every`: of the training, of an epoch.

    A step changes the discriminator by real and made images, then the generator by the same made images, as the changed
    discriminator sees them. Augmentation changes real and made images alike before the discriminator sees them (Zhao et al.,
    arXiv 2006.10738), so that the generator does not learn it. The weights of the epoch whose images have the smallest Fréchet
    distance to the held-out ones, or to those trained on if none are, are saved and tested.
    """

    def __init__(self, config: Config, place: Place) -> None:
        check(config)
        train, held_out, digest = training_reals(config.data)
        net, card = begin(config, train, digest)
        self.model = Generator(net.train(), card, place)
        self.opponent = place.put_net(opponent(net, width=config.gan.width, spectral_norm=config.gan.spectral_norm))
        if config.run.sync_batchnorm and place.world > 1:
            synchronise(net, place)
            synchronise(self.opponent, place)
        self._judge = find_judge(config.gan.judge, card.image, train.classes, config.data.name, place)
        reference = held_out or train
        self._real = self._judge.look(reference.images[drawn(len(reference), min(SCORED, len(reference)))])
        resident = place.holds(train.images.nbytes)
        train = train.to(place.device) if resident else train
        stream = ImageStream(train, config.data.batch, config.run.seed, rank=place.rank, world=place.world)
        self.every = stream.batches_per_epoch
        self.steps = config.run.epochs * self.every
        self._source = stream if resident else Ahead(stream, lambda batch: batch.to(place.device))
        self._generator = Optim(net, config.optim, place, self.steps)
        against = replace(config.optim, lr=config.optim.lr * config.gan.rate, ema=0.0)
        self._discriminator = Optim(self.opponent, against, place, self.steps, called=Both(self.opponent))
        self.answering = Generator(self._generator.averaged, card, place)  # what is judged and saved
        self._best, self._course = Best(), Course(config.run.epochs)
        self._epoch, self._shown = 0, None
        self._losses = list[Tensor]()  # of the discriminator, since the last evaluation
        self._config, self._place, self._train = config, place, train
        where = "images resident" if resident else "images fetched ahead"
        log.info("%s, %s, judged by %s against %s images", place, where, self._judge.name, f"{len(self._real.features):,}")

    def parts(self) -> dict[str, Stateful]:
        return {
            "net": self.model.net,
            "optim": self._generator,
            "discriminator": self.opponent,
            "discriminator_optim": self._discriminator,
            "stream": self._source,
            "best": self._best,
            "course": self._course,
        }

    def source(self) -> Iterator[ImageBatch]:
        return self._source

    def prepare(self, batch: ImageBatch) -> ImageBatch:
        """The batch of real images as the discriminator is fed it."""
        batch = batch.to(self._place.device)
        return batch._replace(images=self._changed(batch.images.float(), self._config.run.seed, batch))

    def step(self, batch: ImageBatch) -> Metrics:
        ready, lr = self.prepare(batch), self._generator.lr
        seed, address = self._config.run.seed, (ready.epoch, ready.number)
        noise = normals(seed + NOISE, *address, self.model.maker.noise)[:, :, None, None]
        with self._place.autocast():
            made = self._generator.replica(noise, ready.labels)
        seen = self._changed(self.model.pixels(made.float()), seed + MADE, ready)
        against = self._discriminator.minimize(self._tell, Pair(ready.images, seen.detach(), ready.labels))
        self._losses.append(torch.as_tensor(against["loss"].total) / against["loss"].count)
        self.opponent.requires_grad_(False)  # it only hands the gradient on
        metrics = self._generator.minimize(self._fool, Pair(ready.images, seen, ready.labels))
        self.opponent.requires_grad_(True)
        return {**metrics, "discriminator_loss": against.pop("loss"), **against, "lr": Mean(lr, 1)}

    def _changed(self, images: Tensor, seed: int, batch: ImageBatch) -> Tensor:
        """Images of 0 to 255, augmented, as the discriminator is fed them."""
        change = self._config.data.augment
        if change != AugmentConfig():
            images = augment(images, change, seed, batch.epoch, batch.number)
        return self._place.put_images(self.model.scale(images))

    def _tell(self, pair: Pair) -> tuple[Tensor, int, Metrics]:
        real, made = self._discriminator.replica(*pair)
        loss = discriminator_loss(real, made, self._config.gan.loss, self._config.optim.label_smoothing)
        count = len(real)
        believed = {"real": Mean(real.detach().sigmoid().sum(), count), "made": Mean(made.detach().sigmoid().sum(), count)}
        return loss, count, believed

    def _fool(self, pair: Pair) -> tuple[Tensor, int, Metrics]:
        return generator_loss(self.opponent(pair.made, pair.labels), self._config.gan.loss), len(pair.made), {}

    def evaluate(self) -> Metrics:
        same_buffers(self.answering.net, self._place)
        self._watch()
        made, asked = self._sample()
        numbers = quality(made, self._real, asked)
        for warning in warnings_of(numbers, len(self._judge.classes)):
            warnings.warn(warning, GipiWarning, stacklevel=2)
        self._best.offer(-numbers["frechet"], self.answering.weights)
        self._epoch = round(self._generator.progress * self._config.run.epochs)
        self._shown = self.answering.images(self.answering.noise(SHOWN, self._config.run.seed))
        self._course.add(self._shown)
        return {name: Mean(value, 1) for name, value in numbers.items()}

    def _sample(self) -> tuple[Look, Tensor | None]:
        """What the judge sees in images made now, and what they are to be; each process makes its part of them."""
        count = min(self._config.gan.samples, len(self._real.features))
        noise = self.answering.noise(count, self._config.run.seed).tensor_split(self._place.world)[self._place.rank]
        labels = torch.arange(count) % len(self.model.card.classes)
        mine = self._judge.look(self.answering.images(noise, labels.tensor_split(self._place.world)[self._place.rank]))
        look = Look(*(gathered(values, self._place) for values in mine))
        asks = self._config.gan.conditional and self._judge.classes == self.model.card.classes
        return look, labels if asks else None

    def _watch(self) -> None:
        """Whether the two nets still learn from each other. Raises RunError if they have ceased to."""
        if not self._losses:
            return
        own = Mean(torch.stack(self._losses).sum(), len(self._losses))
        loss, self._losses = together({"loss": own}, self._place)["loss"].value, []  # all processes end together
        if loss < LOST:
            raise RunError(
                f"the discriminator tells all images apart (its loss is {loss:.1e}), so the generator learns nothing any more; "
                "the last saved state is kept; try a lower --gan.rate, --optim.label-smoothing 0.1 or --data.augment.shift-px 2"
            )
        if loss < WON:
            warnings.warn(
                f"the discriminator's loss has fallen to {loss:.3f}: the generator learns little from it; a lower --gan.rate, "
                "--optim.label-smoothing 0.1 or --data.augment.shift-px 2 help",
                GipiWarning,
                stacklevel=3,
            )

    def save_model(self, path: Path) -> None:
        """Beside the model, what the same noise gives after the last epoch."""
        save_best(path, self._best, self.answering)
        if self._shown is not None and self._place.first:
            buffer = io.BytesIO()
            grid(self._shown).save(buffer, "PNG")
            (path.parent / "samples").mkdir(exist_ok=True)
            write_atomic(path.parent / "samples" / f"epoch-{self._epoch:04d}.png", buffer.getvalue())

    def finish(self, run: Run, report: bool) -> None:
        """Look at the test set, once: its score goes into the metrics and the card, pictures into the `report`."""
        everyone(None, self._place)  # the first process has written the model
        model, data = Generator.load(run.model_path, replace(self._place, precision="fp32")), self._config.data
        test = load_reals(data.name, "test", side=data.size, broken=data.broken)
        conclude(run, model, self._train, test, self._judge, self._course.answers, report)
