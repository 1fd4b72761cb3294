"""Recipes of playing."""

from __future__ import annotations

from dataclasses import replace

from gipi.config import ActConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig
from gipi.recipes.recipe import Recipe

_CATCH = Config(
    recipe="dqn-catch",
    kind="act",
    net=NetConfig("dqn-small"),
    data=DataConfig("catch", batch=32),
    optim=OptimConfig("adam", lr=1e-3, schedule="cosine"),
    act=ActConfig(
        steps=30_000,
        history=1,
        double=True,
        n_step=3,
        replay=30_000,
        warmup=1_000,
        target=100,
        explore=10_000,
        epsilon=0.05,
        episodes=300,
        test_epsilon=0.0,
    ),
    run=RunConfig(epochs=5),
)
_SNAKE = replace(
    _CATCH,
    recipe="dqn-snake",
    data=replace(_CATCH.data, name="snake"),
    act=replace(
        _CATCH.act,
        steps=400_000,
        history=2,
        replay=200_000,
        warmup=5_000,
        target=500,
        explore=100_000,
        epsilon=0.02,
        episodes=100,
    ),
    run=RunConfig(epochs=10),
)
_CARTPOLE = Config(
    recipe="dqn-cartpole",
    kind="act",
    net=NetConfig("dqn-mlp"),
    data=DataConfig("CartPole-v1", batch=64),
    optim=OptimConfig("adam", lr=1.5e-3, schedule="cosine", final=0.1),
    act=ActConfig(
        steps=50_000,
        envs=4,
        history=1,
        double=True,
        duel=True,
        n_step=3,
        replay=50_000,
        warmup=1_000,
        every=1,
        target=200,
        explore=10_000,
        epsilon=0.04,
        clip_reward=False,
        episodes=100,
        test_epsilon=0.0,
    ),
    run=RunConfig(epochs=10),
)
_PONG = Config(
    recipe="dqn-pong",
    kind="act",
    net=NetConfig("dqn"),
    data=DataConfig("PongNoFrameskip-v4", batch=64),
    optim=OptimConfig("adam", lr=2.5e-4, schedule="cosine", final=0.1),
    act=ActConfig(steps=800_000, n_step=3, replay=500_000, warmup=10_000, every=8, target=250, explore=60_000, epsilon=0.01),
    run=RunConfig(epochs=16),
)
_BREAKOUT = replace(
    _PONG,
    recipe="dqn-breakout",
    data=DataConfig("BreakoutNoFrameskip-v4", batch=32),
    optim=OptimConfig("adam", lr=1e-4),
    act=replace(
        _PONG.act, steps=10_000_000, double=True, replay=1_000_000, warmup=50_000, every=4, target=2_000, explore=1_000_000
    ),
    run=RunConfig(epochs=350),
)
_SOURCE = "Mnih et al., Nature 518, 2015"

ACT = {
    "dqn-catch": Recipe(
        _CATCH,
        about="catches a falling ball, from pixels; no network needed",
        source=f"after {_SOURCE}; the game: ours",
        cost="1 CPU core, about a minute",
        accuracy=None,
    ),
    "dqn-snake": Recipe(
        _SNAKE,
        about="eats and grows without biting itself, from pixels; no network needed",
        source=f"after {_SOURCE}; the game: ours",
        cost="2 CPU cores, not measured",
        accuracy=None,
    ),
    "dqn-cartpole": Recipe(
        _CARTPOLE,
        about="balances a pole on a cart, from four numbers",
        source=f"after {_SOURCE}; double, van Hasselt et al., arXiv 1509.06461; n-step, Hessel et al., arXiv 1710.02298",
        cost="1 CPU core, about 2 minutes",
        accuracy=None,
    ),
    "dqn-pong": Recipe(
        _PONG,
        about="wins at Pong, from pixels; needs gipi[atari]",
        source=f"{_SOURCE}; n-step, Hessel et al., arXiv 1710.02298",
        cost="1 CPU core with AMX, about 90 minutes",
        accuracy=None,
    ),
    "dqn-breakout": Recipe(
        _BREAKOUT,
        about="plays Breakout, from pixels; needs gipi[atari]",
        source=f"{_SOURCE}; double, van Hasselt et al., arXiv 1509.06461; n-step, Hessel et al., arXiv 1710.02298",
        cost="a GPU, some hours",
        accuracy=None,
    ),
    "dqn": Recipe(
        Config(
            recipe="dqn",
            kind="act",
            net=NetConfig("dqn"),
            data=DataConfig("", batch=32),
            optim=OptimConfig("rmsprop", lr=2.5e-4),
            act=ActConfig(steps=10_000_000, envs=1),
            run=RunConfig(epochs=350),
        ),
        about="any environment of gymnasium with a few actions to choose from, by the values of the source; give --data NAME",
        source=_SOURCE,
        cost="a GPU, some days",
        accuracy=None,
    ),
}
