"""A game's film against the game itself; what moves a player's values, of pixels and of numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from gipi.errors import ConfigError
from gipi.ops.draw_game import CHOSEN, RANDOM, Screen
from gipi.tasks import watch as module
from gipi.tasks.watch import GameReel, film_of_game, what_moves
from oracle.films import watched
from oracle.gamer import gamer


@pytest.fixture(scope="module")
def player():
    return gamer()


@pytest.fixture(scope="module")
def reel(player):
    return film_of_game(player, seed=3, epsilon=0.3)


def test_each_frame_is_that_of_its_moment_on_the_scale_of_all(player, reel):
    game = list(player.game(seed=3, epsilon=0.3))
    values = torch.stack([moment.values for moment in game])
    screen = Screen(*game[0].picture.shape[:2], ("left", "stay", "right"), float(values.min()), float(values.max()))
    assert len(reel.frames) - 1 == reel.steps == len(game) > 5
    assert {moment.chance for moment in game} == {True, False}
    for number in (0, 4, len(game) - 1):
        moment, past = game[number], values[: number + 1].amax(1).numpy()
        frame = screen.draw(
            moment.picture,
            moment.values.numpy(),
            moment.action,
            moment.total - moment.reward,
            number + 1,
            past,
            chance=moment.chance,
        )
        assert np.array_equal(np.asarray(reel.frames[number]), np.asarray(frame))
    assert all(np.array_equal(before.after, moment.picture) for before, moment in pairwise(game))
    assert np.array_equal(np.asarray(reel.draw())[: moment.after.shape[0], : moment.after.shape[1]], moment.after)
    assert np.array_equal(np.asarray(reel.draw()), np.asarray(list(reel.frames)[-1]))
    assert reel.total == game[-1].total in (-1, 1)
    assert reel.over


def test_what_is_told(reel):
    assert str(reel) == f"return {reel.total:g}, {reel.steps} steps"
    assert reel.json() == {
        "return": reel.total, "steps": reel.steps, "over": True, "frames": reel.steps + 1, "seconds": pytest.approx(reel.seconds),
        "environment": "catch", "seed": 3, "epsilon": 0.3,
    }  # fmt: skip
    assert (
        str(GameReel((Image.new("RGB", (2, 2)),) * 3001, 20, total=12345.5, over=False)) == "return 12,345.5 so far, 3,000 steps"
    )


def test_same_seed_gives_the_same_game_another_one_another(player, reel):
    again, other = (film_of_game(player, seed=seed, epsilon=0.3) for seed in (3, 4))
    assert [moment.picture for moment in again.frames.kept] == [moment.picture for moment in reel.frames.kept]
    assert [moment.picture for moment in other.frames.kept] != [moment.picture for moment in reel.frames.kept]


def test_a_game_that_is_cut_goes_on_one_of_just_that_length_is_over(player, reel):
    cut, whole = (film_of_game(player, seed=3, epsilon=0.3, most=reel.steps - less) for less in (1, 0))
    assert (cut.steps, cut.over, cut.total) == (reel.steps - 1, False, 0.0)
    assert str(cut).startswith("return 0 so far, ")
    assert (whole.steps, whole.over, whole.total) == (reel.steps, True, reel.total)


def test_chance_is_marked_where_there_is_any(player, monkeypatch):
    marks = []
    monkeypatch.setattr(Screen, "draw", lambda screen, *moment, chance: marks.append(chance))
    for epsilon in (0.0, 1.0):
        list(film_of_game(player, seed=3, epsilon=epsilon).frames)
    assert set(marks[: len(marks) // 2]) == {False}
    assert set(marks[len(marks) // 2 :]) == {True}
    assert CHOSEN != RANDOM


def test_films_of_either_kind_show_it_at_the_games_own_pace(reel, tmp_path):
    reel.save(tmp_path / "game.gif")
    with Image.open(tmp_path / "game.gif") as film:
        assert (film.n_frames, film.size) == (reel.steps + 1, reel.frames[0].size)
        film.seek(2)
        off = np.asarray(film.convert("RGB")).astype(int) - np.asarray(reel.frames[2])
        assert film.info["duration"] == pytest.approx(reel.each_ms, abs=10)
    assert np.abs(off).mean() < 1
    reel.save(tmp_path / "game.mp4")
    pictures, times, rate, _ = watched(tmp_path / "game.mp4")
    assert float(rate) == pytest.approx(1000 / reel.each_ms)
    assert len(pictures) == reel.steps + 2000 // reel.each_ms
    assert times[1] == pytest.approx(reel.each_ms / 1000, rel=0.01)
    assert np.abs(pictures[5].astype(int) - np.asarray(reel.frames[5])).mean() < 3
    with pytest.raises(ConfigError, match=r"cannot write a film .*game\.png"):
        reel.save(tmp_path / "game.png")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"most": 0}, "--steps is 0, allowed are 1 to 100,000"),
        ({"epsilon": 1.5}, "--epsilon is 1.5"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_values_out_of_range_are_refused(player, asked, says):
    with pytest.raises(ConfigError, match=says):
        film_of_game(player, **asked)


def test_what_moves_values_is_shown_of_moments_spread_over_the_game(player):
    steps = len(list(player.game(seed=3, most=99)))
    fig = what_moves(player, 3)
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    shown = [int(title.removeprefix("step ")) for title in titles[::2]]
    assert len(shown) == 6
    assert shown == sorted(set(shown))
    assert 1 <= shown[0] <= steps / 5
    assert steps - steps / 5 <= shown[-1] <= steps
    assert all(title.startswith("up to ") for title in titles[1::2])


def test_numbers_are_swept_over_the_range_of_the_game(monkeypatch):
    player, found = gamer("CartPole-v1", "dqn-mlp"), {}
    monkeypatch.setattr(
        module, "numbers_figure", lambda values, states, low, high, *names: found.update(low=low, high=high, n=names)
    )
    what_moves(player, 5)
    seen = torch.cat([moment.stacked[:, :, 0, 0] for moment in player.game(seed=5)])
    torch.testing.assert_close(found["low"], seen.amin(0))
    torch.testing.assert_close(found["high"], seen.amax(0))
    assert found["n"][0] == ("left", "right")
    assert "angle of the pole, rad" in found["n"][1]
