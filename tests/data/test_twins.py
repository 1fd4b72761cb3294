"""Equal and nearly equal pictures against the comparison of every pair."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from gipi.data.twins import NEAR, PLAIN, WINDOW, difference_hash, grey_copy, groups


def bits(grey: np.ndarray) -> int:
    """The hash, a place at a time."""
    number = 0
    for row in grey:
        for left, right in pairwise(row):
            number = 2 * number + int(left < right)
    return number


def every_pair(digests: list[bytes], greys: list[np.ndarray | None]) -> list[list[int]]:
    """Groups by comparing all with all."""
    group = list(range(len(digests)))
    for a, b in combinations(range(len(digests)), 2):
        x, y = greys[a], greys[b]
        near = (
            x is not None and y is not None and (bits(x) ^ bits(y)).bit_count() <= 3 and np.abs(x.astype(int) - y).mean() < NEAR
        )
        if digests[a] == digests[b] or near:
            group = [group[a] if g == group[b] else g for g in group]
    members = [[n for n in range(len(group)) if group[n] == g] for g in dict.fromkeys(group)]
    return [numbers for numbers in members if len(numbers) > 1]


def test_the_hash_place_by_place() -> None:
    greys = np.random.default_rng(0).integers(0, 5, (50, 8, 9)).astype(np.uint8)
    for grey, value in zip(greys, difference_hash(greys), strict=True):
        assert int.from_bytes(value.tobytes(), "big") == bits(grey)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, WINDOW), st.integers(1, 4))
def test_groups_are_those_of_every_pair(seed: int, count: int, models: int) -> None:
    """Variants of a few pictures: places changed at random, some so much that the hash or the grey is no longer near."""
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 256, (models, 8, 9))
    greys: list[np.ndarray | None] = []
    for _ in range(count):
        grey = bases[rng.integers(models)] + rng.integers(0, 9)
        for _ in range(rng.integers(0, 7)):
            grey[rng.integers(8), rng.integers(9)] = rng.integers(256)
        greys.append(None if rng.random() < 0.1 else grey.clip(0, 255).astype(np.uint8))
    digests = [bytes([rng.integers(0, 200)]) for _ in range(count)]
    by_digest = dict(zip(digests, greys, strict=True))
    greys = [by_digest[digest] for digest in digests]  # equal bytes have equal pixels
    assert sorted(groups(digests, greys)) == sorted(every_pair(digests, greys))


def photo(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


def stored(image: Image.Image, **options: object) -> Image.Image:
    file = BytesIO()
    image.save(file, **options)
    return Image.open(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: stored(image, format="JPEG", quality=60),
        lambda image: image.resize((97, 73)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.03),
        lambda image: image.convert("L"),
    ],
    ids=["saved again", "another size", "a little brighter", "without colour"],
)
def test_what_looks_the_same_is_found(change) -> None:
    greys = [grey_copy(image) for seed in range(20) for image in (photo(seed), change(photo(seed)))]
    assert groups([bytes([n]) for n in range(40)], greys) == [[n, n + 1] for n in range(0, 40, 2)]


@pytest.mark.parametrize(
    "change", [lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), lambda image: image.rotate(90)]
)
def test_what_looks_different_is_not(change) -> None:
    greys = [grey_copy(image) for seed in range(20) for image in (photo(seed), change(photo(seed)))]
    assert groups([bytes([n]) for n in range(40)], greys) == []


def test_almost_plain_pictures_are_not_compared() -> None:
    for value in (0, 128, 255):
        assert grey_copy(Image.new("RGB", (90, 80), (value,) * 3)) is None
    steps = [Image.fromarray(np.repeat([100, 100 + step], 800).astype(np.uint8).reshape(40, 40)) for step in (PLAIN - 1, PLAIN)]
    assert [grey_copy(step) is None for step in steps] == [True, False]
    assert groups([b"a", b"b", b"b"], [None, None, None]) == [[1, 2]], "by their bytes they are"


def test_a_crowd_is_one_group() -> None:
    """Far more like pictures than are compared with each: neighbours in the order of their hashes hold them together."""
    rng = np.random.default_rng(1)
    base = rng.integers(0, 250, (8, 9))
    greys = [(base + rng.integers(0, 3, (8, 9))).astype(np.uint8) for _ in range(20 * WINDOW)]
    assert [len(group) for group in groups([str(n).encode() for n in range(len(greys))], list(greys))] == [len(greys)]


def test_no_pictures() -> None:
    assert groups([], []) == []
    assert groups([b"a"], [None]) == []
