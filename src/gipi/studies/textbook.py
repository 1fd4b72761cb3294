"""Claims of the textbook about depth, filters, data, tricks, update rules and initial weights.

All train on MNIST; where a variant must be chosen first (the learning rate of an update rule), validation images choose it.

Source of the claims: Saito, Deep Learning from Scratch, chapter 6 (update rules, initial weights) and sections 8.1 and 8.2.
"""

from __future__ import annotations

from dataclasses import replace

from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig
from gipi.recipes import RECIPES
from gipi.studies.plan import Claim, Study, Variant

_PLAIN = Config(
    net=NetConfig("convstack"),
    data=DataConfig("mnist", batch=100, holdout=0.0, limit=20_000),
    optim=OptimConfig("adam", lr=3e-3, schedule="one-cycle"),
    run=RunConfig(epochs=2),
)
DEPTHS = (2, 4, 6, 8, 10, 12)


def _stack(base: Config = _PLAIN, **args: bool | int | float | str) -> Config:
    return replace(base, net=NetConfig("convstack", args))


def _width(depth: int, like: tuple[int, int] = (12, 16)) -> int:
    """The width at which a stack of `depth` layers has about as many parameters as one of (depth, width) `like`."""

    def parameters(depth: int, width: int) -> int:
        return 9 * width + 9 * (depth - 1) * width**2 + 2 * depth * width + 490 * width + 10

    return min(range(1, 200), key=lambda width: abs(parameters(depth, width) - parameters(*like)))


_DEPTH = Study(
    about="does accuracy grow with the number of layers, at equal width and at equal parameters?",
    cost="2 CPU cores, about 20 minutes",
    x="convolution layers",
    variants=(
        *(Variant("16 channels", depth, _stack(depth=depth, width=16)) for depth in DEPTHS),
        *(Variant("34,000 parameters", depth, _stack(depth=depth, width=_width(depth))) for depth in DEPTHS),
    ),
    claims=(
        Claim("more layers of the same width read better", "16 channels, 12", "16 channels, 2"),
        Claim("most of the gain is not yet had with 4 layers", "16 channels, 12", "16 channels, 4"),
        Claim("the same number of parameters reads better in more layers", "34,000 parameters, 12", "34,000 parameters, 2"),
        Claim("and 6 layers read better than 4", "34,000 parameters, 6", "34,000 parameters, 4"),
    ),
)

_FILTERS = Study(
    about="one 7x7 or 5x5 layer against three or two 3x3 layers that see as much: parameters, multiply-adds, accuracy, time",
    cost="2 CPU cores, about 6 minutes",
    x="filters of a stage",
    variants=tuple(
        Variant("", name, _stack(depth=depth, width=16, kernel=kernel, stem=True))
        for name, depth, kernel in (("one 5x5", 3, 5), ("two 3x3", 6, 3), ("one 7x7", 3, 7), ("three 3x3", 9, 3))
    ),
    claims=tuple(
        Claim(f"{small} layers {what} than one {large[4:]} layer that sees as much", small, large, measure)
        for small, large in (("two 3x3", "one 5x5"), ("three 3x3", "one 7x7"))
        for measure, what in (
            ("parameters", "need fewer parameters"),
            ("multiply_adds", "need fewer multiply-adds"),
            ("accuracy", "read better"),
            ("time_s", "train faster"),
        )
    ),
)

