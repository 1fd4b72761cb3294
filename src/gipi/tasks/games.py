"""What was played: episodes with what came of them, and the moments of a game."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from torch import Tensor

from gipi import showing
from gipi.envs.played import Episode, Played
from gipi.ops.metrics import Mean, Metrics, values


class Moment(NamedTuple):
    """picture, after: (h, w, 3) uint8, what a person sees before the decision and after it.  stacked: (1, c, h, w), what the net
    sees.  values: (actions,).  action: what is done then.  chance: whether it was drawn at random.  reward: what it brought.
    total: of all rewards with it.
    """

    picture: np.ndarray
    after: np.ndarray
    stacked: Tensor
    values: Tensor
    action: int
    chance: bool
    reward: float
    total: float
    step: int


@dataclass(frozen=True)
class Games:
    """episodes: in the order of their seeds.  predicted, realised: over all states, the mean of the highest value, and of the
    discounted (clipped) return that followed, which counts the last value where a time limit cut it; nan of random play.
    """

    episodes: Sequence[Episode] = field(repr=False)
    predicted: float
    realised: float

    @property
    def returns(self) -> list[float]:
        return [episode.reward for episode in self.episodes]

    @property
    def lengths(self) -> list[int]:
        return [episode.length for episode in self.episodes]

    @property
    def metrics(self) -> Metrics:
        """return: mean, the headline; spread: standard deviation over the episodes; length in decisions; and so on.

        drift: predicted less realised. Random play foresees nothing, so it has none of these.
        """
        count = len(self.episodes)
        drift = self.predicted - self.realised
        foreseen = {"predicted": self.predicted, "realised": self.realised, "drift": drift} if math.isfinite(drift) else {}
        return {
            "return": Mean(float(sum(self.returns)), count),
            "spread": Mean(float(np.std(self.returns)), 1),
            "length": Mean(float(sum(self.lengths)), count),
            "clipped": Mean(float(sum(episode.clipped for episode in self.episodes)), count),
            **{name: Mean(value, 1) for name, value in foreseen.items()},
        }

    def _repr_html_(self) -> str:
        return showing.evaluation(values(self.metrics))


class Log:
    """What the highest values foresaw, and what then came, of the first `episodes` of those that are being played.

    Others, which were begun while the last of these went on, do not count: of them only the short ones would be over.
    """

    def __init__(self, count: int, discount: float, episodes: int) -> None:
        self.done = dict[int, Episode]()  # by number
        self._episodes = episodes
        self._discount = discount
        self._values, self._gains = [list[float]() for _ in range(count)], [list[float]() for _ in range(count)]
        self._terminated, self._over = np.zeros(count, bool), dict[int, Episode]()
        self._predicted, self._realised = list[float](), list[float]()

    def see(self, highest: np.ndarray, resting: np.ndarray) -> None:
        """The highest value of what each environment shows, (n,); of a resting one that is its episode's last."""
        for env, value in enumerate(highest.tolist()):
            if not resting[env]:
                self._values[env].append(value)
                continue
            episode, values, gains = self._over.pop(env), self._values[env], self._gains[env]
            self._values[env], self._gains[env] = [], []
            self.done[episode.number] = episode
            if episode.number >= self._episodes:
                continue
            follows = 0.0 if self._terminated[env] else value
            for gain in reversed(gains):
                follows = gain + self._discount * follows
                self._realised.append(follows)
            self._predicted += values

    def gain(self, rewards: np.ndarray, terminated: np.ndarray, played: Played) -> None:
        """What the decisions brought."""
        for env, reward in enumerate(rewards.tolist()):
            if len(self._gains[env]) < len(self._values[env]):
                self._gains[env].append(reward)
        self._terminated = terminated
        self._over |= dict(zip(np.flatnonzero(played.resting).tolist(), played.ended, strict=True))

    def means(self, *, random: bool) -> tuple[float, float]:
        """(predicted, realised); nan of random play, which foresees nothing."""
        return (math.nan, math.nan) if random else (float(np.mean(self._predicted)), float(np.mean(self._realised)))
