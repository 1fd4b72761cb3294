"""What a training begins with: fresh weights, or those of a net that was trained before, with a new head for other classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gipi import __version__, catalog
from gipi.config import Config, NetConfig
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, nearest
from gipi.model import Card, fit_weights
from gipi.models.kinds import build_net
from gipi.preprocess import Preprocess
from gipi.tasks.pretrained import adapt_channels, for_channels, pretrained

MARGIN = 8 / 7  # shorter side of a picture over the side of what the net is fed: 256 to 224


@dataclass(frozen=True)
class Start:
    """weights, parent: those to begin with and what they are; None: the net's own random ones."""

    config: Config
    weights: dict[str, Tensor] | None
    parent: Card | None

    @property
    def side(self) -> int:
        """Height and width of what the net is fed of pictures of any size."""
        parent = self.parent.image[1] if self.parent and self.parent.preprocess.framing == "crop" else 0
        return self.config.data.size or parent or catalog.entry(catalog.NETS, self.config.net.name, "net").input[1]

    @property
    def short(self) -> int:
        """To how many pixels the shorter side of a picture is brought before a part of it is fed to the net."""
        if self.parent and self.parent.preprocess.framing == "crop" and self.parent.image[1] == self.side:
            return self.parent.preprocess.short
        return round(self.side * MARGIN)

    def build(self, data: ImageSet, digest: dict[str, str]) -> tuple[nn.Module, Card]:
        """(net, card) for training on `data`. Raises ConfigError or WeightsError where net, weights and images do not fit."""
        config, (channels, *size) = self.config, data.images.shape[1:]
        pictures = data.framing == "crop"
        if config.data.size and not pictures:
            raise ConfigError(
                f"data.size {config.data.size} is for folders of pictures; those of {data.name!r} have a size: leave it 0"
            )
        image = (channels, self.side, self.side) if pictures else (channels, size[0], size[1])
        _check(config, image, data.name)
        args = {**config.net.args, "classes": len(data.classes), "channels": channels}
        if self.weights is None or self.parent is None:
            net = build_net(config.net.name, args)
            how = Preprocess(image, data.framing, self.short if pictures else 0, data.mean, data.std)
        else:
            before = self.parent
            net = build_net(config.net.name, {**args, "classes": len(before.classes)})
            fit_weights(net, adapt_channels(self.weights, net), config.transfer.weights)
            if before.classes != data.classes:
                net.new_head(len(data.classes))  # pyright: ignore[reportCallIssue]
            means, stds = (for_channels(numbers, channels) for numbers in (before.preprocess.mean, before.preprocess.std))
            how = Preprocess(image, data.framing, self.short if pictures else 0, means, stds)
        if image != catalog.NETS[config.net.name].input:
            _try(net, image, config.net.name)
        card = Card(
            kind=config.kind,
            net=config.net.name,
            args=args,
            classes=data.classes,
            preprocess=how,
            recipe=config.recipe,
            data=digest,
            parents=(config.transfer.weights,) if self.parent else (),
            gipi=__version__,
        )
        return net, card


def start(config: Config) -> Start:
    """What the training of a classifier begins with. Raises ConfigError for other kinds, WeightsError for no weights."""
    if config.kind != "classify":
        raise ConfigError(f"this is for classifiers, but recipe {config.recipe!r} does {config.kind}")
    if not config.transfer.weights:
        return Start(config, None, None)
    weights, card = pretrained(config.transfer.weights, config.net.name)
    return Start(replace(config, net=_net_of(card)), weights, card)


def resolve(config: Config) -> Config:
    """The configuration of a classifier with the net of the weights that it starts from; of another kind as it is."""
    return start(config).config if config.kind == "classify" else config


def _net_of(card: Card) -> NetConfig:
    return NetConfig(card.net, {name: value for name, value in card.args.items() if name not in ("classes", "channels")})


def _check(config: Config, image: tuple[int, int, int], data: str) -> None:
    net = catalog.entry(catalog.NETS, config.net.name, "net")
    if net.kind != config.kind:
        raise ConfigError(f"net {config.net.name!r} does {net.kind}, not {config.kind}{nearest(config.kind, catalog.KINDS)}")
    if not net.any_size and image[1:] != net.input[1:]:
        raise ConfigError(
            f"net {config.net.name!r} takes images of {net.input[1]}x{net.input[2]}, {data!r} has {image[1]}x{image[2]}"
        )


def _try(net: nn.Module, image: tuple[int, int, int], name: str) -> None:
    """Whether the net takes images of that size, which is not its usual one."""
    training = net.training
    try:
        with torch.inference_mode():
            net.eval()(torch.zeros(1, *image))
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"net {name!r} does not take images of {image[1]}x{image[2]}: {error}") from error
    finally:
        net.train(training)
