"""Recipes of generation."""

from __future__ import annotations

from dataclasses import replace

from gipi.config import AugmentConfig, Config, DataConfig, GanConfig, NetConfig, OptimConfig, RunConfig
from gipi.recipes.recipe import Recipe

_MNIST = Config(
    recipe="dcgan-mnist",
    kind="generate",
    net=NetConfig("dcgan", {"width": 32}),
    data=DataConfig("mnist", batch=64),
    optim=OptimConfig("adam", lr=2e-3, beta1=0.5, schedule="cosine", ema=0.999),
    gan=GanConfig(conditional=True),
    run=RunConfig(epochs=14),
)
_UNLABELLED = replace(_MNIST, recipe="dcgan-mnist-unlabelled", gan=GanConfig())
_FASHION = replace(_MNIST, recipe="dcgan-fashion", data=replace(_MNIST.data, name="fashion-mnist"))
_CIFAR10 = replace(
    _MNIST,
    recipe="dcgan-cifar10",
    net=NetConfig("dcgan", {"width": 64}),
    data=replace(_MNIST.data, name="cifar10", augment=AugmentConfig(shift_px=2)),
    run=RunConfig(epochs=100),
)
_DIGITS = replace(
    _MNIST,
    recipe="dcgan-digits",
    data=replace(_MNIST.data, name="digits", augment=AugmentConfig(shift_px=2)),
    run=RunConfig(epochs=200),
)
_SOURCE = "Radford, Metz and Chintala, arXiv 1511.06434; training: ours"

GENERATE = {
    "dcgan-mnist": Recipe(
        _MNIST,
        about="makes the handwritten digit that is asked for",
        source=_SOURCE,
        cost="2 CPU cores, about 8 minutes",
        accuracy=None,
    ),
    "dcgan-mnist-unlabelled": Recipe(
        _UNLABELLED,
        about="makes handwritten digits of noise; which is not said, in training or after",
        source=_SOURCE,
        cost="1 CPU core, about 13 minutes",
        accuracy=None,
    ),
    "dcgan-fashion": Recipe(
        _FASHION,
        about="makes the piece of clothing that is asked for",
        source=_SOURCE,
        cost="1 CPU core, about 13 minutes",
        accuracy=None,
    ),
    "dcgan-cifar10": Recipe(
        _CIFAR10,
        about="makes small pictures in colour of the class that is asked for",
        source=_SOURCE,
        cost="a GPU; 2 CPU cores, some hours",
        accuracy=None,
    ),
    "dcgan-digits": Recipe(
        _DIGITS,
        about="makes the handwritten digit that is asked for, from 1,317 alone; no network needed",
        source=_SOURCE,
        cost="2 CPU cores, about 5 minutes",
        accuracy=None,
    ),
    "generate": Recipe(
        replace(
            _CIFAR10,
            recipe="generate",
            data=replace(_CIFAR10.data, name="", holdout=0.0, augment=AugmentConfig(shift_px=8, brightness=0.2, contrast=0.2)),
            gan=GanConfig(),
            run=RunConfig(epochs=300),
        ),
        about="pictures like your own, of 64x64 pixels unless --data.size says otherwise; give --data FOLDER",
        source="Radford, Metz and Chintala, arXiv 1511.06434; for few pictures Zhao et al., arXiv 2006.10738; training: ours",
        cost="a GPU; 2 CPU cores, about an hour for 500 pictures",
        accuracy=None,
    ),
}
