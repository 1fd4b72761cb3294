"""How a player is trained by deep Q-learning.

Source: Mnih et al., Nature 518, 2015, Extended Data Table 1, whose values are the defaults; there, one environment is played.
Options: double, van Hasselt et al., arXiv 1509.06461; duel, Wang et al., arXiv 1511.06581; n-step returns, as in Hessel et al.,
arXiv 1710.02298; prioritised replay, Schaul et al., arXiv 1511.05952.
"""

from __future__ import annotations

from dataclasses import dataclass

from gipi.config.checks import within
from gipi.errors import ConfigError


@dataclass(frozen=True)
class ActConfig:
    """Of playing: how much is played, what is kept of it and how it is learnt from. A decision is what an environment is asked
    for once; of Atari it lasts four frames."""

    steps: int = 1_000_000
    """decisions of the whole training, in all environments together"""
    envs: int = 8
    """environments that are played at once; one, in the source"""
    history: int = 4
    """frames that the net sees at once"""
    double: bool = False
    """double DQN: the net chooses the following action, the target net values it"""
    duel: bool = False
    """duelling net: the value of what is seen and the advantage of each action are told apart"""
    n_step: int = 1
    """rewards that are seen before the target net values the rest"""
    prioritised: bool = False
    """learn more often from what was foreseen badly"""
    discount: float = 0.99
    """what a reward of the next decision is worth now"""
    replay: int = 1_000_000
    """transitions that are kept to learn from"""
    warmup: int = 50_000
    """decisions played at random before learning begins"""
    every: int = 4
    """decisions from one update to the next"""
    target: int = 10_000
    """updates after which the target net is made equal to the net"""
    explore: int = 1_000_000
    """decisions in which the share of random ones falls from 1 to epsilon"""
    epsilon: float = 0.1
    """share of random decisions after that"""
    clip_reward: bool = True
    """learn from the signs of rewards, so that games of any scale are learnt alike"""
    episodes: int = 30
    """episodes of the test; a third as many, and others, after each epoch"""
    test_epsilon: float = 0.05
    """share of random decisions in these"""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("steps", 1, 10**10), ("envs", 1, 1024), ("history", 1, 64), ("n_step", 1, 100), ("discount", 0, 1),
            ("replay", 100, 10**9), ("warmup", 1, 10**9), ("every", 1, 1_000_000), ("target", 1, 10**9),
            ("explore", 1, 10**10), ("epsilon", 0, 1), ("episodes", 1, 100_000), ("test_epsilon", 0, 1),
        ):  # fmt: skip
            within(f"act.{name}", getattr(self, name), low, high)
        if self.warmup >= self.steps:
            raise ConfigError(f"act.warmup is {self.warmup:,} of act.steps {self.steps:,}: nothing is left to learn in")
        if self.warmup < (least := self.envs * (self.history + self.n_step + 2)):
            raise ConfigError(f"act.warmup is {self.warmup:,}: {self.envs} environments need {least:,} to learn from, at least")
        if self.replay < (least := self.envs * (self.history + self.n_step + 2)):
            raise ConfigError(f"act.replay is {self.replay:,}: {self.envs} environments need {least:,}, at least")
