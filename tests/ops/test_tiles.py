"""A picture read in tiles gives what it gives in one piece."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from gipi.ops.tiles import bands, labels, sides, spans, tiled

STRIDE = 4
WEIGHT = torch.randn(3, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def read(pixels):
    """Scores from a pooling by 4 and a convolution that looks 2 pixels far: of a pixel matters what is up to 5 pixels away."""
    height, width = pixels.shape[2:]
    padded = F.pad(pixels.float() / 255, (0, -width % STRIDE, 0, -height % STRIDE))
    pooled = F.interpolate(F.max_pool2d(padded, STRIDE), scale_factor=float(STRIDE))
    return F.conv2d(pooled, WEIGHT, padding=2)[:, :, :height, :width]


def picture(height, width, seed=0):
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize("size", [(150, 211), (211, 150), (33, 300), (7, 9), (64, 64), (1, 130)])
@pytest.mark.parametrize("limit", [1, 10_000, 1_000_000])
@pytest.mark.parametrize("overlap", [20, 37])
def test_tiles_give_the_scores_of_the_whole_picture(size, limit, overlap):
    pixels, seen = picture(*size), []

    def spy(tile):
        seen.append(tuple(tile.shape[2:]))
        return read(tile)

    got = torch.cat(list(bands(spy, pixels, limit=limit, overlap=overlap, stride=STRIDE)), 1)
    torch.testing.assert_close(got, read(pixels[None])[0], rtol=0, atol=1e-5)
    least = 2 * (-(-overlap // STRIDE) * STRIDE)
    assert all(h * w <= max(limit, least * least) for h, w in seen)
    padded = (size[0] + -size[0] % STRIDE) * (size[1] + -size[1] % STRIDE)
    assert (len(seen) == 1) == (limit == 1_000_000 or max(size) <= least or padded <= limit)


def test_a_net_that_looks_farther_than_the_overlap_allows_gives_others():
    """Else the test above could not fail."""
    pixels = picture(40, 50)
    got = torch.cat(list(bands(read, pixels, limit=1, overlap=4, stride=STRIDE)), 1)
    assert (got - read(pixels[None])[0]).abs().max() > 0.1


def test_seams_are_blended_linearly():
    """Of tiles that answer with their own number the answers go over into each other in even steps."""
    numbers = iter(range(10))
    got = torch.cat(list(bands(lambda tile: torch.full((1, 1, *tile.shape[2:]), float(next(numbers))), picture(4, 80),
                               limit=48 * 4, overlap=16, stride=4)), 1)[0, 0]  # fmt: skip
    steps = got.diff()
    assert got[0] == 0
    assert got[-1] == 2 - (len(spans(80, 48, 16)) == 2)
    assert (steps >= 0).all()
    assert steps.max() <= 1 / 8 + 1e-6


@given(st.integers(1, 600), st.integers(2, 20), st.integers(1, 10), st.sampled_from([1, 4, 32]))
@settings(max_examples=50, deadline=None)
def test_spans_cover_all_overlap_as_told_and_start_at_the_stride(length, side, overlap, stride):
    side, overlap = max(side, 2 * overlap) * stride, overlap * stride
    found = spans(length, side, overlap)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(start % stride == 0 and 0 < end - start <= side for start, end in found)
    for (start, end), (after, _) in pairwise(found):
        assert end - after == overlap
        assert end - start == side
    assert all(end <= later for (_, end), (later, _) in zip(found, found[2:], strict=False))  # at most two at a pixel


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 10**7), st.integers(1, 8), st.sampled_from([1, 16, 32]))
@settings(max_examples=50, deadline=None)
def test_tiles_have_sides_of_the_stride_and_keep_to_the_limit(height, width, limit, overlap, stride):
    overlap *= stride
    down, across = sides((height, width), limit=limit, overlap=overlap, stride=stride)
    assert down % stride == across % stride == 0
    assert down * across <= max(limit, (2 * overlap) ** 2, 2 * overlap * stride)
    for length, side in ((height, down), (width, across)):
        assert side >= min(-(-length // stride) * stride, 2 * overlap)


@pytest.mark.parametrize("new", [(40, 50), (80, 100), (97, 31), (20, 25), (13, 200), (1, 1)])
@pytest.mark.parametrize("cuts", [[40], [1] * 40, [7, 30, 3]])
def test_labels_of_bands_are_those_of_the_whole_enlarged_at_once(new, cuts):
    scores = torch.randn(5, 40, 50, generator=torch.Generator().manual_seed(3))
    want = F.interpolate(scores[None], new, mode="bilinear")[0]
    got = labels(scores.split(cuts, 1), (40, 50), new)
    assert got.dtype == torch.uint8
    top = want.topk(2, 0).values
    assert (got.eq(want.argmax(0)) | (top[0] - top[1] < 1e-5)).all()


def test_few_rows_are_enlarged_at_a_time(monkeypatch):
    scores = torch.randn(5, 40, 50, generator=torch.Generator().manual_seed(3))
    want = labels([scores], (40, 50), (80, 100))
    sizes = []
    interpolate = F.interpolate
    monkeypatch.setattr("gipi.ops.tiles.AT_ONCE", 5 * 100 * 3)
    monkeypatch.setattr(
        "gipi.ops.tiles.F.interpolate",
        lambda rows, *args, **how: (sizes.append(rows.shape[2]), interpolate(rows, *args, **how))[1],
    )
    assert labels([scores], (40, 50), (80, 100)).equal(want)
    assert max(sizes) == 3
    assert sum(sizes) == 80


def test_tiled_brings_scores_to_another_size():
    pixels = picture(150, 211)
    want = F.interpolate(read(pixels[None]), (300, 433), mode="bilinear")[0].argmax(0)
    got = tiled(read, pixels, size=(300, 433), limit=1, overlap=20, stride=STRIDE)
    assert (got == want).float().mean() > 0.999
