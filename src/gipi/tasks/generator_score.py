"""How good a generator's images are, measured against real ones, and the same of real images beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from gipi import catalog, showing
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError
from gipi.ops.gallery import grid
from gipi.ops.metrics import Mean, Metrics, values
from gipi.ops.random import uniforms
from gipi.tasks.generator import Generator
from gipi.tasks.judge import Judge, Look, find_judge
from gipi.tasks.quality import quality
from gipi.tasks.reals import load_reals

SCORED = 10_000  # images, at most
SEED = 1511_06434  # of the real ones that are drawn
SHOWN = 25  # images, in a notebook


@dataclass(frozen=True)
class GenerateEvaluation:
    """What a judge sees in generated images beside real ones. metrics: see `quality`.

    floor: the same metrics of other real images, as many if there are: none can be expected to be better.  judge: for people.
    answers: the images, uint8 (n, c, h, w).  labels: what each was to be, int64 (n), of a conditional generator; else None.
    look: what the judge saw in them.
    """

    metrics: Metrics
    floor: dict[str, float]
    judge: str
    answers: UInt8[Tensor, "n c h w"] = field(repr=False)
    labels: Int64[Tensor, " n"] | None = field(repr=False)
    look: Look = field(repr=False)

    def _repr_html_(self) -> str:
        rows = [(name, value, self.floor.get(name, "")) for name, value in values(self.metrics).items()]
        scores = showing.table(("score", "made images", "other real images"), rows, f"by the features of {self.judge}")
        return showing.beside(scores, showing.image(grid(self.answers[:SHOWN]), "made images"))


def score(
    generator: Generator, test: ImageSet, train: ImageSet, judge: Judge, count: int = SCORED, seed: int = 0
) -> GenerateEvaluation:
    """`count` generated images against as many of `test`, or all if it has fewer; for the floor, as many or all of `train`.

    Raises ConfigError if images are of another size or other channels than the generator's.
    """
    for data in (test, train):
        if (got := tuple(data.images.shape[1:])) != generator.card.image:
            raise ConfigError(
                f"the model makes images of {generator.card.image} (channels, height, width), those of {data.name!r} are of {got}"
            )
    count = min(count, len(test))
    asks = generator.maker.conditional and judge.classes == generator.card.classes
    labels = torch.arange(count) % len(generator.card.classes) if generator.maker.conditional else None
    images = generator.images(generator.noise(count, seed), labels)
    look, real = judge.look(images), judge.look(test.images[drawn(len(test), count)].cpu())
    other = drawn(len(train), min(count, len(train)))
    metrics = quality(look, real, labels if asks else None)
    floor = quality(judge.look(train.images[other].cpu()), real, train.labels[other].cpu() if asks else None)
    return GenerateEvaluation({name: Mean(value, 1) for name, value in metrics.items()}, floor, judge.name, images, labels, look)


def score_on(generator: Generator, name: str, split: str, judge: str) -> GenerateEvaluation:
    """The score on a data set by name or folder, brought to the generator's size; the floor is that of its training images, or,
    where those are the split, of its test images.

    judge: as `GanConfig` has it. Raises ConfigError for what does not fit, DataError for images that cannot be had.
    """
    card, side = generator.card, generator.maker.size
    judging = find_judge(judge, card.image, card.classes, name, generator.place)
    own = 0 if name in catalog.DATASETS and catalog.DATASETS[name].image == card.image else side
    real, other = (load_reals(name, part, side=own) for part in (split, "test" if split == "train" else "train"))
    return score(generator, real, other, judging)


def drawn(count: int, some: int) -> Int64[Tensor, " some"]:
    """The numbers of some of `count` images, always the same ones at random, in order.

    Every other one would not do: folders are sorted by class, and MNIST's two sources of writers take turns.
    """
    return uniforms(SEED, 0, torch.arange(count), 1)[:, 0].argsort(stable=True)[:some].sort().values
