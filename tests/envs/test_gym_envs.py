"""Environments of gymnasium as ours: frames by loops, seeds, what is raised, pictures."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from gipi.envs.catch import Catch
from gipi.envs.env import EnvError
from gipi.envs.find import open_envs
from gipi.envs.gym import GymEnvs
from gipi.envs.painted import painted
from gipi.errors import ConfigError
from oracle.environments import BREAKING, CINEMA, CORRIDOR, Breaking, Corridor


class Still(gymnasium.Env[Any, Any]):
    """Shows one array for ever."""

    action_space = Discrete(2)

    def __init__(self, shown: np.ndarray) -> None:
        self.shown = shown
        self.observation_space = Box(0, 255, shown.shape, shown.dtype)  # pyright: ignore[reportArgumentType]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        return self.shown, {}

    def step(self, action: Any) -> Any:
        return self.shown, 0, False, False, {}


def first(envs: GymEnvs, seed: int = 0) -> np.ndarray:
    return envs.reset(np.arange(envs.count), np.full(envs.count, seed))


def step(envs: Any, *actions: int) -> Any:
    envs.send(np.array(actions))
    return envs.receive()


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


# --- frames


@pytest.mark.parametrize(
    ("shape", "frame", "axes"),
    [
        ((10, 12), (1, 10, 12), None),
        ((10, 12, 1), (1, 10, 12), (2, 0, 1)),
        ((10, 12, 3), (3, 10, 12), (2, 0, 1)),
        ((3, 10, 12), (3, 10, 12), (0, 1, 2)),
        ((1, 48, 48), (1, 48, 48), (0, 1, 2)),
    ],
)
def test_small_pictures_stay_as_they_are(shape: tuple[int, ...], frame: tuple[int, int, int], axes: Any):
    shown = pixels(*shape)
    envs = GymEnvs("still", [Still(shown)])
    assert (envs.frame, envs.pixels) == (frame, True)
    assert np.array_equal(first(envs)[0], shown[None] if axes is None else shown.transpose(axes))


@pytest.mark.parametrize("shape", [(96, 96, 3), (210, 160, 3), (3, 60, 100), (60, 49), (49, 60, 1)])
def test_large_pictures_are_grey_and_84x84(shape: tuple[int, ...]):
    """Against loops: luma of BT.601, each pixel of the result the mean of its share of the rows and columns, which are all used."""
    shown = pixels(*shape)
    frame = first(GymEnvs("still", [Still(shown)]))[0]
    colours = shown[..., None] if shown.ndim == 2 else shown.transpose(1, 2, 0) if shape[0] == 3 else shown
    grey = colours @ np.array([0.299, 0.587, 0.114]) if colours.shape[2] == 3 else colours[..., 0].astype(float)
    assert (frame.shape, frame.dtype) == ((1, 84, 84), np.uint8)
    edges = [np.floor(np.arange(85) * side / 84 + 0.5).astype(int) for side in grey.shape]
    if min(grey.shape) < 84:  # a row becomes two: only that the whole picture is the same
        assert frame.mean() == pytest.approx(grey.mean(), abs=3)
        return
    wanted = np.array([
        [grey[top:bottom, left:right].mean() for left, right in zip(edges[1], edges[1][1:], strict=False)]
        for top, bottom in zip(edges[0], edges[0][1:], strict=False)
    ])  # fmt: skip
    assert np.abs(frame[0] - wanted).max() < 2


def test_numbers_are_maps_of_one_pixel():
    envs = open_envs(CORRIDOR, 1)
    assert (envs.frame, envs.pixels) == ((9, 1, 1), False)
    frame = envs.reset(np.arange(1), np.array([3]))
    assert frame.dtype == np.float32
    assert frame.reshape(-1).tolist() == np.eye(9)[Corridor().reset(seed=3)[0].argmax()].tolist()


# --- episodes


def test_an_episode_is_a_function_of_its_seed_and_the_actions():
    """Whatever is played beside it, and whatever was before."""
    for name in ("CartPole-v1", "catch", "snake", CORRIDOR, CINEMA):
        envs, alone = open_envs(name, 3), open_envs(name, 1)
        envs.reset(np.arange(3), np.arange(3))
        step(envs, 0, 1, 1)
        shown = envs.reset(np.array([2, 0]), np.array([11, 12]))
        wanted = alone.reset(np.array([0]), np.array([11]))
        assert np.array_equal(shown[0], wanted[0])
        for turn in range(4):
            together, single = step(envs, 1, turn % 2, turn % 2), step(alone, turn % 2)
            if single.terminated[0]:
                break
            for left, right in zip(together, single, strict=True):
                assert np.array_equal(left[2], right[0])


def test_ended_environments_rest_until_they_are_reset():
    envs = open_envs(CORRIDOR, 2)
    envs.reset(np.arange(2), np.arange(2))
    ended = [False, False]
    for _ in range(5):
        seen = step(envs, 1, 0)
        ended = [bool(over) for over in seen.terminated | seen.truncated]
        if ended == [True, False] or ended == [False, True]:
            break
    resting = ended.index(True)
    again = step(envs, 0, 1)
    assert (again.rewards[resting], again.terminated[resting], again.truncated[resting]) == (0, False, False)
    assert np.array_equal(again.frames[resting], seen.frames[resting])
    assert not np.array_equal(again.frames[1 - resting], seen.frames[1 - resting])


def test_what_was_seen_stays_as_it_was():
    envs = open_envs("catch", 1)
    frame = envs.reset(np.arange(1), np.zeros(1, int))
    before = [frame.copy(), (seen := step(envs, 1)).frames.copy()]
    step(envs, 1)
    assert np.array_equal(frame, before[0])
    assert np.array_equal(seen.frames, before[1])


def test_time_limits_are_told_from_ends_and_actions_may_begin_anywhere():
    """Cinema takes actions from -1 on, which it checks, and ends by its time limit alone."""
    envs = open_envs(CINEMA, 1)
    assert envs.actions == ("0", "1", "2", "3")
    envs.reset(np.arange(1), np.zeros(1, int))
    seen = [step(envs, action % 4) for action in range(7)]
    assert [float(one.rewards[0]) for one in seen] == [-1, 0, 1, 2, -1, 0, 1]
    assert [(bool(one.terminated[0]), bool(one.truncated[0])) for one in seen] == [(False, False)] * 6 + [(False, True)]


def test_names_and_pace():
    assert open_envs("CartPole-v1", 1).actions == ("left", "right")
    assert open_envs("CartPole-v1", 1).pace_ms == 20
    assert open_envs("catch", 1).actions == Catch.ACTIONS
    assert open_envs(CORRIDOR, 1).pace_ms == 125


# --- what is raised


def test_what_an_environment_raises_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch):
    envs = open_envs(BREAKING, 2)
    envs.reset(np.arange(2), np.arange(2))
    monkeypatch.setattr(Breaking, "left", 2)
    with pytest.raises(EnvError, match=f"^{BREAKING} raised ZeroDivisionError: the lamp went out$") as caught:
        step(envs, 1, 1)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("gives", [np.zeros((5, 4), np.uint8), None])
def test_what_does_not_look_as_announced_is_told(gives: Any, monkeypatch: pytest.MonkeyPatch):
    env = Still(pixels(10, 12, 3))
    envs = GymEnvs("still", [env])
    first(envs)
    env.shown = gives
    with pytest.raises(EnvError, match=r"^still raised "):
        step(envs, 0)
    with pytest.raises(EnvError, match=r"^still raised "):
        first(envs)


@pytest.mark.parametrize("space", [Box(-1, 1, (2,)), gymnasium.spaces.MultiDiscrete([2, 3])])
def test_actions_that_are_no_choice(space: Any):
    env = Still(pixels(10, 10))
    env.action_space = space
    with pytest.raises(ConfigError, match=r"has actions .*: a DQN chooses one of a few, it needs Discrete actions"):
        GymEnvs("still", [env])


@pytest.mark.parametrize(
    "space", [gymnasium.spaces.Dict({"a": Box(0, 1)}), Discrete(16), Box(0, 1, (8, 8)), Box(0, 255, (2, 8, 8, 3), np.uint8)]
)
def test_what_is_seen_and_is_neither_pictures_nor_numbers(space: Any):
    env = Still(pixels(10, 10))
    env.observation_space = space
    with pytest.raises(ConfigError, match=r"still shows .*: a DQN takes pictures \(uint8, .*\) or a row of numbers"):
        GymEnvs("still", [env])


# --- pictures


def test_pictures_are_the_environments_own_or_ours():
    for name, shape in ((CINEMA, (96, 96, 3)), (CORRIDOR, (240, 400, 3)), ("CartPole-v1", None), ("catch", None)):
        envs = open_envs(name, 1, pictures=True)
        envs.reset(np.arange(1), np.zeros(1, int))
        picture = envs.picture(0)
        assert picture.dtype == np.uint8
        assert picture.shape == (shape or picture.shape)
        for _ in range(3):
            step(envs, 0)
        assert not np.array_equal(envs.picture(0), picture), name
    assert picture.ndim == 3


@pytest.mark.parametrize("shape", [(12, 14), (3, 12, 14), (12, 14, 3), (2, 12, 14), (100, 90)])
def test_what_cannot_draw_is_shown_as_the_net_sees_it(shape: tuple[int, ...]):
    try:
        envs = GymEnvs("still", [Still(pixels(*shape))])
    except ConfigError:
        pytest.skip("not taken")
    frame = first(envs)[0]
    picture = envs.picture(0)
    assert (picture.shape, picture.dtype) == ((*frame.shape[1:], 3), np.uint8)
    assert np.array_equal(picture[..., 0], frame[0])


def test_a_drawn_cart_stands_where_it_is_and_its_pole_leans_as_it_does():
    def middle(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
        near = np.abs(picture.astype(int) - colour).max(2) < 30
        return float(np.nonzero(near)[1].mean())

    cart, pole = (60, 60, 70), (200, 140, 80)
    pictures = {
        (x, angle): painted("CartPole-v1", np.array([x, 0, angle, 0])) for x in (-2.0, 0.0, 2.0) for angle in (-0.2, 0.0, 0.2)
    }
    assert {picture.shape for picture in pictures.values()} == {(240, 400, 3)}
    for angle in (-0.2, 0.0, 0.2):
        places = [middle(pictures[x, angle], cart) for x in (-2.0, 0.0, 2.0)]
        assert np.diff(places) == pytest.approx(400 * 2 / 5.8, abs=2)
    for x in (-2.0, 0.0, 2.0):
        leaning = [middle(pictures[x, angle], pole) - middle(pictures[x, angle], cart) for angle in (-0.2, 0.0, 0.2)]
        assert leaning[0] < -3 < abs(leaning[1]) < 3 < leaning[2]
