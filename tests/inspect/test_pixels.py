"""What moves a player's values, on nets of which it is known: one looks at one pixel, one at nothing, one at a product."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gipi.inspect import pixels as module
from gipi.inspect.figures import png_bytes
from gipi.inspect.pixels import BLUR_PX, SPOT, State, moved_by, numbers_figure, pixels_figure, spread, sweeps
from oracle.pictures import unreadable

WEIGHTS = torch.tensor([[1.0, -2.0, 0.5]])


def only(row: int, column: int, channel: int = -1):
    """Values that are multiples of one pixel."""
    return lambda frames: frames[:, channel, row, column, None].float() * WEIGHTS + 7


def nothing(frames: Tensor) -> Tensor:
    return torch.ones(len(frames), 3)


def frames(channels: int = 4, height: int = 12, width: int = 10) -> Tensor:
    torch.manual_seed(2)
    return torch.randint(0, 256, (1, channels, height, width), dtype=torch.uint8)


def blurred(frame: Tensor, row: int, column: int) -> float:
    """The mean around a pixel, weighted by nearness, written out."""
    total = weights = 0.0
    for i in range(frame.shape[0]):
        for j in range(frame.shape[1]):
            weight = float(torch.exp(torch.tensor(-((i - row) ** 2 + (j - column) ** 2) / (2 * BLUR_PX**2))))
            total, weights = total + weight * float(frame[i, j]), weights + weight
    return total / weights


@pytest.mark.parametrize("channel", [-1, 0])
@pytest.mark.parametrize(("row", "column"), [(4, 6), (0, 9), (11, 0)])
def test_heat_of_a_net_that_looks_at_one_pixel_is_a_spot_there(row, column, channel):
    stacked = frames()
    heat = moved_by(only(row, column, channel), stacked)
    change = blurred(stacked[0, channel], row, column) - float(stacked[0, channel, row, column])
    expected = torch.empty(12, 10)
    for i in range(12):
        for j in range(10):
            near = torch.exp(torch.tensor(-((i - row) ** 2 + (j - column) ** 2) / (2 * (SPOT * 12) ** 2)))
            expected[i, j] = abs(change) * float(near) * float(WEIGHTS.norm())
    torch.testing.assert_close(heat, expected, rtol=1e-3, atol=1e-3)
    assert divmod(int(heat.argmax()), 10) == (row, column)
    far = (torch.arange(12)[:, None] - row).abs() + (torch.arange(10) - column).abs() > 4
    assert float(heat[far].max()) < 1e-3 * float(heat.max())


def test_large_pictures_are_hot_around_the_pixel_only():
    stacked = torch.zeros(1, 4, 84, 84, dtype=torch.uint8)
    stacked[:, :, 40, 22] = 255
    heat = moved_by(only(40, 22), stacked)
    assert heat.shape == (84, 84)
    row, column = divmod(int(heat.argmax()), 84)
    assert abs(row - 40) <= 2
    assert abs(column - 22) <= 2
    rows, columns = torch.meshgrid(torch.arange(84), torch.arange(84), indexing="ij")
    far = (rows - 40) ** 2 + (columns - 22) ** 2 > 25**2
    assert float(heat[far].max()) < 1e-3 * float(heat.max())


def test_a_net_that_looks_at_nothing_and_a_picture_of_nothing_give_no_heat():
    assert torch.equal(moved_by(nothing, frames()), torch.zeros(12, 10))
    even = torch.full((1, 4, 12, 10), 90, dtype=torch.uint8)
    assert float(moved_by(only(3, 3), even).max()) < 1e-3


def test_batches_do_not_matter(monkeypatch):
    sizes = []

    def values(given):
        sizes.append(len(given))
        return only(2, 2)(given)

    whole = moved_by(values, frames())
    monkeypatch.setattr(module, "AT_ONCE", 7)
    torch.testing.assert_close(moved_by(values, frames()), whole)
    assert sizes[:2] == [1, 120]
    assert max(sizes[2:]) == 7


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 13, 1000])
def test_moments_are_spread_evenly(count):
    places = spread(count)
    assert len(places) == len(set(places)) == min(6, count)
    assert min(places) >= 0
    assert max(places) < count
    assert [count - 1 - place for place in reversed(places)] == pytest.approx(places, abs=1)


def states(values, count=6, **size):
    stacked = [(frames(**size) + 40 * number) for number in range(count)]
    return [State(one, values(one)[0], number % 3, 100 * number) for number, one in enumerate(stacked)]


@pytest.mark.parametrize(("channels", "count"), [(1, 6), (3, 1), (1, 3)])
def test_figure_shows_each_frame_then_its_heat_on_one_scale(channels, count):
    values = only(4, 6)
    shown = states(values, count, channels=4 * channels)
    fig = pixels_figure(values, shown, ("left", "DOWNRIGHT$_{ and more", "right"), channels)
    heats = [moved_by(values, state.stacked) for state in shown]
    peak = max(float(heat.max()) for heat in heats)
    assert len(fig.axes) == 2 * count
    for number, (state, heat) in enumerate(zip(shown, heats, strict=True)):
        plain, hot = fig.axes[2 * number : 2 * number + 2]
        assert plain.get_title(loc="left") == f"step {100 * number}"
        newest = torch.from_numpy(plain.images[0].get_array().data)
        assert torch.equal(newest.view(12, 10, -1), state.stacked[0, -channels:].permute(1, 2, 0))
        torch.testing.assert_close(torch.from_numpy(hot.images[1].get_array().data), heat / peak)
        assert hot.images[1].get_clim() == (0, 1)
    texts = [text.get_text() for text in fig.texts]
    assert any(text.startswith("\N{MINUS SIGN}") for text in texts)
    assert f"{float(shown[0].values[0]):.0f}" in texts
    assert not unreadable(fig)
    assert png_bytes(fig) == png_bytes(fig)


def test_figure_of_eighteen_actions_can_be_read_and_one_of_no_heat_says_so():
    values = lambda frames: torch.ones(len(frames), 18)  # noqa: E731
    fig = pixels_figure(values, states(values), tuple(f"DOWNRIGHTFIRE{n}" for n in range(18)), 1)
    assert not unreadable(fig)
    assert "nothing" in fig.texts[0].get_text()
    assert all(float(ax.images[1].get_alpha().max()) == 0 for ax in fig.axes[1::2])


def product(numbers: Tensor) -> Tensor:
    """Two numbers multiplied, and the third alone."""
    a, b, c = numbers.flatten(1).T
    return torch.stack([a * b, c], 1)


def test_a_number_is_swept_while_the_others_stay():
    stacked = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[:, :, None, None]
    low, high = torch.tensor([0.0, -1.0, 2.0]), torch.tensor([1.0, 1.0, 2.0])
    places, found = sweeps(product, stacked, low, high)
    assert places.shape == (3, 41)
    torch.testing.assert_close(places[:, [0, -1]], torch.stack([low, high], 1))
    torch.testing.assert_close(found[0, 0], torch.stack([2 * places[0], torch.full((41,), 3.0)], 1))
    torch.testing.assert_close(found[1, 1], torch.stack([4 * places[1], torch.full((41,), 6.0)], 1))
    torch.testing.assert_close(found[2, 1], torch.stack([torch.full((41,), 20.0), places[2]], 1))


def test_of_a_history_the_newest_numbers_are_swept():
    stacked = torch.arange(6.0).view(1, 6, 1, 1)
    _, found = sweeps(lambda numbers: numbers.flatten(1), stacked, torch.tensor([10.0, 10.0]), torch.tensor([20.0, 20.0]))
    assert torch.equal(found[:, 0, :, :4], torch.arange(4.0).expand(2, 41, 4))
    assert float(found[0, 0, -1, 4]) == float(found[1, 0, -1, 5]) == 20


@pytest.mark.parametrize("count", [1, 4, 20])
def test_numbers_that_move_the_values_most_are_drawn(count):
    torch.manual_seed(0)
    weight = torch.randn(count, 3)
    values = lambda numbers: numbers.flatten(1) @ weight  # noqa: E731
    shown = [State(one, values(one)[0], 0, 0) for one in torch.randn(6, 1, count, 1, 1)]
    fig = numbers_figure(values, shown, torch.full((count,), -1.0), torch.ones(count), ("left", "$_ $", "right"))
    drawn = [ax.get_xlabel() for ax in fig.axes if ax.lines]
    most = sorted(weight.abs().amax(1).argsort(descending=True)[:12].tolist())
    assert drawn == [f"number {number + 1}" for number in most]
    assert all(len(ax.lines) == 21 for ax in fig.axes if ax.lines)
    assert png_bytes(fig) == png_bytes(fig)
    fig.draw_without_rendering()  # which brings labels to their places
    assert not unreadable(fig)
