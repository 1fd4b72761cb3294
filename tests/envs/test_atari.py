"""Atari games against gymnasium's own preprocessing of the same game, which does all in Python and OpenCV."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import AtariPreprocessing

from gipi.envs import atari
from gipi.envs.atari import AtariEnvs, is_atari, rom_of, sticky_of
from gipi.envs.find import open_envs

ale_py = pytest.importorskip("ale_py", reason="gipi[atari] is not installed")


@pytest.fixture(scope="module")
def breakout() -> Any:
    envs = AtariEnvs("BreakoutNoFrameskip-v4", 3)
    yield envs
    envs.close()


def plain(seed: int, rom: str = "breakout") -> tuple[Any, AtariPreprocessing]:
    """The game, its frames one by one, and gymnasium's preprocessing of it, which neither waits nor presses FIRE."""
    from ale_py.env import AtariEnv

    game = AtariEnv(rom, frameskip=1, repeat_action_probability=0.0)
    wrapped = AtariPreprocessing(game, noop_max=0, frame_skip=4, screen_size=84, grayscale_obs=True)
    wrapped.reset(seed=seed)
    return game, wrapped


def shrunk(game: Any) -> np.ndarray:
    import cv2

    return cv2.resize(game.ale.getScreenGrayscale(), (84, 84), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("seed", [3, 4])
def test_frames_and_rewards_are_those_of_gymnasiums_preprocessing(breakout: AtariEnvs, seed: int):
    """After FIRE and as many frames of doing nothing as lead to the first frame: grey, max of the last two of four, area means."""
    first = breakout.reset(np.arange(3), np.full(3, seed))
    game, wrapped = plain(seed)
    game.step(1)
    waited = 0
    while not np.array_equal(shrunk(game), first[0, 0]):
        game.step(0)
        waited += 1
        assert waited <= 30
    lit = set[bytes]()
    for action in np.random.default_rng(seed).integers(0, 4, 60).tolist():
        breakout.send(np.full(3, action))
        seen = breakout.receive()
        frame, reward, *_ = wrapped.step(action)
        assert np.array_equal(seen.frames[1, 0], frame)
        assert seen.rewards[1] == reward
        lit.add(frame.tobytes())
    assert len(lit) > 30
    assert waited > 0
    wrapped.close()


def test_games_by_their_seeds_in_any_order(breakout: AtariEnvs):
    """A part of them may begin anew, in any order; the others stay where they are."""
    frames = breakout.reset(np.arange(3), np.array([7, 8, 9]))
    assert not np.array_equal(frames[0], frames[1])
    for _ in range(5):
        breakout.send(np.array([2, 3, 2]))
        seen = breakout.receive()
    again = breakout.reset(np.array([2, 0]), np.array([8, 9]))
    assert np.array_equal(again, frames[[1, 2]])
    breakout.send(np.zeros(3, int))
    moved = breakout.receive().frames
    assert np.abs(moved[1].astype(int) - seen.frames[1]).mean() < np.abs(moved[1].astype(int) - frames[1]).mean()


def test_pictures_show_the_same_game():
    envs = AtariEnvs("ALE/Breakout-v5", 2, pictures=True)
    envs.reset(np.arange(2), np.array([1, 2]))
    rng = np.random.default_rng(0)
    for _ in range(25):
        envs.send(rng.integers(0, 4, 2))
        frames = envs.receive().frames[:, 0].astype(float)
    for number in range(2):
        picture = envs.picture(number)
        assert (picture.shape, picture.dtype) == ((210, 160, 3), np.uint8)
        grey = picture @ np.array([0.299, 0.587, 0.114])
        rows, columns = (np.linspace(0, side, 85).round().astype(int)[1:-1] for side in grey.shape)
        small = np.array([[part.mean() for part in np.array_split(band, columns, 1)] for band in np.array_split(grey, rows)])
        near = np.abs(small - frames).mean((1, 2))
        assert near[number] < min(4, near[1 - number])
    envs.close()


def test_an_ended_game_rests_until_it_is_reset(monkeypatch: pytest.MonkeyPatch):
    from functools import partial

    from ale_py import vector_env

    monkeypatch.setattr(vector_env, "AtariVectorEnv", partial(vector_env.AtariVectorEnv, max_num_frames_per_episode=60))
    envs = AtariEnvs("PongNoFrameskip-v4", 2)
    envs.reset(np.arange(2), np.arange(2))
    ended = np.zeros(2, int)
    for _ in range(40):
        envs.send(np.array([2, 3]))
        seen = envs.receive()
        assert not seen.terminated.any()
        ended += seen.truncated
        if ended.all():
            break
    assert ended.tolist() == [1, 1]
    envs.send(np.array([2, 3]))
    seen = envs.receive()
    assert not (seen.terminated | seen.truncated).any()
    assert (seen.rewards == 0).all()
    assert (seen.frames.dtype, seen.frames.shape, seen.rewards.dtype) == (np.uint8, (2, 1, 84, 84), np.float32)
    envs.close()


@pytest.mark.parametrize(
    ("name", "rom", "sticky"),
    [
        ("PongNoFrameskip-v4", "pong", 0.0),
        ("PongNoFrameskip-v0", "pong", 0.25),
        ("ALE/Pong-v5", "pong", 0.25),
        ("MsPacmanNoFrameskip-v4", "ms_pacman", 0.0),
        ("ALE/UpNDown-v5", "up_n_down", 0.25),
    ],
)
def test_a_name_says_the_game_and_whether_actions_stick(name: str, rom: str, sticky: float, monkeypatch: pytest.MonkeyPatch):
    made, opened = list[tuple[Any, ...]](), atari._games

    def games(*given: Any, **named: Any) -> Any:
        made.append(given)
        return opened(*given, **named)

    monkeypatch.setattr(atari, "_games", games)
    envs = open_envs(name, 1)
    assert made == [(rom, 1, sticky)]
    assert envs.pace_ms == 67
    envs.close()


def test_actions_stick_where_the_name_says_so():
    """The same seed and decisions, and yet another game, whose paddle lags behind."""
    actions, last = np.random.default_rng(1).integers(2, 4, 30), dict[str, np.ndarray]()
    for name in ("BreakoutNoFrameskip-v4", "BreakoutNoFrameskip-v0", "ALE/Breakout-v5"):
        envs = open_envs(name, 1)
        envs.reset(np.zeros(1, int), np.array([3]))
        for action in actions:
            envs.send(np.array([action]))
            last[name] = envs.receive().frames
        envs.close()
    plain, old, new = last.values()
    assert not np.array_equal(plain, new)
    assert np.array_equal(old, new)


def test_actions_are_the_games_own(breakout: AtariEnvs):
    assert breakout.actions == ("NOOP", "FIRE", "RIGHT", "LEFT")
    assert (breakout.frame, breakout.pixels) == ((1, 84, 84), True)


def test_names_mean_what_they_mean_to_gymnasium():
    """Every name that ale-py registers: the game, and how often an action sticks."""
    specs = [spec for name, spec in gymnasium.registry.items() if is_atari(name) and "-ram" not in name]
    assert len(specs) > 200
    for spec in specs:
        assert rom_of(spec.id) == spec.kwargs["game"], spec.id
        assert sticky_of(spec.id) == spec.kwargs["repeat_action_probability"], spec.id


def test_every_game_of_the_package_is_found():
    from ale_py import roms

    for rom in roms.get_all_rom_ids():
        title = ale_py.registration.rom_id_to_name(rom)
        assert atari._known(rom_of(f"{title}NoFrameskip-v4"), title) == rom
