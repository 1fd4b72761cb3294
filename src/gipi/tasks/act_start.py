"""What the training of a player begins with."""

from __future__ import annotations

from gipi import __version__, catalog
from gipi.config import AugmentConfig, Config, DataConfig
from gipi.envs.env import Envs
from gipi.errors import ConfigError
from gipi.model import Card
from gipi.models.dqn import DQN
from gipi.models.kinds import build_net
from gipi.preprocess import Preprocess


def check(config: Config) -> None:
    """Raises ConfigError for what playing has no use for, and for a net that does something else."""
    known = catalog.entry(catalog.NETS, config.net.name, "net")
    if known.kind != config.kind:
        fitting = ", ".join(name for name, net in catalog.NETS.items() if net.kind == config.kind)
        raise ConfigError(f"net {config.net.name!r} does {known.kind}, not {config.kind}; those that do: {fitting}")
    data, run = config.data, config.run
    for name in ("size", "broken", "holdout", "limit", "class_weights", "least_count"):
        if getattr(data, name) != getattr(DataConfig(), name):
            raise ConfigError(f"--data.{name.replace('_', '-')} is for images, a player sees what it plays: leave it out")
    for name, given, why in (
        ("from", config.transfer.weights, "players begin with fresh weights"),
        ("data.augment", data.augment != AugmentConfig(), "what is seen is learnt as it is"),
        ("optim.label-smoothing", config.optim.label_smoothing, "values have no labels"),
        ("optim.accumulate", config.optim.accumulate > 1, "these batches are small"),
        ("optim.ema", config.optim.ema, "the target net is what keeps it steady"),
        ("compile", run.compile == "on", "these nets gain nothing by it"),
        ("processes", run.processes > 1, "one process plays and learns, with --act.envs environments"),
        ("resident", run.resident != "auto", "what was played lies in the run folder, mapped into memory"),
    ):
        if given:
            raise ConfigError(f"--{name} with a player: {why}; leave it out")


def updates(config: Config) -> tuple[int, int]:
    """(of the whole training, of an epoch). Raises ConfigError if an epoch has none."""
    act = config.act
    total = (act.steps - act.warmup) // act.every
    if total < config.run.epochs:
        raise ConfigError(
            f"act.steps {act.steps:,} less act.warmup {act.warmup:,}, one update every {act.every}: {total:,} updates are too "
            f"few for {config.run.epochs} epochs; lower --epochs, or raise --act.steps"
        )
    return total, total // config.run.epochs


def begin(config: Config, envs: Envs) -> tuple[DQN, Card]:
    """(net, its card) for playing `envs`. Raises ConfigError where net and environment do not fit."""
    channels, height, width = envs.frame
    image = (channels * config.act.history, height, width)
    if envs.pixels == (config.net.name == "dqn-mlp"):
        fitting = "dqn or, below 48 pixels, dqn-small" if envs.pixels else "dqn-mlp"
        what = f"pictures of {height}x{width}" if envs.pixels else f"{channels} numbers"
        raise ConfigError(f"{envs.name} shows {what}, which are not for net {config.net.name!r}: use --net {fitting}")
    args = {
        **config.net.args,
        "actions": len(envs.actions),
        "channels": image[0],
        "height": height,
        "width": width,
        "duel": config.act.duel,
    }
    net = build_net(config.net.name, args)
    card = Card(
        kind=config.kind,
        net=config.net.name,
        args=args,
        classes=envs.actions,
        preprocess=Preprocess(image, "resize", std=(1 / 255,)),  # pixels as they are
        recipe=config.recipe,
        gipi=__version__,
        environment=envs.name,
        discount=config.act.discount,
        clip_reward=config.act.clip_reward,
    )
    return net, card  # pyright: ignore[reportReturnType]
