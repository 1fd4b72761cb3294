"""What the options of a DQN are worth: each alone beside the plain one, and all together, at catch and CartPole.

Sources of the claims: double, van Hasselt et al., arXiv 1509.06461; duelling, Wang et al., arXiv 1511.06581; n-step returns and
all together, Hessel et al., arXiv 1710.02298; prioritised replay, Schaul et al., arXiv 1511.05952.
"""

from __future__ import annotations

from dataclasses import replace

from gipi.config import ActConfig, Config, DataConfig, NetConfig, OptimConfig, RunConfig
from gipi.studies.plan import Claim, Study, Variant

_CATCH = Config(
    kind="act",
    net=NetConfig("dqn-small"),
    data=DataConfig("catch", batch=32),
    optim=OptimConfig("adam", lr=5e-4),
    act=ActConfig(
        steps=6_000,
        history=1,
        replay=40_000,
        warmup=1_000,
        target=250,
        explore=3_000,
        epsilon=0.05,
        episodes=100,
        test_epsilon=0.0,
    ),
    run=RunConfig(epochs=1),
)
_CARTPOLE = Config(
    kind="act",
    net=NetConfig("dqn-mlp"),
    data=DataConfig("CartPole-v1", batch=64),
    optim=OptimConfig("adam", lr=1e-3),
    act=ActConfig(
        steps=20_000,
        envs=4,
        history=1,
        replay=50_000,
        warmup=1_000,
        every=2,
        target=128,
        explore=8_000,
        epsilon=0.04,
        clip_reward=False,
        episodes=50,
        test_epsilon=0.0,
    ),
    run=RunConfig(epochs=1),
)
_OPTIONS: dict[str, dict[str, bool | int]] = {
    "plain": {},
    "double": {"double": True},
    "duel": {"duel": True},
    "3-step": {"n_step": 3},
    "prioritised": {"prioritised": True},
    "all": {"double": True, "duel": True, "n_step": 3, "prioritised": True},
}


def _with(config: Config, options: dict[str, bool | int]) -> Config:
    return replace(config, act=replace(config.act, **options))


DQN = Study(
    about="what betters a DQN: double, duelling, n-step returns, prioritised replay, all together; at catch and CartPole",
    cost="2 CPU cores, about 15 minutes",
    x="option",
    scores=("return", "drift"),
    seeds=5,
    variants=tuple(
        Variant(game, option, _with(config, options))
        for game, config in (("catch", _CATCH), ("CartPole-v1", _CARTPOLE))
        for option, options in _OPTIONS.items()
    ),
    claims=tuple(
        Claim(text, f"{game}, {better}", f"{game}, {worse}", measure)
        for game in ("catch", "CartPole-v1")
        for text, better, worse, measure in (
            (f"at {game} double DQN promises less that does not come true", "double", "plain", "drift"),
            (f"at {game} double DQN plays better", "double", "plain", "return"),
            (f"at {game} a duelling net plays better", "duel", "plain", "return"),
            (f"at {game} returns of three steps are learnt from faster", "3-step", "plain", "return"),
            (f"at {game} prioritised replay is learnt from faster", "prioritised", "plain", "return"),
            (f"at {game} all together are better than returns of three steps alone", "all", "3-step", "return"),
        )
    ),
)
