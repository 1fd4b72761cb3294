"""Feature maps in colours: the page's pictures are those of the figure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gipi.inspect.figures import features
from gipi.inspect.maps import coloured, scale, shown, strip


@pytest.mark.parametrize("values", [torch.randn(20, 8, 6), torch.zeros(3, 4, 4), torch.full((2, 4, 4), torch.nan)])
def test_a_strip_has_the_colours_of_the_figure(values: torch.Tensor) -> None:
    fig = features([("layer", values)], torch.zeros(1, 8, 8, dtype=torch.uint8))
    theirs = [ax.images[0].to_rgba(ax.images[0].get_array(), bytes=True)[..., :3] for ax in fig.axes[1:]]
    assert np.array_equal(np.asarray(strip(values)), np.concatenate(theirs, 1))


def test_white_is_zero_blue_positive_red_negative() -> None:
    channels = np.array([[[0.0, 1.0, -1.0]]], np.float32)
    white, blue, red = coloured(channels, scale(channels))[0, 0].astype(int)
    assert white.min() > 240
    assert blue[2] > blue[0] + 50
    assert red[0] > red[2] + 50


@pytest.mark.parametrize(("size", "side"), [((56, 56), (56, 56)), ((57, 30), (29, 15)), ((224, 224), (56, 56)), ((1, 1), (1, 1))])
def test_large_channels_are_reduced_by_a_whole_number(size: tuple[int, int], side: tuple[int, int]) -> None:
    assert strip(torch.randn(20, *size)).size == (16 * side[1], side[0])


def test_at_most_16_channels_are_copied() -> None:
    assert shown(torch.zeros(64, 2, 2, dtype=torch.bfloat16)).shape == (16, 2, 2)
