"""A game as a film, with what the player expects of each action beside it; and what in it moves these expectations."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from gipi.data.gif import write_gif
from gipi.envs.find import open_envs
from gipi.errors import ConfigError
from gipi.inspect.pixels import SEEN, State, numbers_figure, pixels_figure, spread
from gipi.ops.draw_game import PAST, Screen
from gipi.tasks.films import LAST_MS, Reel
from gipi.tasks.games import Moment
from gipi.tasks.player import Player

MOST, LONGEST = 3_000, 100_000  # decisions, if nothing else is said (of Atari 3 minutes and 20 seconds), and in any case
SAMPLE = 16  # frames of which a GIF takes its colours


class Kept(NamedTuple):
    """A moment of a game. picture: its bytes, compressed, since those of a long game would fill the memory."""

    picture: bytes
    values: np.ndarray
    action: int
    chance: bool
    total: float
    step: int


class Drawn:
    """The frames of a game, each drawn when it is asked for. shape: of its pictures."""

    def __init__(self, screen: Screen, shape: tuple[int, int, int], kept: list[Kept]) -> None:
        self.screen, self.shape, self.kept = screen, shape, kept
        self.highest = np.array([moment.values.max() for moment in kept])

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, number: int, /) -> Image.Image:
        now, number = self.kept[number], number % len(self)
        picture = np.frombuffer(zlib.decompress(now.picture), np.uint8).reshape(self.shape)
        past = self.highest[max(0, number + 1 - PAST) : number + 1]
        return self.screen.draw(picture, now.values, now.action, now.total, now.step, past, chance=now.chance)

    def __iter__(self) -> Iterator[Image.Image]:
        return (self[number] for number in range(len(self)))


@dataclass(frozen=True)
class GameReel(Reel):
    """A game, or its beginning. total: of all rewards, as the environment gives them.  over: whether it was played to its end."""

    total: float = 0.0
    over: bool = True

    @property
    def steps(self) -> int:
        return len(self.frames) - 1  # the last one shows what the last decision has led to

    def __str__(self) -> str:
        return f"return {self.total:,.6g}{'' if self.over else ' so far'}, {self.steps:,} steps"

    def json(self) -> dict[str, Any]:
        """return, steps, whether it is over, frames, seconds, and what was asked for."""
        return {"return": self.total, "steps": self.steps, "over": self.over, **super().json()}

    def _write_gif(self, out: Path) -> None:
        places = np.linspace(0, len(self.frames) - 1, SAMPLE).round().astype(int)
        write_gif(out, self.frames, self.times_ms, [self.frames[place] for place in dict.fromkeys(places.tolist())])


def film_of_game(player: Player, *, seed: int = 0, epsilon: float = 0.0, most: int = MOST) -> GameReel:
    """The game of a seed, at its own pace, until it is over or `most` decisions are made. What was drawn is on one scale.

    epsilon: share of random moves. Raises ConfigError for values out of range.
    """
    if not 1 <= most <= LONGEST:
        raise ConfigError(f"--steps is {most}, allowed are 1 to {LONGEST:,}")
    moments, over = player.game(seed=seed, epsilon=epsilon, most=most + 1), True
    last = next(moments)
    kept = [_kept(last, last.picture, 0.0)]
    for moment in moments:
        if len(kept) == most:  # it would go on
            over = False
            break
        kept.append(_kept(moment, moment.picture, moment.total - moment.reward))
        last = moment
    kept.append(_kept(last, last.after, last.total))
    values = np.stack([moment.values for moment in kept])
    height, width, _ = last.picture.shape
    screen = Screen(height, width, player.card.classes, float(values.min()), float(values.max()))
    asked = {"environment": player.environment, "seed": seed, "epsilon": epsilon}
    envs = open_envs(player.environment, 1)
    envs.close()
    return GameReel(Drawn(screen, (height, width, 3), kept), envs.pace_ms, LAST_MS, asked, kept[-1].total, over)


def _kept(moment: Moment, picture: np.ndarray, total: float) -> Kept:
    values, packed = moment.values.numpy(), zlib.compress(np.ascontiguousarray(picture).tobytes(), 1)
    return Kept(packed, values, moment.action, moment.chance, total, moment.step + 1)


def what_moves(player: Player, seed: int) -> Figure:
    """Which pixels move the values in six moments of the game of a seed, or how they change with each number that is seen."""
    states = [
        State(moment.stacked, moment.values, moment.action, moment.step + 1) for moment in player.game(seed=seed, most=MOST)
    ]
    shown = [states[number] for number in spread(len(states))]
    envs = open_envs(player.environment, 1)
    channels, pixels = envs.frame[0], envs.pixels
    envs.close()
    actions = player.card.classes
    if pixels:
        return pixels_figure(player.values, shown, actions, channels)
    seen = torch.cat([state.stacked[:, -channels:, 0, 0] for state in states]).float()
    return numbers_figure(player.values, shown, seen.amin(0), seen.amax(0), actions, SEEN.get(player.environment, ()))
