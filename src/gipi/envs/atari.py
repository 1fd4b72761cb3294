"""Atari games, by the Arcade Learning Environment's own vector environment, which frames, skips and resizes in C++.

Source: Bellemare et al., arXiv 1207.4708; preprocessing, Mnih et al., Nature 518, 2015, Methods: a decision lasts four frames,
of the last two the brighter pixels are taken, grey, 84x84; up to 30 frames of doing nothing at the beginning; FIRE is pressed
where a game waits for it. Sticky actions as the version of the name has them (Machado et al., arXiv 1709.06009): 0.25 in
ALE/NAME-v5 and NAMENoFrameskip-v0, none in NAMENoFrameskip-v4. An episode ends with the game or after 108,000 frames, not with
a life.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gipi.envs.env import Seen
from gipi.errors import ConfigError, DeviceError, nearest

NAME = re.compile(r"ALE/(?P<v5>\w+)-v5|(?P<old>\w+)NoFrameskip-v(?P<version>[04])")
STICKY = 0.25
SKIP, FRAME_MS = 4, 1000 / 60
THREADS = 1  # that play: one is as fast as two where learning takes the other core


def is_atari(name: str) -> bool:
    return name.startswith("ALE/") or "NoFrameskip-v" in name


def rom_of(name: str) -> str:
    """ "MsPacmanNoFrameskip-v4" as "ms_pacman"; "" for what is no name of an Atari game."""
    found = NAME.fullmatch(name)
    title = found["v5"] or found["old"] if found else ""
    return re.sub(r"(?<=[a-z])(?=[0-9]?[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", title).lower()


def sticky_of(name: str) -> float:
    """Chance that a game takes the action before once more instead of the one it is given."""
    return 0.0 if name.endswith("NoFrameskip-v4") else STICKY


class AtariEnvs:
    """See `Envs`. `pictures`: play a second copy, in colour and of full size, by the same seeds and actions.

    Raises DeviceError without ale-py, ConfigError for a name that is no game's.
    """

    def __init__(self, name: str, count: int, pictures: bool = False) -> None:
        rom, sticky = _known(rom_of(name), name), sticky_of(name)
        self.name, self.count, self.frame, self.pixels = name, count, (1, 84, 84), True
        self.pace_ms = round(SKIP * FRAME_MS)
        self._games = _games(rom, count, sticky, grey=True)
        self._shown = _games(rom, count, sticky, grey=False) if pictures else None
        self._picture = np.zeros((count, 210, 160, 3), np.uint8)
        self.actions = tuple(str(action.name) for action in self._games.ale.get_action_set())
        self._begun = False
        self._ended = np.zeros(count, bool)

    def reset(self, which: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        frames = self._reset(self._games, which, seeds)
        if self._shown is not None:
            self._picture[which] = self._reset(self._shown, which, seeds).reshape(-1, *self._picture.shape[1:])
        self._begun = True
        self._ended[which] = False
        return frames

    def _reset(self, games: Any, which: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        mask = np.zeros(self.count, bool)
        mask[which] = True
        ordered = seeds[np.argsort(which)].astype(np.int64)
        frames, _ = games.reset(seed=ordered, options={"reset_mask": mask} if self._begun else None)
        return frames[which]

    def send(self, actions: np.ndarray) -> None:
        self._games.send(actions)
        if self._shown is not None:
            self._shown.send(actions)

    def receive(self) -> Seen:
        """An ended game begins again by itself at its next action; the caller's `reset` begins it anew, by a seed."""
        frames, rewards, terminated, truncated, _ = self._games.recv()
        if self._shown is not None:
            self._picture = self._shown.recv()[0].reshape(self._picture.shape)
        idle, self._ended = self._ended, terminated | truncated
        return Seen(frames, np.where(idle, 0, rewards).astype(np.float32), terminated & ~idle, truncated & ~idle)

    def picture(self, number: int) -> np.ndarray:
        return self._picture[number].copy()

    def close(self) -> None:
        self._games.close()
        if self._shown is not None:
            self._shown.close()


def _known(rom: str, name: str) -> str:
    """The game as ale-py calls it."""
    try:
        from ale_py import roms
    except ImportError as error:
        raise DeviceError(f"{name} is an Atari game, which needs ale-py: pip install 'gipi[atari]'") from error
    if rom not in (known := roms.get_all_rom_ids()):
        titles = [f"{''.join(word.capitalize() for word in rom.split('_'))}NoFrameskip-v4" for rom in known]
        raise ConfigError(f"no Atari game {name!r}{nearest(name, titles)}; or, with sticky actions, ALE/Pong-v5")
    return rom


def _games(rom: str, count: int, sticky: float, *, grey: bool) -> Any:
    from ale_py.vector_env import AtariVectorEnv

    height, width = (84, 84) if grey else (210, 160)
    return AtariVectorEnv(
        rom,
        count,
        num_threads=THREADS,
        grayscale=grey,
        img_height=height,
        img_width=width,
        stack_num=1,
        frameskip=SKIP,
        repeat_action_probability=sticky,
        reward_clipping=False,
    )
