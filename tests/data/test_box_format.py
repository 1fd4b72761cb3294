"""Boxes that are written in another format than they are read in are told by how they lie in their images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.data.box_format import Written, wrong_format

HEIGHT, WIDTH = 120, 200


def boxes(seed: int, count: int) -> np.ndarray:
    """Right ones, anywhere in an image."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 0.9, (count, 2))
    end = start + rng.uniform(0.02, 1, (count, 2)) * (1 - start)
    return np.hstack([start, end]) * [WIDTH, HEIGHT, WIDTH, HEIGHT]


def sizes(count: int) -> np.ndarray:
    return np.tile([float(HEIGHT), WIDTH], (count, 1))


def misread(right: np.ndarray, written: Written) -> np.ndarray:
    """What is read if right boxes are stored in the format that is not `written`."""
    start, end = right[:, :2], right[:, 2:]
    return np.hstack([start, end - start] if written == "xyxy" else [start, start + end])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(30, 200), st.sampled_from(["xyxy", "xywh"]))
def test_right_boxes_pass_and_misread_ones_do_not(seed: int, count: int, written: Written) -> None:
    right = boxes(seed, count)
    assert not wrong_format(right, sizes(count), written)
    said = wrong_format(misread(right, written), sizes(count), written)
    assert said.startswith("its boxes seem to be x" + (", y, width, height" if written == "xyxy" else "0, y0, x1, y1"))


@pytest.mark.parametrize("written", ["xyxy", "xywh"])
def test_some_wrong_boxes_are_only_wrong(written: Written) -> None:
    """Turned round, without area, outside: many of them, too, but not in a way that the other format would mend."""
    right = boxes(1, 100)
    for wrong in (right[:, [2, 3, 0, 1]], right[:, [0, 1, 0, 1]], right + 150):
        for count in (1, 5, 40):
            assert not wrong_format(np.concatenate([wrong[:count], right[count:]]), sizes(100), written)


def test_the_evidence_is_said() -> None:
    corners = np.array([[150.0, 90, 40, 20], [20, 30, 60, 80], [100, 60, 50, 30]])
    assert wrong_format(corners, sizes(3), "xyxy") == (
        "its boxes seem to be x, y, width, height, where x0, y0, x1, y1 is expected: as such 2 of 3 have negative sides or leave their "
        "image, like 150, 90, 40, 20 in 200x120 pixels, the other way 0; write them anew: x + width and y + height are x1 and y1"
    )
    given = np.array([[150.0, 90, 190, 110], [20, 30, 80, 110], [100, 60, 150, 90]])
    assert wrong_format(misread(given, "xywh"), sizes(3), "xywh") == (
        "its boxes seem to be x0, y0, x1, y1, where x, y, width, height is expected: as such 3 of 3 have negative sides or leave their "
        "image, like 150, 90, 190, 110 in 200x120 pixels, the other way 0; write them anew: x1 - x0 and y1 - y0 are width and height"
    )


@pytest.mark.parametrize("written", ["xyxy", "xywh"])
def test_shares_of_the_image_are_told(written: Written) -> None:
    right = boxes(2, 10) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
    stored = right if written == "xyxy" else np.hstack([right[:, :2], right[:, :2] + right[:, 2:] / 2])
    assert "shares of the image, where pixels are expected" in wrong_format(stored, sizes(10), written)


def test_no_boxes_have_no_format() -> None:
    assert not wrong_format(np.zeros((0, 4)), np.zeros((0, 2)), "xyxy")


def test_boxes_near_the_corner_are_believed() -> None:
    """Both formats fit, so nothing tells them apart."""
    near = np.array([[5.0, 5, 40, 30], [2, 3, 60, 50]])
    assert not wrong_format(near, sizes(2), "xyxy")
    assert not wrong_format(misread(near, "xywh"), sizes(2), "xywh")


def test_boxes_of_no_size_are_no_evidence() -> None:
    clicks = np.array([[1.0, 2, 9, 2], [1, 2, 9, 4], [1, 2, 1, 5]])
    assert not wrong_format(clicks, sizes(3), "xyxy")
    assert not wrong_format(clicks, sizes(3), "xywh")
