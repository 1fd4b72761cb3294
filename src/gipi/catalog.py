"""Every net, data set and kind by name: where its code is and the published facts about it.

A name is found in a literal table; importing a file changes nothing. Adding a net or a data set is one file and one line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from gipi.errors import ConfigError, nearest


@dataclass(frozen=True)
class Net:
    """factory: "module:function".  input: channels, height, width.  multiply_adds: convolutions and affine layers, one image."""

    factory: str
    kind: str
    title: str
    source: str
    year: int
    input: tuple[int, int, int]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Dataset:
    """factory: "module:function" of a split's name.  image: channels, height, width.

    framing: how a picture from outside is made like this set's images; "digit" finds and centres one, "resize" only scales.
    """

    factory: str
    kind: str
    about: str
    image: tuple[int, int, int]
    train: int
    test: int
    framing: Literal["digit", "resize"]


@dataclass(frozen=True)
class Kind:
    factory: str
    about: str


@dataclass(frozen=True)
class Shipped:
    """A model of ours that comes with the package, as weights/NAME.safetensors."""

    recipe: str
    about: str


KINDS = {
    "classify": Kind("gipi.tasks.classify:Classify", "one label for an image"),
}

NETS = {
    "deepconvnet": Net(
        factory="gipi.models.deepconvnet:deepconvnet",
        kind="classify",
        title="DeepConvNet",
        source="Saito, Deep Learning from Scratch, chapter 8",
        year=2016,
        input=(1, 28, 28),
        parameters=123_552,
        multiply_adds=8_772_340,
    ),
    "digitnet": Net(
        factory="gipi.models.convstack:digitnet",
        kind="classify",
        title="DigitNet",
        source="ours, after VGG",
        year=2026,
        input=(1, 28, 28),
        parameters=161_386,
        multiply_adds=13_498_304,
    ),
    "digitnet-tiny": Net(
        factory="gipi.models.convstack:digitnet_tiny",
        kind="classify",
        title="DigitNet, tiny",
        source="ours, after VGG",
        year=2026,
        input=(1, 28, 28),
        parameters=6_866,
        multiply_adds=975_496,
    ),
    "convstack": Net(
        factory="gipi.models.convstack:convstack",
        kind="classify",
        title="plain convolutions, for studies",
        source="ours, after VGG",
        year=2026,
        input=(1, 28, 28),
        parameters=15_034,
        multiply_adds=798_112,
    ),
}

DATASETS = {
    "mnist": Dataset("gipi.data.mnist:mnist", "classify", "handwritten digits", (1, 28, 28), 60_000, 10_000, "digit"),
    "fashion-mnist": Dataset("gipi.data.mnist:fashion_mnist", "classify", "ten kinds of clothing", (1, 28, 28), 60_000, 10_000, "resize"),
    "digits": Dataset("gipi.data.digits:digits", "classify", "handwritten digits, embedded: needs no network", (1, 28, 28), 1_437, 360, "digit"),
}  # fmt: skip

SHIPPED = {
    "deepconvnet-mnist": Shipped("deepconvnet-mnist", "reads a handwritten digit"),
    "digitnet-mnist": Shipped("digitnet-mnist", "reads a handwritten digit, by another net"),
    "digitnet-tiny-mnist": Shipped("digitnet-tiny-mnist", "reads a handwritten digit with 6,866 weights"),
}

E = TypeVar("E")


def entry(table: Mapping[str, E], name: str, what: str) -> E:
    """The entry of that name. Raises ConfigError naming the nearest: `what` is said of it ("net", "data set", ...)."""
    if name not in table:
        raise ConfigError(f"no {what} {name!r}{nearest(name, table)}")
    return table[name]


def resolve(factory: str) -> Any:
    """What "module:name" stands for, its module imported now."""
    module, _, name = factory.partition(":")
    return getattr(importlib.import_module(module), name)
