"""Episodes by seeds, and going on where they were: against each episode played by itself, and against having never stopped."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from gipi.envs.env import EnvError
from gipi.envs.find import open_envs
from gipi.envs.played import TEST, TRAINING, Episode, Played, seeds
from gipi.errors import GipiWarning, RunError
from oracle.environments import BREAKING, CORRIDOR, SWAYING, Breaking

OWN = ("CartPole-v1", "catch", "snake", CORRIDOR)
ATARI = ("PongNoFrameskip-v4", "ALE/Pong-v5")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Atari games whose time limit is 13 decisions."""
    pytest.importorskip("ale_py", reason="gipi[atari] is not installed")
    from ale_py import vector_env

    monkeypatch.setattr(vector_env, "AtariVectorEnv", partial(vector_env.AtariVectorEnv, max_num_frames_per_episode=52))


def turn(played: Played, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    played.send(rng.integers(0, len(played.envs.actions), played.envs.count))
    return played.receive()


def looks(played: Played) -> list[object]:
    ended = [tuple(episode) for episode in played.ended]
    return [played.frames.tolist(), played.ages.tolist(), played.resting.tolist(), ended]


@pytest.mark.parametrize("name", OWN)
def test_every_episode_is_that_of_its_seed(name: str):
    """Three environments together, each frame, reward and end against a single one that plays one episode after another."""
    rng, played, alone = np.random.default_rng(1), Played(open_envs(name, 3), 7), open_envs(name, 1)
    log: dict[int, list[tuple[np.ndarray, int, float, bool]]] = {}  # by number: what was seen, done, brought
    last, ended, numbers = dict[int, np.ndarray](), dict[int, Episode](), list[int]()
    now, fresh = [0, 1, 2], 3
    for _ in range(150):
        if played.resting.any():
            for env in np.flatnonzero(played.resting):
                last[now[env]] = played.frames[env].copy()
        frames, resting = played.frames.copy(), played.resting.copy()
        actions = rng.integers(0, len(played.envs.actions), 3)
        played.send(actions)
        rewards, terminated = played.receive()
        for env in range(3):
            if resting[env]:
                now[env], fresh = fresh, fresh + 1
                assert played.ages[env] == 0
            else:
                log.setdefault(now[env], []).append((frames[env], int(actions[env]), float(rewards[env]), bool(terminated[env])))
                assert played.ages[env] == len(log[now[env]])
        for episode in played.ended:
            ended[episode.number] = episode
            numbers.append(episode.number)
    assert len(ended) == len(numbers) > 5
    for number, steps in log.items():
        shown = alone.reset(np.zeros(1, int), seeds(7, TRAINING, np.array([number])))[0]
        for frame, action, reward, terminated in steps:
            assert np.array_equal(frame, shown)
            alone.send(np.array([action]))
            seen = alone.receive()
            shown = seen.frames[0]
            assert (float(seen.rewards[0]), bool(seen.terminated[0])) == (reward, terminated)
        if number in ended:
            assert bool(seen.terminated[0] | seen.truncated[0])
            assert number not in last or np.array_equal(last[number], shown)
            gains = [reward for _, _, reward, _ in steps]
            wanted = Episode(number, sum(gains), sum(np.sign(gains)), len(steps))
            assert ended[number] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("name", [*OWN, ATARI[1], pytest.param(ATARI[0], marks=pytest.mark.slow)])
def test_gone_on_with_is_never_stopped(name: str, tmp_path: Path, request: pytest.FixtureRequest):
    """Saved where some rest, where one has just begun, and at the very beginning."""
    atari = name in ATARI  # where an episode begins in 0.1 s
    if atari:
        request.getfixturevalue("short")
    rng, count = np.random.default_rng(2), 2 if atari else 3
    straight, resumed = (Played(open_envs(name, count), 5) for _ in range(2))
    kinds, step = {(False, False)} if atari else set[tuple[bool, bool]](), 0
    while len(kinds) < 3 and step < 200:
        kind = (bool(straight.resting.any()), bool((straight.ages == 0).any()))
        if kind not in kinds:
            kinds.add(kind)
            torch.save(straight.state_dict(), tmp_path / "state")
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
            assert looks(resumed) == looks(straight)
            here, there = (np.random.default_rng(step) for _ in range(2))
            for _ in range(12):
                for left, right in zip(turn(straight, here), turn(resumed, there), strict=True):
                    assert np.array_equal(left, right)
                assert looks(resumed) == looks(straight)
        turn(straight, rng)
        if atari and step == 3:  # games out of step with each other
            straight.frames[:1] = straight._reset(np.zeros(1, int))
        step += 1
    assert len(kinds) == 3
    for played in (straight, resumed):
        played.envs.close()


def test_sticky_actions_are_the_episodes_own(short: None):
    """Atari's random repetitions come from the seed, too: the same again, and another seed's are others."""
    envs = open_envs("ALE/Breakout-v5", 2)
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 4, (12, 2))

    def frames(*numbers: int) -> np.ndarray:
        shown = [envs.reset(np.arange(2), np.array(numbers))]
        for pair in actions:
            envs.send(pair)
            shown.append(envs.receive().frames)
        return np.array(shown)

    first = frames(3, 4)
    assert np.array_equal(frames(3, 4), first)
    assert not np.array_equal(frames(5, 4)[-1, 0], first[-1, 0])
    envs.close()


