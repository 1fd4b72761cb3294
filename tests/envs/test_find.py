"""Environments by name: those there are, and what is said of those there are not."""

from __future__ import annotations

import sys

import gymnasium
import pytest

from gipi.envs.find import open_envs
from gipi.envs.gym import GymEnvs
from gipi.errors import ConfigError, DeviceError
from oracle.environments import SORTED, STEERED


@pytest.mark.parametrize(("name", "frame"), [("catch", (1, 16, 16)), ("snake", (1, 12, 12)), ("CartPole-v1", (4, 1, 1))])
def test_as_many_as_were_asked_for(name: str, frame: tuple[int, int, int]):
    envs = open_envs(name, 3)
    assert isinstance(envs, GymEnvs)
    assert (envs.name, envs.count, envs.frame) == (name, 3, frame)
    assert len({id(env) for env in envs._envs}) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Catch", "no environment 'Catch'; did you mean 'catch'?"),
        ("snak", "no environment 'snak'; did you mean 'snake'?"),
        ("CartPole-v9", "no environment 'CartPole-v9'; did you mean 'CartPole-v1'?"),
        ("PogNoFrameskip-v4", "no Atari game 'PogNoFrameskip-v4'; did you mean 'PongNoFrameskip-v4'?"),
        ("ALE/Pong-v4", "no Atari game 'ALE/Pong-v4'"),
        ("PongNoFrameskip-v3", "no Atari game 'PongNoFrameskip-v3'; did you mean 'PongNoFrameskip-v4'?"),
        ("", "which environment is to be played?"),
        ("Pendulum-v1", "a DQN chooses one of a few, it needs Discrete actions"),
        (STEERED, "it needs Discrete actions"),
        (SORTED, f"{SORTED} shows Dict"),
        ("FrozenLake-v1", "FrozenLake-v1 shows Discrete"),
    ],
)
def test_what_cannot_be_played(name: str, message: str):
    if "Frameskip" in name or name.startswith("ALE"):
        pytest.importorskip("ale_py", reason="the games' names are ale-py's")
    with pytest.raises(ConfigError) as caught:
        open_envs(name, 1)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["PongNoFrameskip-v4", "ALE/Pong-v5", "ALE/Nonsense-v5"])
def test_atari_without_its_package_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(DeviceError, match=r"needs ale-py: pip install 'gipi\[atari\]'$"):
        open_envs(name, 1)


def test_a_package_that_gymnasium_misses_is_told(monkeypatch: pytest.MonkeyPatch):
    def make(*given: object, **named: object) -> None:
        raise gymnasium.error.DependencyNotInstalled("Box2D is not installed, run `pip install box2d`")

    monkeypatch.setattr(gymnasium, "make", make)
    with pytest.raises(DeviceError, match=r"LunarLander-v3 needs a package that is not installed: Box2D .*`pip install box2d`"):
        open_envs("LunarLander-v3", 1)


def test_a_module_that_is_not_there():
    with pytest.raises(DeviceError, match="needs a package that is not installed: No module named 'nowhere'"):
        open_envs("nowhere:Game-v0", 1)
