"""Using a trained player: the value of each action, episodes, and one game to watch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gipi.envs.env import Envs
from gipi.envs.find import open_envs
from gipi.envs.played import FILM, RANDOM, TEST, Played
from gipi.envs.replay import Replay
from gipi.errors import ConfigError
from gipi.ops.chance import chance
from gipi.tasks.games import Games, Log, Moment
from gipi.tasks.trained import Trained

AT_ONCE = 8  # environments that are played together
MOST_STEPS = 1_000_000


class Player(Trained):
    """A net that plays, with its card, ready to use."""

    KIND = "act"

    @property
    def environment(self) -> str:
        return self.card.environment

    def inputs(self, stacked: Tensor) -> Tensor:
        """What the net is fed: pixels as they are, in the place's number format, which holds 0 to 255 exactly; or numbers."""
        dtype = self.place.dtype if stacked.dtype == torch.uint8 else torch.float32
        return self.place.put_images(stacked.to(device=self.place.device, dtype=dtype))

    def values(self, stacked: Float[Tensor, "n c h w"]) -> Float[Tensor, "n actions"]:
        """The discounted return that each action promises, on the CPU. Pixels of 0 to 255, uint8 or floats, or numbers."""
        return self.run(self.net, self.inputs(stacked)).cpu()

    def play(
        self,
        episodes: int,
        *,
        epsilon: float = 0.05,
        seed: int = 0,
        purpose: int = TEST,
        environment: str | None = None,
    ) -> Games:
        """Play so many episodes, some at once; those of a seed and purpose are always the same.

        epsilon: share of random decisions; 1 never asks the net.
        Raises ConfigError for values out of range and an environment that shows or takes something else than the net's own.
        """
        _check(epsilon, seed)
        if not 1 <= episodes <= 100_000:
            raise ConfigError(f"--episodes is {episodes}, allowed are 1 to 100,000")
        envs = self._open(environment or self.environment, min(episodes, AT_ONCE))
        try:
            return self._played(envs, episodes, epsilon, seed, purpose if epsilon < 1 else RANDOM)
        finally:
            envs.close()

    def _played(self, envs: Envs, episodes: int, epsilon: float, seed: int, purpose: int) -> Games:
        played, view, log = Played(envs, seed, purpose), self._view(envs), Log(envs.count, self.card.discount, episodes)
        while any(number not in log.done for number in range(episodes)):
            actions, _, values = self._decide(played, view, epsilon, chance(seed, purpose, view.seen), asks=epsilon < 1)
            log.see(values.amax(1).numpy(), played.resting)
            played.send(actions)
            rewards, terminated = played.receive()
            log.gain(np.sign(rewards) if self.card.clip_reward else rewards, terminated, played)
        return Games([log.done[number] for number in range(episodes)], *log.means(random=epsilon == 1))

    def game(self, *, seed: int = 0, epsilon: float = 0.0, most: int = MOST_STEPS) -> Iterator[Moment]:
        """One episode, decision by decision, with pictures, at most so many. Raises ConfigError as `play` does."""
        _check(epsilon, seed)
        if not 1 <= most <= MOST_STEPS:
            raise ConfigError(f"--steps is {most}, allowed are 1 to {MOST_STEPS:,}")
        envs = self._open(self.environment, 1, pictures=True)
        try:
            played, view, total = Played(envs, seed, FILM), self._view(envs), 0.0
            after = envs.picture(0)
            while not played.resting[0] and view.seen < most:
                picture, step = after, view.seen
                actions, random, values = self._decide(played, view, epsilon, chance(seed, FILM, step), asks=True)
                stacked = view.stacked()
                played.send(actions)
                rewards, _ = played.receive()
                total, after = total + float(rewards[0]), envs.picture(0)
                yield Moment(picture, after, stacked, values[0], int(actions[0]), bool(random[0]), float(rewards[0]), total, step)
        finally:
            envs.close()

    def _decide(
        self, played: Played, view: Replay, epsilon: float, rng: np.random.Generator, *, asks: bool
    ) -> tuple[np.ndarray, np.ndarray, Tensor]:
        """(actions, whether each was drawn at random, values) for what is seen now; values of 0 if the net is not asked."""
        view.see(played.frames, played.ages, played.resting)
        count, choices = len(played.ages), len(self.card.classes)
        drawn, random = rng.integers(0, choices, count), rng.random(count) < epsilon
        if not asks:
            return drawn, random, torch.zeros(count, choices)
        values = self.values(view.stacked())
        return np.where(random, drawn, values.argmax(1).numpy()), random, values

    def _view(self, envs: Envs) -> Replay:
        """As much of what was seen as the net sees at once."""
        history = self.card.image[0] // envs.frame[0]
        return Replay(envs.count, envs.count, envs.frame, pixels=envs.pixels, history=history)

    def _open(self, name: str, count: int, *, pictures: bool = False) -> Envs:
        envs = open_envs(name, count, pictures=pictures)
        channels, *size = self.card.image
        if channels % envs.frame[0] or tuple(size) != envs.frame[1:] or envs.actions != self.card.classes:
            envs.close()
            raise ConfigError(
                f"{name} shows {'x'.join(map(str, envs.frame))} and takes {', '.join(envs.actions)}; the model was trained on "
                f"{self.environment}: {'x'.join(map(str, self.card.image))} with its history, {', '.join(self.card.classes)}"
            )
        return envs


def _check(epsilon: float, seed: int) -> None:
    if not 0 <= epsilon <= 1:
        raise ConfigError(f"--epsilon is {epsilon}, allowed are 0 to 1")
    if not 0 <= seed < 2**31:
        raise ConfigError(f"--seed is {seed}, allowed are 0 to 2**31 - 1")