def test_an_environment_that_is_not_deterministic_is_told():
    played = Played(open_envs(SWAYING, 2), 0)
    turn(played, np.random.default_rng(0))
    with pytest.warns(GipiWarning, match=f"{SWAYING} is not deterministic: its episodes go on elsewhere than before"):
        Played(open_envs(SWAYING, 2), 0).load_state_dict(played.state_dict())


def test_another_number_of_environments():
    state = Played(open_envs("catch", 2), 0).state_dict()
    with pytest.raises(ValueError, match="2 environments were played, now there are 3"):
        Played(open_envs("catch", 3), 0).load_state_dict(state)


def test_an_error_begins_new_episodes_and_may_be_gone_on_from(monkeypatch: pytest.MonkeyPatch):
    played, rng = Played(open_envs(BREAKING, 3), 0), np.random.default_rng(0)
    for _ in range(4):
        turn(played, rng)
    before = max(played._episodes)
    monkeypatch.setattr(Breaking, "left", 2)
    with pytest.raises(EnvError, match="the lamp went out"):
        turn(played, rng)
    assert (played.ages == 0).all()
    assert not played.resting.any()
    assert played.ended == []
    assert (played._episodes > before).all()
    again = Played(open_envs(BREAKING, 3), 0)
    again.load_state_dict(played.state_dict())
    assert looks(again) == looks(played)
    turn(played, rng)


def test_an_error_while_episodes_are_played_again_is_ours(monkeypatch: pytest.MonkeyPatch):
    played, rng = Played(open_envs(BREAKING, 3), 0), np.random.default_rng(0)
    for _ in range(3):
        turn(played, rng)
    state = played.state_dict()
    monkeypatch.setattr(Breaking, "left", 2)
    with pytest.raises(RunError, match="the lamp went out"):
        played.load_state_dict(state)


def test_a_saved_state_is_a_copy():
    played, rng = Played(open_envs("catch", 2), 0), np.random.default_rng(0)
    for _ in range(5):
        turn(played, rng)
    state, want = played.state_dict(), looks(played)
    for _ in range(20):
        turn(played, rng)
    again = Played(open_envs("catch", 2), 0)
    again.load_state_dict(state)
    assert looks(again) == want
    for _ in range(20):
        turn(again, rng)
    played.load_state_dict(state)
    assert looks(played) == want


def test_seeds_differ_by_episode_purpose_and_training():
    every = [seeds(seed, purpose, np.arange(500)) for seed in (0, 1, 2**31 - 1) for purpose in (TRAINING, TEST)]
    flat = np.concatenate(every)
    assert flat.dtype == np.int64
    assert flat.min() >= 0
    assert flat.max() < 2**31
    assert len({*flat.tolist()}) > len(flat) - 5  # of 2**31 two may be alike
    assert np.array_equal(seeds(1, TEST, np.array([7, 3])), every[3][[7, 3]])
