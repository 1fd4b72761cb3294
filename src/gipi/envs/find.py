"""An environment by its name: a game of our own, an Atari game, or one that gymnasium knows."""

from __future__ import annotations

import warnings

import gymnasium

from gipi import catalog
from gipi.envs.atari import AtariEnvs, is_atari
from gipi.envs.env import Envs
from gipi.envs.gym import NAMES, GymEnvs
from gipi.errors import ConfigError, DeviceError, nearest


def open_envs(name: str, count: int, *, pictures: bool = False) -> Envs:
    """`count` environments. pictures: they can be drawn as a person would see them.

    Raises ConfigError for an unknown name, naming the nearest, and for one that a DQN cannot play; DeviceError where a package is
    missing, naming it.
    """
    if not name:
        raise ConfigError("which environment is to be played? Give --data NAME, such as --data catch")
    if is_atari(name):
        return AtariEnvs(name, count, pictures)
    if name in catalog.GAMES:
        game = catalog.resolve(catalog.GAMES[name].factory)
        return GymEnvs(name, [game() for _ in range(count)])
    return GymEnvs(name, [_made(name, pictures) for _ in range(count)])


def _made(name: str, pictures: bool) -> gymnasium.Env:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of newer versions, which are another environment
            try:
                return gymnasium.make(name, render_mode="rgb_array" if pictures else None)
            except TypeError:  # it draws nothing
                return gymnasium.make(name)
    except gymnasium.error.DependencyNotInstalled as error:
        raise DeviceError(f"{name} needs a package that is not installed: {error}") from error
    except gymnasium.error.Error as error:
        raise ConfigError(
            f"no environment {name!r}{nearest(name, (*catalog.GAMES, *NAMES))}; or another one of gymnasium; Atari games, with "
            "pip install 'gipi[atari]': PongNoFrameskip-v4 and others"
        ) from error
    except ImportError as error:
        raise DeviceError(f"{name} needs a package that is not installed: {error}") from error
