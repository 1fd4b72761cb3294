"""Moves of pixels against their definition, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from torch import Tensor

from gipi.ops.random import uniforms
from gipi.ops.segmentation import VOID
from gipi.ops.warp import CELLS, KNOTS, bend, moves, sample, sample_masks, spline


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def moved(
    images: Tensor,
    angle: float = 0,
    shear: float = 0,
    scale: float = 1,
    shift: tuple[float, float] = (0, 0),
    mirror: bool = False,
    bent: Tensor | None = None,
) -> Tensor:
    n = len(images)
    grid = moves(
        (images.shape[2], images.shape[3]),
        (images.shape[2], images.shape[3]),
        angle_deg=torch.full((n,), float(angle)),
        shear_deg=torch.full((n,), float(shear)),
        scale=torch.full((n,), float(scale)),
        shift_px=torch.tensor([shift], dtype=torch.float32).repeat(n, 1),
        mirror=torch.full((n,), mirror),
        bend_px=bent,
    )
    return sample(images, grid)


def moved_pixel_by_pixel(
    image: np.ndarray, angle: float, shear: float, scale: float, shift: tuple[float, float], mirror: bool, bend: np.ndarray
) -> np.ndarray:
    """The definition: where does each pixel of the result come from, and what do its four neighbours there weigh."""
    height, width = image.shape
    turn, result = complex(math.cos(math.radians(angle)), math.sin(math.radians(angle))), np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            # A complex number points right and UP from the centre.
            place = complex(column - (width - 1) / 2 - shift[0], -(row - (height - 1) / 2 - shift[1]))
            source = place / turn / scale
            source += source.imag * math.tan(math.radians(shear))  # what leans to the left is pushed back to the right
            x = (-source.real if mirror else source.real) + (width - 1) / 2 + bend[row, column, 0]
            y = -source.imag + (height - 1) / 2 + bend[row, column, 1]
            for j in (math.floor(y), math.floor(y) + 1):
                for i in (math.floor(x), math.floor(x) + 1):
                    if 0 <= j < height and 0 <= i < width:
                        result[row, column] += image[j, i] * (1 - abs(x - i)) * (1 - abs(y - j))
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 9),
    st.integers(2, 9),
    st.floats(-180, 180),
    st.floats(-60, 60),
    st.floats(0.5, 2),
    st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
    st.booleans(),
    st.floats(0, 3),
)
def test_moves_are_their_definition(height, width, angle, shear, scale, shift, mirror, far) -> None:
    images, field = noise(1, 2, height, width), (noise(1, height, width, 2) * 2 - 1) * far
    by_hand = (angle, shear, scale, shift, mirror, field[0].double().numpy())
    expected = [moved_pixel_by_pixel(channel.double().numpy(), *by_hand) for channel in images[0]]
    result = moved(images, angle, shear, scale, shift, mirror, field)
    assert np.allclose(result[0].numpy(), expected, atol=2e-4)
    without = moved(images, angle, shear, scale, shift, mirror)
    assert torch.equal(without, moved(images, angle, shear, scale, shift, mirror, torch.zeros_like(field)))


def test_nothing_to_do_changes_nothing() -> None:
    images = noise(3, 2, 28, 31)
    assert torch.allclose(moved(images), images, atol=1e-5)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    images = noise(2, 3, 28, 28)
    assert torch.allclose(moved(images, angle=90), torch.rot90(images, 1, (2, 3)), atol=1e-5)


def test_a_whole_shift_goes_right_and_down_and_lets_zeros_in() -> None:
    images = noise(2, 1, 12, 15)
    expected = torch.zeros_like(images)
    expected[..., 2:, 3:] = images[..., :-2, :-3]
    assert torch.allclose(moved(images, shift=(3, 2)), expected, atol=1e-5)


def test_scale_two_doubles_a_bright_square() -> None:
    images = torch.zeros(1, 1, 32, 32)
    images[..., 12:20, 12:20] = 1
    assert moved(images, scale=2).sum().item() == pytest.approx(4 * 64, rel=1e-4)


def test_a_slant_of_45_degrees_lays_an_upright_line_from_the_upper_left_to_the_lower_right() -> None:
    images = torch.zeros(1, 1, 9, 9)
    images[..., 4] = 1
    assert torch.allclose(moved(images, shear=45)[0, 0], torch.eye(9), atol=1e-5)


def test_a_mirror_swaps_left_and_right() -> None:
    images = noise(2, 3, 12, 15)
    assert torch.allclose(moved(images, mirror=True), images.flip(3), atol=1e-5)


def test_each_image_moves_by_its_own_numbers() -> None:
    images = noise(3, 1, 16, 16)
    numbers = {
        "angle_deg": torch.tensor([0.0, 30.0, -70.0]),
        "shear_deg": torch.tensor([10.0, 0.0, -30.0]),
        "scale": torch.tensor([1.0, 0.7, 1.3]),
        "shift_px": noise(3, 2) * 4,
        "mirror": torch.tensor([False, True, True]),
        "bend_px": noise(3, 16, 16, 2),
    }
    together = sample(images, moves((16, 16), (16, 16), **numbers))
    for i in range(3):
        one = sample(images[i : i + 1], moves((16, 16), (16, 16), **{name: value[i : i + 1] for name, value in numbers.items()}))
        assert torch.allclose(together[i], one[0], atol=1e-5)


@pytest.mark.parametrize("length", [1, 5, 28, 41])
def test_the_spline_is_that_of_scipy(length: int) -> None:
    weights = spline(length)
    assert torch.allclose(weights.sum(1), torch.ones(length), atol=1e-6)
    assert weights.min() >= 0
    knots = np.arange(-3, CELLS + 4)
    places = (np.arange(length) + 0.5) * CELLS / length
    assert np.allclose(weights, BSpline(knots, np.eye(KNOTS), 3)(places), atol=1e-6)


def test_a_bend_is_the_spline_over_its_knots() -> None:
    """Two numbers, right and down, for each row and column of knots."""
    draw = uniforms(3, 1, torch.arange(3), 2 * KNOTS**2)
    knots = draw.double().numpy().reshape(3, 2, KNOTS, KNOTS) * 2 - 1
    expected = np.einsum("ya,nkab,xb->nyxk", spline(20), knots, spline(27))
    assert np.allclose(bend(draw, 20, 27), expected, atol=1e-6)


# ---- masks


def test_a_mask_takes_the_class_of_the_nearest_pixel_and_void_outside() -> None:
    """The definition, in loops, over places that are nowhere in the middle between two pixels."""
    masks = torch.randint(0, 12, (4, 7, 9), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    masks[masks == 11] = VOID
    grid = noise(4, 6, 5, 2) * 3 - 1.5
    result, outside = sample_masks(masks, grid), 0
    for image in range(4):
        for row in range(6):
            for column in range(5):
                across, down = grid[image, row, column].double().tolist()
                x, y = (across + 1) / 2 * 9 - 0.5, (down + 1) / 2 * 7 - 0.5
                distances = {(j, i): (i - x) ** 2 + (j - y) ** 2 for j in range(-20, 30) for i in range(-20, 30)}
                j, i = min(distances, key=distances.__getitem__)
                inside = 0 <= j < 7 and 0 <= i < 9
                outside += not inside
                assert result[image, row, column] == (masks[image, j, i] if inside else VOID)
    assert 20 < outside < 100
    assert (result.dtype, result.shape) == (torch.uint8, (4, 6, 5))


@pytest.mark.parametrize("size", [(7, 9), (360, 480)])
def test_a_mask_of_any_class_stays_where_nothing_moves(size: tuple[int, int]) -> None:
    masks = torch.arange(256, dtype=torch.uint8).repeat(size[0] * size[1])[: size[0] * size[1]].view(1, *size)
    none, one = torch.zeros(1), torch.ones(1)
    still = moves(size, size, angle_deg=none, shear_deg=none, scale=one, shift_px=torch.zeros(1, 2), mirror=none > 0)
    assert torch.equal(sample_masks(masks, still), masks)
