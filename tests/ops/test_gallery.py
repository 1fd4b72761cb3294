"""Pictures of many images, each read back from its place; the way along a sphere against quaternions and its laws."""

import math

import numpy as np
import pytest
import torch

from gipi.ops.gallery import GAP, equation, grid
from gipi.ops.slerp import slerp


def some(count, channels=1, height=28, width=28):
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("count", "channels", "size", "columns", "across"),
    [(1, 1, 28, None, 1), (5, 1, 28, None, 3), (64, 3, 32, None, 8), (7, 3, 64, 3, 3), (3, 1, 7, 10, 3), (6, 1, 56, 6, 6)],
)
def test_every_image_is_at_its_place_and_white_is_between(count, channels, size, columns, across):
    images = some(count, channels, size, size)
    picture = np.asarray(grid(images, columns)).reshape(-1, grid(images, columns).width, channels)
    times = max(1, math.ceil(56 / size))
    step, rows = times * size + GAP, math.ceil(count / across)
    assert picture.shape == (rows * step - GAP, across * step - GAP, channels)
    white = np.ones(picture.shape[:2], bool)
    for number, image in enumerate(images):
        top, left = number // across * step, number % across * step
        tile = picture[top : top + step - GAP, left : left + step - GAP]
        white[top : top + step - GAP, left : left + step - GAP] = False
        for down in range(times):
            assert np.array_equal(tile[down::times, down::times], image.permute(1, 2, 0).numpy())
    assert (picture[white] == 255).all()


def test_the_shorter_side_decides_how_much_an_image_is_enlarged():
    assert grid(some(1, 3, 28, 60)).size == (120, 56)


def test_grey_images_give_a_grey_picture():
    assert grid(some(2)).mode == "L"
    assert grid(some(2, 3)).mode == "RGB"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("signs", [("+", "-", "+"), ("-", "+", "+")])
def test_an_equation_shows_sources_terms_and_result_from_left_to_right(channels, signs):
    sources, terms, result = (
        [some(3, channels), some(1, channels), some(2, channels)],
        some(4, channels)[:3],
        some(9, channels)[0],
    )
    picture = equation(sources, terms, signs, result)
    values = np.asarray(picture).reshape(picture.height, picture.width, channels)
    assert picture.height == 3 * 56 + 2 * GAP + 4 * GAP + 56
    found = []
    for tile in [*terms, result]:
        wanted = np.repeat(np.repeat(tile.permute(1, 2, 0).numpy(), 2, 0), 2, 1)
        bottom = values[-56:]
        places = [x for x in range(picture.width - 55) if np.array_equal(bottom[:, x : x + 56], wanted)]
        assert len(places) == 1
        found += places
    assert found == sorted(found)
    assert found[0] == (28 if signs[0] == "-" else 0)
    assert np.diff(found).tolist() == [84, 84, 84]
    for number, images in enumerate(sources):
        above = values[: -56 - 4 * GAP, found[number] : found[number] + 56]
        if len(images) == 1:
            assert (above == 255).all()
        else:
            assert np.array_equal(above[-56::2, ::2], images[-1].permute(1, 2, 0).numpy())
    for place, sign in zip(found[1:], [*signs[1:], "="], strict=True):
        ink = (values[-56:, place - 28 : place] < 128).any(2)
        assert ink.any()
        assert (ink.any(1).sum() > 8) == (sign == "+") or sign == "="


def test_the_way_along_a_sphere_is_that_of_quaternions():
    from math import cos, sin

    start, end = torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[cos(0.7), sin(0.7), 0, 0]])
    way = slerp(start, end, torch.linspace(0, 1, 5))
    for number, point in enumerate(way[0]):
        assert point.tolist() == pytest.approx([cos(0.175 * number), sin(0.175 * number), 0, 0], abs=1e-6)


def test_the_way_begins_and_ends_where_it_is_told_and_keeps_the_length():
    generator = torch.Generator().manual_seed(0)
    start, end = torch.randn(20, 100, generator=generator), torch.randn(20, 100, generator=generator)
    end *= start.norm(dim=1, keepdim=True) / end.norm(dim=1, keepdim=True)
    way = slerp(start, end, torch.linspace(0, 1, 11))
    assert torch.allclose(way[:, 0], start, atol=1e-5)
    assert torch.allclose(way[:, -1], end, atol=1e-5)
    assert torch.allclose(way.norm(dim=2), start.norm(dim=1, keepdim=True).expand(-1, 11), rtol=1e-5)
    assert torch.allclose(way.diff(dim=1).norm(dim=2), way.diff(dim=1).norm(dim=2)[:, :1].expand(-1, 10), rtol=1e-4)
    back = slerp(end, start, torch.linspace(0, 1, 11))
    assert torch.allclose(back.flip(1), way, atol=1e-5)


def test_lengths_that_differ_change_evenly():
    start, end = torch.tensor([[2.0, 0, 0]]), torch.tensor([[0, 6.0, 0]])
    assert slerp(start, end, torch.linspace(0, 1, 5)).norm(dim=2)[0].tolist() == pytest.approx([2, 3, 4, 5, 6])


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0, 1 + 1e-7])
def test_the_way_between_vectors_on_one_line_is_straight(factor):
    start = torch.tensor([[1.0, 2.0, -2.0]])
    way = slerp(start, factor * start, torch.tensor([0.0, 0.25, 1.0]))
    for share, point in zip((0, 0.25, 1), way[0], strict=True):
        assert torch.allclose(point, start[0] * (1 + share * (factor - 1)), atol=1e-5)
