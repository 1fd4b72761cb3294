"""The embedded digits against scikit-learn's own loader and a slow twin of the framing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from gipi.data.digits import digits
from gipi.errors import ConfigError


@pytest.fixture(scope="module")
def source() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 8, 8) of 0 to 16 and labels (1797,)."""
    bunch = load_digits()
    return bunch.images, bunch.target


def rows(split: str, labels: np.ndarray) -> list[int]:
    """The rows of the source in `split`, told in plain words: walk class by class, every fifth goes to the test."""
    walk = [row for digit in range(10) for row in range(len(labels)) if labels[row] == digit]
    test = {row for place, row in enumerate(walk) if place % 5 == 0}
    return [row for row in range(len(labels)) if (row in test) == (split == "test")]


def enlarge(small: np.ndarray) -> np.ndarray:
    """Bicubic from 8x8 to 20x20 as a product of matrices; kernel with a = -0.75, pixel centres aligned, edges repeated."""

    def kernel(x: float) -> float:
        x, a = abs(x), -0.75
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0

    weights = np.zeros((20, 8))
    for out in range(20):
        centre = (out + 0.5) * 8 / 20 - 0.5
        for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            weights[out, min(max(tap, 0), 7)] += kernel(centre - tap)
    return (weights @ small @ weights.T).clip(0, 16) * 255 / 16


def off_centre(image: np.ndarray) -> float:
    """The larger distance, along an axis, of the centre of mass from pixel (14, 14)."""
    place = np.arange(28)
    return max(abs((image.sum(axis) * place).sum() / image.sum() - 14) for axis in (0, 1))


@pytest.mark.parametrize(("split", "count"), [("train", 1437), ("test", 360)])
def test_counts_and_labels(split: str, count: int, source: tuple[np.ndarray, np.ndarray]) -> None:
    data = digits(split)
    assert (data.name, data.split, data.classes) == ("digits", split, tuple("0123456789"))
    assert data.images.shape == (count, 1, 28, 28)
    assert data.labels.tolist() == source[1][rows(split, source[1])].tolist()


def test_each_class_gives_a_fifth(source: tuple[np.ndarray, np.ndarray]) -> None:
    share = digits("test").labels.bincount() / torch.from_numpy(np.bincount(source[1]))
    assert share.min() > 0.195
    assert share.max() < 0.205


def test_the_split_is_for_ever() -> None:
    labels = digits("test").labels.numpy().astype(np.uint8).tobytes()
    assert hashlib.sha256(labels).hexdigest() == "28beeed8f5e51f11d7ddbd7a14a006d30684c0abbb11aaeba722dfe30c55514b"


def test_no_image_is_in_both_splits() -> None:
    train = {image.numpy().tobytes() for image in digits("train").images}
    test = {image.numpy().tobytes() for image in digits("test").images}
    assert len(train) == 1437
    assert len(test) == 360
    assert not train & test


def test_framing(source: tuple[np.ndarray, np.ndarray]) -> None:
    for split in ("train", "test"):
        data = digits(split)
        for place, row in list(enumerate(rows(split, source[1])))[::7]:
            image, box = data.images[place, 0].numpy().astype(float), enlarge(source[0][row])
            assert off_centre(image) <= 0.5
            assert image.sum() == pytest.approx(box.sum(), rel=0.005), "nothing is cut off"
            frames = []
            for top in range(9):
                for left in range(9):
                    frame = np.zeros((28, 28))
                    frame[top : top + 20, left : left + 20] = box
                    frames.append(frame)
            assert abs(min(frames, key=off_centre) - image).max() <= 1


def test_all_are_centred_and_use_the_range() -> None:
    for split in ("train", "test"):
        images = digits(split).images
        assert max(off_centre(image[0].numpy().astype(float)) for image in images) <= 0.5
        assert images.flatten(1).amax(1).min() > 200, "white"
        assert (images == 0).float().mean() > 0.4, "on black"


def test_the_nearest_training_image_tells_the_digit() -> None:
    train, test = digits("train"), digits("test")
    distance = torch.cdist(test.images.flatten(1).float(), train.images.flatten(1).float())
    assert (train.labels[distance.argmin(1)] == test.labels).float().mean() > 0.97


def test_every_call_gives_the_same() -> None:
    assert digits("test").digest() == digits("test").digest()


def test_unknown_split() -> None:
    with pytest.raises(ConfigError, match=r"no split 'val' \(allowed: test, train\)"):
        digits("val")
