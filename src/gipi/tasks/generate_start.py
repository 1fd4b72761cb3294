"""What the training of a generator begins with."""

from __future__ import annotations

from gipi import __version__, catalog
from gipi.config import Config
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError
from gipi.model import Card
from gipi.models.dcgan import Generator
from gipi.models.kinds import build_net
from gipi.preprocess import Preprocess


def check(config: Config) -> None:
    """Raises ConfigError for what generation has no use for, and for a net that does something else."""
    known = catalog.entry(catalog.NETS, config.net.name, "net")
    if known.kind != config.kind:
        fitting = ", ".join(name for name, net in catalog.NETS.items() if net.kind == config.kind)
        raise ConfigError(f"net {config.net.name!r} does {known.kind}, not {config.kind}; those that do: {fitting}")
    augment = config.data.augment
    for name, given, why in (
        ("from", config.transfer.weights, "a model holds no discriminator"),
        ("data.augment.mixup", augment.mixup, "it blends the labels of classifiers"),
        ("data.augment.cutmix", augment.cutmix, "it blends the labels of classifiers"),
        ("data.class-weights", config.data.class_weights != "none", "it is for segmentation"),
        ("data.least-count", config.data.least_count > 1, "it is for captioning"),
        ("optim.accumulate", config.optim.accumulate > 1, "the two nets share what is made of a batch"),
        ("compile", config.run.compile == "on", "these nets gain nothing by it"),
        ("shard", config.run.shard, "these nets fit into any memory"),
    ):
        if given:
            raise ConfigError(f"--{name} with a generator: {why}; leave it out")
    if config.data.batch < 2 * config.run.processes:
        raise ConfigError(f"data.batch {config.data.batch}: batch norm needs 2 images in each process, at least")
    if config.gan.loss == "hinge" and config.optim.label_smoothing:
        raise ConfigError("optim.label_smoothing is for --gan.loss non-saturating; the hinge has no labels: leave it 0")


def begin(config: Config, data: ImageSet, digest: dict[str, str]) -> tuple[Generator, Card]:
    """(generator, its card) for training on `data`. Raises ConfigError where net and images do not fit."""
    channels, side, _ = data.images.shape[1:]
    if config.gan.conditional and len(data.classes) < 2:
        raise ConfigError(f"--gan.conditional needs images of two classes or more, {data.name!r} has one: leave it out")
    args = {
        **config.net.args,
        "classes": len(data.classes),
        "channels": channels,
        "size": side,
        "conditional": config.gan.conditional,
    }
    net = build_net(config.net.name, args)
    card = Card(
        kind=config.kind,
        net=config.net.name,
        args=args,
        classes=data.classes,
        preprocess=Preprocess((channels, side, side), "resize", 0, (0.5,), (0.5,)),  # -1 to 1, as tanh gives
        recipe=config.recipe,
        data=digest,
        gipi=__version__,
    )
    return net, card  # pyright: ignore[reportReturnType]
