"""What a study is: variants, a configuration each, and claims that compare two of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gipi import catalog
from gipi.config import Config


@dataclass(frozen=True)
class Variant:
    """One point of the figure: `series` at `x`, a number or a word.  ensemble: of the trained seeds, as one."""

    series: str
    x: float | str
    config: Config
    ensemble: bool = False

    @property
    def name(self) -> str:
        return f"{self.series}, {self.x}" if self.series else str(self.x)


@dataclass(frozen=True)
class Claim:
    """The textbook's `text`: `better` has more of `measure` than `worse` (less, if it is a cost).

    better, worse: names of variants, or of series: then the variant with the best validation score stands for the series.
    """

    text: str
    better: str
    worse: str
    measure: str = "accuracy"


@dataclass(frozen=True)
class Study:
    """seeds: trainings of each variant.  x, log: axis of the figure.  activations: variants looked at untrained, too.

    per_class: the variants' `data.limit` counts the images of a class.  scores: of the test set, the headline first.
    """

    about: str
    cost: str
    x: str
    variants: tuple[Variant, ...]
    claims: tuple[Claim, ...]
    seeds: int = 3
    log: bool = False
    activations: tuple[str, ...] = ()
    per_class: bool = False
    scores: tuple[str, ...] = ("accuracy",)


@dataclass(frozen=True)
class Measurement:
    """A study that trains nothing: it looks at the shipped models.  Run by a function of `lab`."""

    about: str
    cost: str


COSTS = ("frechet", "drift", "parameters", "multiply_adds", "time_s")  # measures of which less is better


def on_data(study: Study, name: str, images: int, classes: int) -> Study:
    """The study on the data set `name` of so many training images and classes, with about as many training steps."""

    def moved(config: Config) -> Config:
        before = config.data.limit or catalog.DATASETS[config.data.name].train
        if study.per_class:  # as many steps as all images give
            before, wanted = images, config.data.limit * classes or images
        else:
            wanted = before
        steps = config.run.epochs * before // config.data.batch
        kept = min(wanted, int(images * (1 - config.data.holdout)))
        batch = min(config.data.batch, kept)
        data = replace(config.data, name=name, batch=batch, limit=kept if kept < images else 0)
        return replace(config, data=data, run=replace(config.run, epochs=max(1, round(steps / (kept // batch)))))

    return replace(study, variants=tuple(replace(variant, config=moved(variant.config)) for variant in study.variants))
