"""Environments that are played: episodes by seeds, and the state by which they go on exactly where they were.

An episode is a function of its seed and the actions, so these are the state: whatever the environment is, it is played again up
to where it was. An environment that is not deterministic goes on from elsewhere, which is told.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gipi.envs.env import EnvError, Envs, Seen
from gipi.errors import GipiWarning

TRAINING, VALIDATION, TEST, RANDOM, FILM = range(5)  # purposes, whose episodes differ


class Episode(NamedTuple):
    """number: of its kind, from 0 on.  reward: the sum of all.  clipped: of their signs.  length: decisions."""

    number: int
    reward: float
    clipped: float
    length: int


def seeds(seed: int, purpose: int, episodes: np.ndarray) -> np.ndarray:
    """Of episodes by their numbers, 0 to 2**31 - 1."""
    words = [np.random.SeedSequence((seed, purpose, int(number))).generate_state(1)[0] >> 1 for number in episodes]
    return np.array(words, np.int64)


def table(episodes: list[Episode]) -> Tensor:
    """A row of each, to be saved."""
    return torch.tensor(episodes, dtype=torch.float64).reshape(-1, len(Episode._fields))


def from_table(rows: Tensor) -> list[Episode]:
    return [Episode(int(number), reward, clipped, int(length)) for number, reward, clipped, length in rows.tolist()]


class Played:
    """frames: (n, c, h, w) as seen now.  ages: (n,) how many decisions ago the episode began.  resting: (n,) bool: it is over;
    the next step shows a new one. ended: episodes that the last step has ended.
    """

    def __init__(self, envs: Envs, seed: int, purpose: int = TRAINING) -> None:
        self.envs = envs
        self._seed, self._purpose, self._next = seed, purpose, 0
        self.begin()

    def begin(self) -> None:
        """New episodes everywhere."""
        count = self.envs.count
        self._episodes = np.zeros(count, np.int64)
        self._actions = [list[int]() for _ in range(count)]
        self.ages, self.resting = np.zeros(count, np.int64), np.zeros(count, bool)
        self._rewards, self._clipped = np.zeros(count), np.zeros(count)
        self.ended = list[Episode]()
        self.frames = self._reset(np.arange(count)).copy()

    def _reset(self, which: np.ndarray) -> np.ndarray:
        self._episodes[which] = np.arange(self._next, self._next + len(which))
        self._next += len(which)
        for number in which.tolist():
            self._actions[number] = []
        self.ages[which], self._rewards[which], self._clipped[which] = 0, 0, 0
        return self.envs.reset(which, seeds(self._seed, self._purpose, self._episodes[which]))

    def send(self, actions: np.ndarray) -> None:
        """An action for each; those of resting environments are not taken."""
        for number, action in enumerate(actions.tolist()):
            if not self.resting[number]:
                self._actions[number].append(action)
        self.envs.send(actions)

    def receive(self) -> tuple[np.ndarray, np.ndarray]:
        """(rewards (n,), terminated (n,)) of the actions sent.

        Raises EnvError if an environment does; all episodes have then begun anew, with those to come.
        """
        try:
            return self._take(self.envs.receive())
        except EnvError:
            self.begin()
            raise

    def _take(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        active, over = ~self.resting, seen.terminated | seen.truncated
        self.frames = np.array(seen.frames)
        self.ages += active
        self._rewards += np.where(active, seen.rewards, 0)
        self._clipped += np.where(active, np.sign(seen.rewards), 0)
        self.ended = [
            Episode(int(self._episodes[env]), float(self._rewards[env]), float(self._clipped[env]), int(self.ages[env]))
            for env in np.flatnonzero(over)
        ]
        if self.resting.any():
            which = np.flatnonzero(self.resting)
            self.frames[which] = self._reset(which)
        self.resting = over
        return seen.rewards, seen.terminated

    def state_dict(self) -> dict[str, Any]:
        return {
            "next": self._next,
            "episodes": torch.from_numpy(self._episodes.copy()),
            "actions": [torch.tensor(actions, dtype=torch.int16) for actions in self._actions],
            "resting": torch.from_numpy(self.resting.copy()),
            "rewards": torch.from_numpy(np.stack([self._rewards, self._clipped])),
            "frames": torch.from_numpy(self.frames.copy()),
            "ended": table(self.ended),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Play the running episodes again. Warns if that leads elsewhere."""
        logs = [actions.tolist() for actions in state["actions"]]
        if len(logs) != self.envs.count:
            raise ValueError(f"{len(logs)} environments were played, now there are {self.envs.count}")
        self._next, self._episodes = state["next"], state["episodes"].numpy().copy()
        again = seeds(self._seed, self._purpose, self._episodes)
        longest = max(map(len, logs))
        frames = np.zeros_like(self.frames)
        self.envs.reset(np.arange(self.envs.count), again)
        for step in range(longest + 1):  # each begins so late that all arrive together
            begin = np.array([number for number, log in enumerate(logs) if len(log) == longest - step], np.int64)
            if len(begin):
                frames[begin] = self.envs.reset(begin, again[begin])
            if step == longest:
                break
            late = [log[step - longest + len(log)] if step >= longest - len(log) else 0 for log in logs]
            self.envs.send(np.array(late, np.int64))
            frames = np.array(self.envs.receive().frames)
        if not np.array_equal(frames, state["frames"].numpy()):
            warnings.warn(
                f"{self.envs.name} is not deterministic: its episodes go on elsewhere than before", GipiWarning, stacklevel=2
            )
        self.frames, self._actions = frames, logs
        self.ages = np.array([len(log) for log in logs], np.int64)
        self.resting = state["resting"].numpy().copy()
        self._rewards, self._clipped = (row.copy() for row in state["rewards"].numpy())
        self.ended = from_table(state["ended"])