_SHALLOW, _DEEP = "2 layers", "8 layers"
_SIZES = (100, 1_000, 10_000, 60_000)
_DATA = Study(
    about="does a deep net learn from less data than a shallow one of as many parameters?",
    cost="2 CPU cores, about 8 minutes",
    x="training images",
    log=True,
    variants=tuple(
        Variant(
            name,
            size,
            replace(
                _stack(depth=depth, width=_width(depth, (8, 12))),
                data=replace(_PLAIN.data, limit=size),
                run=RunConfig(epochs=60_000 // size),  # 600 steps each
            ),
        )
        for name, depth in ((_SHALLOW, 2), (_DEEP, 8))
        for size in _SIZES
    ),
    claims=tuple(
        Claim(f"with {size:,} training images the deep net reads better", f"{_DEEP}, {size}", f"{_SHALLOW}, {size}")
        for size in _SIZES
    ),
)

_BOOK = replace(
    RECIPES["deepconvnet-book"].config, data=DataConfig("mnist", batch=100, holdout=0.0, limit=5_000), run=RunConfig(epochs=8)
)


def _tricks() -> tuple[Variant, ...]:
    augmented = replace(_BOOK, data=replace(_BOOK.data, augment=AugmentConfig(rotate_deg=10, shift_px=2.5, scale=0.1)))
    decaying = OptimConfig("adam", lr=3e-3, schedule="one-cycle")
    averaged = OptimConfig("adam", lr=1e-3, ema=0.99)
    all_decay, all_ema = replace(augmented, optim=decaying), replace(augmented, optim=replace(decaying, ema=0.99))
    return (
        Variant("alone", "book", _BOOK),
        Variant("alone", "augmentation", augmented),
        Variant("alone", "decay", replace(_BOOK, optim=decaying)),
        Variant("alone", "EMA", replace(_BOOK, optim=averaged)),
        Variant("alone", "ensemble", _BOOK, ensemble=True),
        Variant("added up", "book", _BOOK),
        Variant("added up", "augmentation", augmented),
        Variant("added up", "decay", all_decay),
        Variant("added up", "EMA", all_ema),
        Variant("added up", "ensemble", all_ema, ensemble=True),
    )


_TRICKS = Study(
    about="augmentation, learning-rate decay, averaged weights and ensembles on the book's recipe, each alone and added up",
    cost="2 CPU cores, about 8 minutes",
    x="trick",
    variants=_tricks(),
    claims=(
        *(
            Claim(f"{trick} alone raises the accuracy", f"alone, {trick}", "alone, book")
            for trick in ("augmentation", "decay", "EMA", "ensemble")
        ),
        *(
            Claim(f"{trick} still raises it on top of the tricks before", f"added up, {trick}", f"added up, {before}")
            for before, trick in (("augmentation", "decay"), ("decay", "EMA"), ("EMA", "ensemble"))
        ),
        Claim("all together raise it", "added up, ensemble", "added up, book"),
    ),
)

_SHORT = replace(_PLAIN, data=DataConfig("mnist", batch=100, limit=10_000), optim=OptimConfig("adam", lr=3e-3))
_RULES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
_OPTIMIZERS = Study(
    about="which update rule learns fastest, and how much does its learning rate matter?",
    cost="2 CPU cores, about 5 minutes",
    x="learning rate",
    log=True,
    variants=tuple(
        Variant(rule, rate, replace(_SHORT, optim=OptimConfig(rule, lr=rate, weight_decay=0.01 if rule == "adamw" else 0.0)))
        for rule in _RULES
        for rate in (0.001, 0.01, 0.1)
    ),
    claims=(
        Claim("momentum learns faster than plain SGD", "momentum", "sgd"),
        Claim("AdaGrad learns faster than plain SGD", "adagrad", "sgd"),
        Claim("Adam learns faster than plain SGD", "adam", "sgd"),
        Claim("AdaGrad learns a little faster than momentum and Adam", "adagrad", "adam"),
    ),
)

_BARE = replace(_SHORT, optim=OptimConfig("momentum", lr=0.01), data=replace(_SHORT.data, holdout=0.0, limit=6_000))
_INITS: dict[str, str | float] = {"He": "he", "Xavier": "xavier", "std 0.01": 0.01, "std 0.1": 0.1}
_INITIALISATION = Study(
    about="initial weights after He, after Xavier and of one fixed spread, by depth; without batch norm",
    cost="2 CPU cores, about 6 minutes",
    x="convolution layers",
    variants=tuple(
        Variant(name, depth, _stack(_BARE, depth=depth, width=16, init=init, batch_norm=False))
        for name, init in _INITS.items()
        for depth in (2, 4, 8, 12)
    ),
    claims=(
        Claim("with ReLU, 12 layers learn better from He's initial weights than from Xavier's", "He, 12", "Xavier, 12"),
        Claim("with a fixed standard deviation of 0.01, 12 layers do not learn as with He's", "He, 12", "std 0.01, 12"),
        Claim("the deeper the net, the more the initial weights matter: 2 layers learn from 0.01 what 12 do not",
              "std 0.01, 2", "std 0.01, 12"),
    ),
    activations=tuple(f"{name}, 12" for name in _INITS),
)  # fmt: skip

TEXTBOOK = {
    "depth": _DEPTH,
    "filters": _FILTERS,
    "data": _DATA,
    "tricks": _TRICKS,
    "optimizers": _OPTIMIZERS,
    "initialisation": _INITIALISATION,
}
