"""Frames of a game's film: what is at its place, how long bars are, where the curve runs, measured in pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageColor

from gipi.ops.draw_game import CHOSEN, PALE, PANEL, RANDOM, Screen

ATARI = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE", "RIGHTFIRE",
    "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE",
)  # fmt: skip
PAST = np.array([0.5])


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def drawn(screen, values, action=0, past=PAST, *, shape=(10, 10), score=0.0, step=1, chance=False):
    frame = screen.draw(picture(*shape), np.array(values, np.float32), action, score, step, past, chance=chance)
    assert frame.size == screen.size
    return np.asarray(frame).astype(int)


def painted(frame, colour):
    return (frame == ImageColor.getrgb(colour)).all(2)


def bars(screen, frame, colour):
    """First column and length of the bar of each action, 0 where there is none of this colour."""
    start, end = screen.bars
    rows = [painted(frame, colour)[screen._middle(number), start : end + 1] for number in range(3)]
    return [(start + int(row.argmax()), int(row.sum())) if row.any() else (0, 0) for row in rows]


@pytest.mark.parametrize("count", [2, 3, 6, 18])
@pytest.mark.parametrize(("shape", "times"), [((10, 10), 42), ((84, 84), 5), ((210, 160), 2), ((400, 600), 1), ((43, 31), 10)])
def test_frames_are_even_and_the_game_is_in_them_enlarged_pixel_by_pixel(count, shape, times):
    screen = Screen(*shape, ATARI[:count], -1.0, 2.0)
    frame = drawn(screen, np.linspace(-1, 2, count), shape=shape)
    width, height = screen.size
    assert width % 2 == height % 2 == 0
    game = np.kron(picture(*shape), np.ones((times, times, 1), int))
    top = (height - shape[0] * times) // 2
    assert np.array_equal(frame[top : top + shape[0] * times, : shape[1] * times], game)
    assert screen.top + screen.row * count < height
    assert screen.bars[1] - screen.bars[0] > PANEL // 4, "no room for bars"


def test_bars_are_as_long_as_the_values_on_one_scale():
    screen = Screen(10, 10, ("left", "stay", "right"), -1.0, 3.0)
    start, end = screen.bars
    zero, unit = start + (end - start) / 4, (end - start) / 4
    frame = drawn(screen, [3.0, -1.0, 1.5], action=2)
    (first, length), (second, left), _ = bars(screen, frame, PALE)
    assert (first, length) == (pytest.approx(zero, abs=1), pytest.approx(3 * unit, abs=2))
    assert (second, left) == (start, pytest.approx(unit, abs=2))
    assert bars(screen, frame, CHOSEN)[2] == (pytest.approx(zero, abs=1), pytest.approx(1.5 * unit, abs=2))
    assert bars(screen, frame, CHOSEN)[:2] == [(0, 0)] * 2
    assert bars(screen, drawn(screen, [3.0, 3.0, 3.0]), PALE)[1] == (first, length)  # whatever the others are


def test_bars_begin_at_the_low_end_where_zero_is_off_the_scale():
    screen = Screen(10, 10, ("left", "right"), 60.0, 100.0)
    frame = drawn(screen, [70.0, 100.0], action=1)
    start, end = screen.bars
    assert bars(screen, frame, PALE)[0] == (start, pytest.approx((end - start) / 4, abs=2))
    assert bars(screen, frame, CHOSEN)[1] == (start, pytest.approx(end - start, abs=2))


def test_what_chance_chose_has_another_colour():
    screen = Screen(10, 10, ("left", "right"), 0.0, 1.0)
    plain, random = (drawn(screen, [0.5, 1.0], action=0, chance=chance) for chance in (False, True))
    assert bars(screen, plain, CHOSEN)[0] == bars(screen, random, RANDOM)[0] != (0, 0)
    assert bars(screen, random, CHOSEN)[0] == (0, 0)
    assert bars(screen, plain, PALE)[1] == bars(screen, random, PALE)[1] != (0, 0)


def line(screen, frame):
    """The row of the curve in each column, from the top of its place; nan where it is not."""
    top = screen.top - 18 - screen.curve
    part = painted(frame, CHOSEN)[top : top + screen.curve, screen.left : screen.right]
    rows = np.arange(len(part))[:, None]
    with np.errstate(invalid="ignore"):
        return (part * rows).sum(0) / part.sum(0)


def test_the_curve_runs_from_the_bottom_to_the_top_of_the_scale_and_ends_at_the_right():
    screen = Screen(210, 160, ("left", "right"), 2.0, 4.0)
    whole = line(screen, drawn(screen, [2, 4], past=np.linspace(2, 4, 100), shape=(210, 160)))
    height = screen.curve
    expected = np.interp(np.arange(len(whole)), [0, len(whole) - 2], [height - 2.5, 1.5])
    assert np.abs(whole - expected).max() < 1.5
    half = line(screen, drawn(screen, [2, 4], past=np.full(50, 3.0), shape=(210, 160)))
    assert np.isnan(half[: len(half) // 2 - 2]).all()
    assert np.allclose(half[len(half) // 2 + 5 :], (height - 1) / 2, atol=1)


def test_only_the_last_hundred_steps_are_drawn():
    screen = Screen(10, 10, ("left", "right"), 0.0, 1.0)
    past = np.random.default_rng(1).random(250)
    frames = [drawn(screen, [0.5, 1.0], past=past[first:]) for first in (0, 150, 151)]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


@pytest.mark.parametrize("value", [0.0, -3.5, 1e-7, 12345.0])
def test_values_that_are_all_the_same_have_a_scale_too(value):
    screen = Screen(10, 10, ("left", "right"), value, value)
    assert np.array_equal(drawn(screen, [value, value]), drawn(screen, [value, value]))
    assert screen.high > screen.low


def test_numbers_names_and_bars_leave_each_other_room():
    for low, high in ((-0.001, 0.002), (-1.0, 1.0), (-100.0, 25_000.0)):
        screen = Screen(84, 84, ATARI, low, high)
        numbers = [screen.usual.getlength(screen._number(value)) for value in np.linspace(low, high, 50)]
        assert screen.bars[1] + 4 < screen.right - max(numbers)
        assert screen.bars[0] > screen.left + 100
    assert screen._number(-100.0) == "\N{MINUS SIGN}100"


def test_score_and_step_are_written():
    screen = Screen(10, 10, ("left", "right"), 0.0, 1.0)
    frames = [drawn(screen, [0, 1], score=score, step=step) for score, step in ((0.0, 1), (21.0, 1), (0.0, 1672))]
    middle = (screen.left + screen.right) // 2
    top = [frame[:58, screen.left : middle] for frame in frames], [frame[:58, middle:] for frame in frames]
    assert not np.array_equal(top[0][0], top[0][1])
    assert np.array_equal(top[0][0], top[0][2])
    assert not np.array_equal(top[1][0], top[1][2])
    assert np.array_equal(top[1][0], top[1][1])
