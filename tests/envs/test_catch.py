"""Catch: every frame against one built anew, chances against counting, the hand-written player that never loses."""

import math

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.passive_env_checker import env_render_passive_checker

from gipi.envs.catch import BALL, PADDLE, Catch
from gipi.errors import ConfigError


def built(size, row, column, paddle):
    frame = np.zeros((1, size, size), np.uint8)
    for x in range(size):
        if paddle - 1 <= x <= paddle + 1:
            frame[0, size - 1, x] = PADDLE
    frame[0, row, column] = BALL
    return frame


def column_of(frame):
    return int(frame.argmax()) % frame.shape[2]  # nothing is brighter


def middle_of(frame):
    return int(np.flatnonzero(frame[0, -1]).mean())


def played(game, choose, **reset):
    """The frames, rewards and ends of a game."""
    frame, _ = game.reset(**reset)
    seen = [frame]
    while True:
        frame, reward, terminated, truncated, info = game.step(choose(seen[-1]))
        seen.append(frame)
        assert (truncated, info) == (False, {})
        if terminated:
            return seen, reward
        assert reward == 0


def scripted(actions):
    left = iter(actions)
    return lambda _: next(left)


def still(frame):
    return 1


def follow(frame):
    away = column_of(frame) - middle_of(frame)
    return 1 + (away > 0) - (away < 0)


@pytest.mark.parametrize("size", [10, 11, 16, 42])
def test_every_frame_is_the_one_that_the_rules_give(size):
    rng, game = np.random.default_rng(size), Catch(size)
    for seed in range(40):
        frame, _ = game.reset(seed=seed)
        column, paddle = column_of(frame), size // 2
        biased = rng.integers(3)  # some games reach a wall
        for row in range(size):
            assert np.array_equal(frame, built(size, row, column, paddle))
            if row < size - 1:
                action = biased if rng.random() < 0.8 else rng.integers(3)
                paddle = sorted((1, paddle + int(action) - 1, size - 2))[1]
                frame, reward, terminated, _, _ = game.step(action)
                assert terminated == (row == size - 2)
        assert reward == (1 if column in (paddle - 1, paddle, paddle + 1) else -1)


def test_a_game_is_a_function_of_seed_and_actions():
    game, twin = Catch(), Catch()
    for seed in range(20):
        actions = np.random.default_rng(seed).integers(3, size=15).tolist()
        frames, reward = played(game, scripted(actions), seed=seed)
        again, too = played(twin, scripted(actions), seed=seed)
        assert np.array_equal(frames, again)
        assert reward == too


def test_frames_given_away_stay_as_they_were_and_do_not_touch_the_game():
    game, twin = Catch(), Catch()
    frames, expected = [game.reset(seed=4)[0]], [twin.reset(seed=4)[0]]
    for _ in range(15):
        frames[-1][:] = 7
        frames.append(game.step(2)[0])
        expected.append(twin.step(2)[0])
    assert all((frame == 7).all() for frame in frames[:-1])
    assert np.array_equal(frames[-1], expected[-1])


def test_balls_come_from_every_column_as_often():
    size, count, game = 16, 8_000, Catch(16)
    game.reset(seed=0)
    columns = np.bincount([column_of(game.reset()[0]) for _ in range(count)], minlength=size)
    spread = math.sqrt(count / size * (1 - 1 / size))
    assert np.abs(columns - count / size).max() < 5 * spread


def test_a_still_paddle_catches_3_columns_of_all():
    size, count, game = 12, 2_000, Catch(12)
    game.reset(seed=1)
    won = sum(played(game, still)[1] > 0 for _ in range(count))
    chance = 3 / size
    assert abs(won - count * chance) < 5 * math.sqrt(count * chance * (1 - chance))


@pytest.mark.parametrize("size", [10, 13, 16, 42])
def test_who_follows_the_ball_always_wins(size):
    game, columns = Catch(size), set()
    for seed in range(8 * size):
        frames, reward = played(game, follow, seed=seed)
        columns.add(column_of(frames[0]))
        assert (reward, len(frames)) == (1, size)
    assert len(columns) == size


@pytest.mark.parametrize("size", [10, 16, 42])
def test_gymnasium_finds_nothing_to_say(size):
    check_env(Catch(size), skip_render_check=True)  # of a game that is not registered, it warns that it cannot make another
    env_render_passive_checker(Catch(size))


def test_names():
    assert Catch.ACTIONS == ("left", "stay", "right")
    assert Catch().observation_space.shape == (1, 16, 16)


@pytest.mark.parametrize("size", [9, 43, 0, -10, 16.0, "16", None])
def test_a_size_that_is_not_allowed(size):
    with pytest.raises(ConfigError, match=f"catch is played on 10 to 42 cells a side, got size {size!r}"):
        Catch(size)


def test_what_is_asked_wrongly_is_said_and_changes_nothing():
    game = Catch()
    with pytest.raises(ConfigError, match="catch: no game is going on; call reset before the next step"):
        game.step(1)
    frame, _ = game.reset(seed=0)
    for action in (3, -1, np.int64(7)):
        with pytest.raises(ConfigError, match=rf"^catch has no action {action} \(allowed: 0 left, 1 stay, 2 right\)$"):
            game.step(action)
    with pytest.raises(ConfigError, match=r"catch has no options of reset, got \{'column': 3\}: leave them out"):
        game.reset(options={"column": 3})
    for _ in range(15):
        last = game.step(1)
    assert last[2]
    assert column_of(last[0]) == column_of(frame)
    with pytest.raises(ConfigError, match="no game is going on"):
        game.step(1)


@pytest.mark.parametrize("size", range(10, 43))
def test_pictures_are_about_320_pixels_a_side_and_even(size):
    game = Catch(size)
    game.reset(seed=0)
    height, width, colours = game.render().shape
    assert (height, colours, height % (2 * size)) == (width, 3, 0)
    assert 288 <= height <= 350
    assert game.render().flags.writeable


def test_a_picture_shows_ball_and_paddle_apart_and_how_it_ended():
    def cells(picture):
        half = len(picture) // 32
        return picture[half :: 2 * half, half :: 2 * half].astype(int)  # the middle of each

    game, ends = Catch(), {}
    for seed in (0, 1, 3, 8):
        column = column_of(game.reset(seed=seed)[0])
        first = cells(game.render())
        ground, ball, paddle = first[8, 0], first[0, column], first[15, 8]
        for one, other in ((ground, ball), (ground, paddle), (ball, paddle)):
            assert np.abs(one - other).max() > 60
        while not (end := game.step(1))[2]:
            pass
        ends[end[1]] = tuple(cells(game.render())[15, column])
    assert len({*ends.values(), tuple(ball)}) == 3


def test_a_picture_before_the_first_game_is_the_empty_board():
    assert len(np.unique(Catch().render().reshape(-1, 3), axis=0)) == 2
