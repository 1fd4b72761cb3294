"""Players that have learnt nothing, of nets whose weights are always the same."""

from __future__ import annotations

import torch

from gipi.envs.find import open_envs
from gipi.model import Card
from gipi.models.kinds import build_net
from gipi.preprocess import Preprocess
from gipi.tasks.player import Player
from gipi.tasks.trained import ALONE

HISTORY = {"dqn-small": 4, "dqn-mlp": 1}


def gamer(environment: str = "catch", net: str = "dqn-small") -> Player:
    """It prefers now one action, now another."""
    envs = open_envs(environment, 1)
    envs.close()
    channels, height, width = envs.frame
    channels *= HISTORY[net]
    args = {"actions": len(envs.actions), "channels": channels, "height": height, "width": width}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        built = build_net(net, args)
        for parameter in built.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=2 / parameter.shape[1] ** 0.5)
    preprocess = Preprocess((channels, height, width), "resize", std=(1 / 255,))
    return Player(built, Card("act", net, args, envs.actions, preprocess, environment=environment), ALONE)
