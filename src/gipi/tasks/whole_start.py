"""What the training of a segmentation net begins with: fresh weights, those of a classifier made convolutional, or another's."""

from __future__ import annotations

import torch
from torch import nn

from gipi import __version__, catalog
from gipi.config import Config
from gipi.data.masks import MaskSet
from gipi.errors import ConfigError, WeightsError
from gipi.model import Card, fit_weights
from gipi.models.kinds import build_net
from gipi.preprocess import Preprocess
from gipi.tasks.pretrained import pretrained


def check(config: Config) -> None:
    """Raises ConfigError for what a segmentation has no use for, and for a net that does something else."""
    known = catalog.entry(catalog.NETS, config.net.name, "net")
    if known.kind != "segment":
        fitting = ", ".join(name for name, net in catalog.NETS.items() if net.kind == "segment")
        raise ConfigError(f"net {config.net.name!r} does {known.kind}, not segment; those that do: {fitting}")
    for name, given in (
        ("members", config.run.members > 1),
        ("transfer.frozen", config.transfer.frozen > 0),
        ("data.augment.mixup", config.data.augment.mixup > 0),
        ("data.augment.cutmix", config.data.augment.cutmix > 0),
    ):
        if given:
            raise ConfigError(f"--{name} is for classifiers, {config.recipe or config.net.name!r} is segmentation: leave it out")


def begin(config: Config, data: MaskSet, digest: dict[str, str]) -> tuple[nn.Module, Card]:
    """(net, card) for training on `data`. Raises ConfigError or WeightsError where net, weights and images do not fit.

    `transfer.weights` may be a classifier's: those of the net's own backbone, such as VGG-16 for FCN; its last layer is taken
    over where there are as many classes. Or a segmentation model's of the same net and classes, to train it further.
    """
    args = {**config.net.args, "classes": len(data.classes), "channels": 3}
    net = build_net(config.net.name, args)
    height, width = data.images.shape[2:]
    mean, std, parents = data.mean, data.std, ()
    if source := config.transfer.weights:
        mean, std = _start_from(net, source, config.net.name, data)
        parents = (source,)
    if min(height, width) < net.stride:  # pyright: ignore[reportOperatorIssue]
        raise ConfigError(
            f"images of {data.name!r} have {height}x{width} pixels, smaller than the stride {net.stride} of {config.net.name!r}: "
            "give a larger --data.size"
        )
    card = Card(
        kind="segment",
        net=config.net.name,
        args=args,
        classes=data.classes,
        preprocess=Preprocess((3, height, width), "whole", min(height, width), mean, std),
        recipe=config.recipe,
        data=digest,
        parents=parents,
        gipi=__version__,
        colours=data.colours,
    )
    return net, card


def _start_from(net: nn.Module, source: str, name: str, data: MaskSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Load what weights of `source` fit into the net. (mean, std) of the pixels that they are used to."""
    weights, card = pretrained(source, str(net.backbone) or name)
    if card.kind == "segment":
        if card.net != name or card.classes != data.classes:
            raise ConfigError(
                f"{source} is {card.net} for {', '.join(card.classes)}; this training is {name} for {', '.join(data.classes)}"
            )
        fit_weights(net, weights, source)
    else:
        if card.net != net.backbone:
            raise ConfigError(f"{source} is {card.net}; {name!r} starts from {net.backbone or 'no classifier'}")
        try:
            taken = net.from_classifier(weights)  # pyright: ignore[reportCallIssue]
        except ValueError as error:
            raise WeightsError(f"{source} does not fit {name!r}: {error}") from error
        with torch.no_grad():
            net.load_state_dict(taken)
    return card.preprocess.mean, card.preprocess.std
