"""Figures: valid pictures of sensible size for every shape of input, and the right things in the right order."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from gipi.errors import DataError
from gipi.inspect.figures import confusion, curves, features, mistakes, png_bytes

DIGITS = [str(digit) for digit in range(10)]
HOSTILE = ["$x_{$", "a\nname much too long for the width of one picture", "<b>&", "é"]


def picture(fig: Figure) -> np.ndarray:
    """The figure as pixels (h, w, 3), checked to be a PNG that has something on it."""
    data = png_bytes(fig)
    assert data.startswith(b"\x89PNG")
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert 300 <= pixels.shape[1] <= 1200
    assert 100 <= pixels.shape[0] <= 5000
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    assert pixels.std() > 1
    return pixels


def titles(fig: Figure) -> list[str]:
    return [ax.get_title() for ax in fig.axes]


def test_png_is_the_same_each_time_and_drawing_needs_no_window() -> None:
    rows = [{"split": "train", "step": 1, "loss": 1.0}]
    assert png_bytes(curves(rows)) == png_bytes(curves(rows))
    assert "matplotlib.pyplot" not in sys.modules


def test_mistakes_are_the_misread_images_the_most_confident_first() -> None:
    images = torch.arange(6, dtype=torch.uint8).reshape(6, 1, 1, 1).expand(6, 1, 8, 8) * 40
    labels, answers = torch.tensor([0, 1, 2, 3, 4, 5]), torch.tensor([0, 7, 2, 8, 9, 6])
    scores = torch.tensor([1.0, 0.5, 0.9, 0.97, 0.5, 0.2])
    fig = mistakes(images, labels, answers, scores, DIGITS)
    assert titles(fig) == ["3 → 8\n97 %", "1 → 7\n50 %", "4 → 9\n50 %", "5 → 6\n20 %"]
    assert [ax.images[0].get_array().max() for ax in fig.axes] == [120, 40, 160, 200]
    assert fig.texts[0].get_text().startswith("4 of 6 images misread")
    picture(fig)
    assert titles(mistakes(images, labels, answers, scores, DIGITS, limit=2)) == ["3 → 8\n97 %", "1 → 7\n50 %"]


@pytest.mark.parametrize(
    ("shape", "count", "classes"),
    [((1, 28, 28), 1, DIGITS), ((3, 32, 32), 11, DIGITS), ((1, 28, 28), 11, HOSTILE), ((3, 48, 20), 1, HOSTILE)],
)
def test_mistakes_of_any_size(shape: tuple[int, int, int], count: int, classes: list[str]) -> None:
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    labels = torch.arange(count) % 3
    fig = mistakes(images, labels, labels + 1, torch.full((count,), 0.5), classes)
    assert len(fig.axes) == count
    picture(fig)


def test_no_mistakes_is_said() -> None:
    labels = torch.arange(4)
    fig = mistakes(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), labels, labels, torch.ones(4), DIGITS)
    assert fig.texts[0].get_text() == "All 4 images are read correctly."
    picture(fig)


def test_mistakes_refuses_parts_that_do_not_fit() -> None:
    images, labels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2)
    with pytest.raises(DataError, match=r"\(2, 2, 2, 3\)"):
        mistakes(images, labels, labels, torch.ones(3), DIGITS)
    with pytest.raises(DataError, match="1 or 3 channels, got 2"):
        mistakes(images.expand(2, 2, 8, 8), labels, labels + 1, torch.ones(2), DIGITS)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_shows_16_channels_a_layer_with_a_contrast_of_its_own(channels: int) -> None:
    shallow, deep = torch.randn(20, 8, 8), torch.randn(5, 4, 3, dtype=torch.bfloat16) * 1000
    image = torch.randint(0, 256, (channels, 8, 8), dtype=torch.uint8)
    fig = features([("conv", shallow), ("$_{", deep)], image)
    assert len(fig.axes) == 1 + 16 + 5
    limits = [ax.images[0].get_clim() for ax in fig.axes[1:]]
    assert all(low == -high for low, high in limits)
    assert len(set(limits[:16])) == len(set(limits[16:])) == 1
    assert limits[-1][1] > 100 * limits[0][1]
    assert [text.get_text() for text in fig.texts[1:]] == ["conv\n20x8x8", "$_{\n5x4x3"]
    picture(fig)


def test_features_one_outlier_does_not_hide_the_rest_and_dead_or_broken_layers_are_drawn() -> None:
    values = torch.ones(1, 20, 20)
    values[0, 0, 0] = 1e6
    maps = [("spike", values), ("dead", torch.zeros(2, 4, 4)), ("broken", torch.full((2, 4, 4), torch.nan))]
    fig = features(maps, torch.zeros(1, 8, 8, dtype=torch.uint8))
    assert fig.axes[1].images[0].get_clim() == (-1, 1)
    picture(fig)


def rows_of(steps: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {"split": "train", "step": step, "loss": 2 / step, "accuracy": 1 - 0.9 / step, "lr": 1e-3} for step in range(1, steps + 1)
    ]
    rows.append({"split": "validation", "step": steps, "loss": 0.5, "accuracy": 1.0, "seconds": 3.0})
    return [*rows, {"split": "test", "step": steps, "loss": 0.4, "accuracy": 0.75}]


@pytest.mark.parametrize("steps", [1, 500])
def test_curves_show_loss_error_and_learning_rate_of_each_split(steps: int) -> None:
    fig = curves(rows_of(steps))
    assert [ax.get_ylabel() for ax in fig.axes] == ["loss", "error", "learning rate"]
    for ax, splits in zip(fig.axes, (3, 3, 1), strict=True):
        assert len([line for line in ax.lines if not line.get_label().startswith("_")]) == splits
    loss, error, _ = fig.axes
    (test,) = (line for line in error.lines if line.get_label() == "test")
    assert test.get_xydata().tolist() == [[steps, 25.0]]
    assert loss.get_yscale() == "log"
    low, high = error.get_ylim()
    assert low == 0
    assert high > 90
    picture(fig)


def test_running_mean_is_where_its_values_are() -> None:
    rows = [{"split": "train", "step": step, "loss": float(step)} for step in range(1, 301)]
    (mean,) = (line for line in curves(rows).axes[0].lines if line.get_label() == "train")
    assert len(mean.get_xdata()) < 300
    np.testing.assert_allclose(mean.get_xdata(), mean.get_ydata())  # the mean of a straight line is the line


def test_curves_of_little_or_broken_data() -> None:
    assert curves([]).texts[0].get_text() == "No measurements yet."
    broken = [{"split": "train", "step": 1, "loss": float("nan")}]
    assert curves(broken).texts[0].get_text() == "No measurements yet."
    below_zero = [{"split": "train", "step": step, "loss": 1.0 - step} for step in range(3)]
    fig = curves([*broken, *below_zero])
    assert fig.axes[0].get_yscale() == "linear"
    picture(fig)


@pytest.mark.parametrize("k", [1, 2, 10, 20, 21, 100])
def test_confusion_writes_counts_up_to_20_classes(k: int) -> None:
    matrix = torch.eye(k, dtype=torch.int64) * 1000
    matrix[0, k - 1] = 3
    fig = confusion(matrix, [f"${name}" for name in range(k)])
    (ax,) = fig.axes
    counts = {text.get_position(): text.get_text() for text in ax.texts}
    expected = {(i, i): "1,000" for i in range(k)} | {(k - 1, 0): "3"}
    assert counts == (expected if k <= 20 else {})
    assert len(ax.get_xticks()) == len(ax.get_yticks()) <= 25
    assert ax.get_title(loc="left") == ("0 of 3 misread" if k == 1 else f"3 of {1000 * k + 3:,} misread")
    picture(fig)


def test_confusion_colours_wrong_and_right_apart_and_leaves_never_white() -> None:
    matrix = torch.tensor([[900, 1, 0], [0, 0, 0], [9, 0, 900]])
    layers = confusion(matrix, ["a", "b", "c"]).axes[0].images
    wrong, right = (image.to_rgba(image.get_array())[..., :3] for image in layers)
    painted = [~np.ma.getmaskarray(np.ma.masked_invalid(image.get_array())) for image in layers]
    assert [np.argwhere(where).tolist() for where in painted] == [[[0, 1], [2, 0]], [[0, 0], [2, 2]]]
    red, blue = wrong[2, 0], right[0, 0]
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert wrong[2, 0].sum() < wrong[0, 1].sum()  # the more frequent mistake is darker


def test_confusion_refuses_a_matrix_of_other_size() -> None:
    with pytest.raises(DataError, match=r"2 x 2, got \(3, 3\)"):
        confusion(torch.eye(3, dtype=torch.int64), ["a", "b"])
