"""What the options of a DQN are worth: each alone beside the plain one, and all together, in two small games.

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
        steps=16_000,
        history=1,
        replay=60_000,
        warmup=2_000,
        target=250,
        explore=8_000,
        epsilon=0.05,
        episodes=100,
        test_epsilon=0.0,
    ),
    run=RunConfig(epochs=1),
)
_SNAKE = replace(
    _CATCH,
    data=replace(_CATCH.data, name="snake"),
    act=replace(_CATCH.act, steps=40_000, history=2, explore=15_000, target=500, episodes=50),
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
    about="what betters a DQN: double, duelling, n-step returns, prioritised replay, all together; in two small games",
    cost="2 CPU cores, about 25 minutes",
    x="option",
    scores=("return", "drift"),
    variants=tuple(
        Variant(game, option, _with(config, options))
        for game, config in (("catch", _CATCH), ("snake", _SNAKE))
        for option, options in _OPTIONS.items()
    ),
    claims=tuple(
        Claim(text, f"{game}, {better}", f"{game}, {worse}", measure)
        for game in ("catch", "snake")
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
