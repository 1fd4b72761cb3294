"""Environments of gymnasium, and games of our own, stepped one after another.

Pictures larger than `LARGE` become grey and 84x84, as those of Atari; smaller ones are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from PIL import Image

from gipi.envs.env import EnvError, Seen
from gipi.envs.painted import painted
from gipi.errors import ConfigError

LARGE = 48  # pixels of a side
GREY = (84, 84)
PACE_MS = 125  # of a decision, if the environment does not say how many frames a second it shows
NAMES = {  # of the actions of environments that do not say them
    "CartPole-v1": ("left", "right"),
    "Acrobot-v1": ("left", "none", "right"),
    "MountainCar-v0": ("left", "none", "right"),
    "LunarLander-v3": ("none", "left engine", "main engine", "right engine"),
}


class GymEnvs:
    """See `Envs`. envs: of one kind. Raises ConfigError for actions that are no choice, and what is seen but is neither a picture
    nor numbers.
    """

    def __init__(self, name: str, envs: list[gymnasium.Env[Any, Any]]) -> None:
        self._envs = envs
        self.name, self.count = name, len(envs)
        actions, seen = envs[0].action_space, envs[0].observation_space
        if not isinstance(actions, Discrete):
            raise ConfigError(f"{name} has actions {actions}: a DQN chooses one of a few, it needs Discrete actions")
        self._first = int(actions.start)
        self.pixels = isinstance(seen, Box) and seen.dtype == np.uint8 and len(seen.shape) in (2, 3)
        if not isinstance(seen, Box) or not (self.pixels or len(seen.shape) == 1):
            raise ConfigError(
                f"{name} shows {seen}: a DQN takes pictures (uint8, height x width or with channels) or a row of numbers"
            )
        self._channels_first = len(seen.shape) == 3 and seen.shape[0] in (1, 3, 4) and seen.shape[2] not in (1, 3, 4)
        first = self._frame(np.zeros(seen.shape, seen.dtype))
        self.frame = (first.shape[0], first.shape[1], first.shape[2])
        told = getattr(envs[0].unwrapped, "ACTIONS", NAMES.get(name, tuple(str(number) for number in range(int(actions.n)))))
        self.actions = tuple(told)
        rate = envs[0].metadata.get("render_fps")
        self.pace_ms = round(1000 / rate) if rate else PACE_MS
        self._chosen = np.zeros(self.count, np.int64)
        self._ended = np.zeros(self.count, bool)
        self._shown = np.zeros((self.count, *self.frame), np.uint8 if self.pixels else np.float32)

    def reset(self, which: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        for number, seed in zip(which.tolist(), seeds.tolist(), strict=True):
            with self._told():
                seen, _ = self._envs[number].reset(seed=seed)
                self._shown[number] = self._frame(seen)
        self._ended[which] = False
        return self._shown[which]

    def send(self, actions: np.ndarray) -> None:
        self._chosen = actions + self._first

    def receive(self) -> Seen:
        rewards, terminated, truncated = np.zeros(self.count, np.float32), np.zeros(self.count, bool), np.zeros(self.count, bool)
        for number, (env, action) in enumerate(zip(self._envs, self._chosen.tolist(), strict=True)):
            if self._ended[number]:
                continue
            with self._told():
                seen, rewards[number], terminated[number], truncated[number], _ = env.step(action)
                self._shown[number] = self._frame(seen)
        self._ended |= terminated | truncated
        return Seen(self._shown.copy(), rewards, terminated, truncated)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever a foreign environment may raise, and what cannot be made of what it gives."""
        try:
            yield
        except Exception as error:
            raise EnvError(f"{self.name} raised {type(error).__name__}: {error}") from error

    def picture(self, number: int) -> np.ndarray:
        """What the environment draws, or, where it cannot, what is seen, numbers as a drawing of our own."""
        try:
            drawn = self._envs[number].render()
        except (gymnasium.error.DependencyNotInstalled, NotImplementedError):
            drawn = None
        if isinstance(drawn, np.ndarray) and drawn.ndim == 3:
            return drawn
        shown = self._shown[number]
        if not self.pixels:
            return painted(self.name, shown)
        return np.moveaxis(shown[:3] if len(shown) >= 3 else shown[:1].repeat(3, 0), 0, -1).copy()

    def close(self) -> None:
        for env in self._envs:
            env.close()

    def _frame(self, seen: np.ndarray) -> np.ndarray:
        """An observation as (channels, height, width)."""
        if not self.pixels:
            return np.asarray(seen, np.float32)[:, None, None]
        if seen.ndim == 2:
            seen = seen[None]
        elif not self._channels_first:
            seen = np.moveaxis(seen, -1, 0)
        if max(seen.shape[1:]) <= LARGE:
            return seen
        mode = Image.fromarray(np.ascontiguousarray(np.moveaxis(seen[:3], 0, -1))) if len(seen) >= 3 else Image.fromarray(seen[0])
        return np.asarray(mode.convert("L").resize(GREY, Image.Resampling.BOX))[None]
