"""Complete named configurations. `gipi train NAME` runs one; flags replace single values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gipi import catalog
from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig


@dataclass(frozen=True)
class Recipe:
    """cost: where and how long.  accuracy: mean test accuracy of 5 seeds in percent, as measured; None: not yet."""

    config: Config
    about: str
    source: str
    cost: str
    accuracy: float | None


_LIGHT_AFFINE = AugmentConfig(rotate_deg=10, shift_px=2.5, scale=0.1)

_MNIST = Config(
    recipe="deepconvnet-mnist",
    net=NetConfig("deepconvnet", {"last_dropout": 0.0}),
    data=DataConfig("mnist", batch=100, augment=_LIGHT_AFFINE),
    optim=OptimConfig("adam", lr=3e-3, schedule="one-cycle"),
    run=RunConfig(epochs=6),
)

_BEST = Config(
    recipe="deepconvnet-best",
    net=NetConfig("deepconvnet", {"last_dropout": 0.0}),
    data=DataConfig(
        "mnist",
        batch=100,
        holdout=0.0,
        augment=AugmentConfig(rotate_deg=10, shift_px=2.5, scale=0.1, shear_deg=10, elastic_px=2),
    ),
    optim=OptimConfig("adamw", lr=3e-3, weight_decay=0.01, schedule="one-cycle", ema=0.999),
    run=RunConfig(epochs=10),
)

RECIPES = {
    "deepconvnet-mnist": Recipe(
        _MNIST,
        about="reads handwritten digits better than the textbook, in a minute or two",
        source="net: Saito, Deep Learning from Scratch, chapter 8; training: ours",
        cost="2 CPU cores, about 2 minutes",
        accuracy=99.5,
    ),
    "deepconvnet-book": Recipe(
        Config(
            recipe="deepconvnet-book",
            net=NetConfig("deepconvnet", {"last_dropout": 0.5}),
            data=DataConfig("mnist", batch=100, holdout=0),
            optim=OptimConfig("adam", lr=1e-3),
            run=RunConfig(epochs=20),
        ),
        about="the textbook's own training: no augmentation, constant learning rate",
        source="Saito, Deep Learning from Scratch, chapter 8: 99.38 % in the text",
        cost="2 CPU cores, about 7 minutes",
        accuracy=99.34,
    ),
    "deepconvnet-fast": Recipe(
        replace(_MNIST, recipe="deepconvnet-fast", data=replace(_MNIST.data, holdout=0.0), run=RunConfig(epochs=4)),
        about="the shortest way past 99.38 %: trains on all 60,000 images, validates on none",
        source="net: Saito, Deep Learning from Scratch, chapter 8; training: ours",
        cost="2 CPU cores, about 1 minute",
        accuracy=None,
    ),
    "deepconvnet-best": Recipe(
        _BEST,
        about="the textbook's net trained as well as we can: more augmentation, averaged weights; train several as an ensemble",
        source="net: Saito, Deep Learning from Scratch, chapter 8; training: ours",
        cost="2 CPU cores, about 10 minutes",
        accuracy=99.55,
    ),
    "digitnet-mnist": Recipe(
        replace(
            _BEST,
            recipe="digitnet-mnist",
            net=NetConfig("digitnet"),
            data=replace(_BEST.data, augment=replace(_BEST.data.augment, elastic_px=3)),
            optim=replace(_BEST.optim, weight_decay=0.05),
            run=RunConfig(epochs=5),
        ),
        about="our own net with batch norm, after VGG, on strong augmentation",
        source="ours",
        cost="2 CPU cores, about 10 minutes",
        accuracy=99.51,
    ),
    "digitnet-tiny-mnist": Recipe(
        replace(
            _BEST,
            recipe="digitnet-tiny-mnist",
            net=NetConfig("digitnet-tiny"),
            data=replace(_BEST.data, augment=AugmentConfig(rotate_deg=8, shift_px=1.5, scale=0.1, shear_deg=5)),
            optim=OptimConfig("adamw", lr=1e-2, weight_decay=0.001, schedule="one-cycle", ema=0.999),
            run=RunConfig(epochs=20),
        ),
        about="reads digits as well as the textbook's recipe with an eighteenth of its weights",
        source="ours",
        cost="2 CPU cores, about 3 minutes",
        accuracy=99.35,
    ),
    "digitnet-fashion": Recipe(
        replace(
            _BEST,
            recipe="digitnet-fashion",
            net=NetConfig("digitnet"),
            data=replace(_BEST.data, name="fashion-mnist", augment=AugmentConfig(shift_px=2, scale=0.1, flip=0.5, erase=0.25)),
            optim=replace(_BEST.optim, weight_decay=0.05),
            run=RunConfig(epochs=5),
        ),
        about="tells ten kinds of clothing apart",
        source="ours",
        cost="2 CPU cores, about 10 minutes",
        accuracy=None,
    ),
    "deepconvnet-digits": Recipe(
        replace(
            _MNIST,
            recipe="deepconvnet-digits",
            data=DataConfig("digits", batch=50, augment=_LIGHT_AFFINE),
            run=RunConfig(epochs=40),
        ),
        about="the same on 1,797 small digits that come with the package: no network needed",
        source="net: Saito, Deep Learning from Scratch, chapter 8; training: ours",
        cost="2 CPU cores, about 20 seconds",
        accuracy=99.56,
    ),
}

DEFAULT = "deepconvnet-mnist"
OFFLINE = "deepconvnet-digits"


def overview() -> dict[str, dict[str, str]]:
    """What there is, each with a line about it: recipes, shipped models, nets, data sets."""
    return {
        "recipes": {name: f"{recipe.about}; {recipe.cost}" for name, recipe in RECIPES.items()},
        "models": {name: model.about for name, model in catalog.SHIPPED.items()},
        "nets": {name: f"{net.title}, {net.year}, {net.parameters:,} parameters" for name, net in catalog.NETS.items()},
        "data": {name: f"{data.about}; {data.train:,} + {data.test:,} images" for name, data in catalog.DATASETS.items()},
    }
