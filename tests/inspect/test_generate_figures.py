"""Figures of a generator: every line and image in its place, whatever the classes are called and however many there are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from gipi.errors import DataError
from gipi.inspect.figures import png_bytes
from gipi.inspect.generate_figures import Near, balance, by_class, course, curves, nearest
from oracle.pictures import unreadable

HOSTILE = ["$x_{$", "<b>&", "Donaudampfschifffahrtsgesellschaftskapitän", "é", "two\nlines"]


def plain(*brightness: int, channels: int = 1, side: int = 28) -> Tensor:
    """Images of one brightness each."""
    return torch.tensor(brightness, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, channels, side, side)


def strips(fig: Figure) -> list[list[int]]:
    """The brightness of each image of each row of a sheet, read off what is drawn."""
    found = []
    for ax in fig.axes:
        pixels = np.asarray(ax.images[0].get_array())
        count = round(pixels.shape[1] / pixels.shape[0])
        middles = ((np.arange(count) + 0.5) * pixels.shape[1] / count).astype(int)
        found.append(pixels[pixels.shape[0] // 2, middles, 0].tolist())
    return found


def texts(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.texts]


def laid_out(fig: Figure) -> Figure:
    """With everything where it is when it is drawn."""
    fig.draw_without_rendering()
    return fig


def rows(epochs: int = 3, steps: int = 4) -> list[dict[str, object]]:
    """Of metrics.jsonl: each value tells its step."""
    found: list[dict[str, object]] = []
    for step in range(1, epochs * steps + 1):
        train = {"loss": 1 / step, "discriminator_loss": 2 / step, "real": 1 - step / 100, "made": step / 100, "lr": 1e-4}
        found.append({"split": "train", "step": step, **train})
        if step % steps == 0:
            found.append(
                {"split": "validation", "step": step, "frechet": 100 / step, "precision": step / 20, "recall": step / 40}
            )
    return [*found, {"split": "test", "step": epochs * steps, "frechet": 9.0, "precision": 0.5, "recall": 0.25}]


def test_each_number_of_the_training_has_its_line_and_the_test_its_star() -> None:
    fig = curves(rows())
    labels = ["loss", "taken for real", "Fréchet distance", "precision, recall", "learning rate"]
    assert [ax.get_ylabel() for ax in fig.axes] == labels
    lines = [{line.get_label(): line.get_xydata().tolist() for line in ax.lines} for ax in fig.axes]
    assert [list(of) for of in lines[:2]] == [["generator", "discriminator"], ["real images", "made images"]]
    assert lines[0]["discriminator"][3] == [4, 0.5]
    assert lines[1]["made images"][3] == [4, 4]
    assert lines[2] == {"Fréchet distance": [[4, 25], [8, 12.5], [12, 100 / 12]], "Fréchet distance, test": [[12, 9]]}
    assert lines[3]["recall"] == [[4, 10], [8, 20], [12, 30]]
    assert lines[3]["precision, test"] == [[12, 50]]


def test_curves_of_any_length_leave_out_what_is_not_finite_and_what_is_not_there() -> None:
    long = [{"split": "train", "step": step, "loss": 1.0, "lr": 1e-4} for step in range(300)]
    fig = curves([*long, {"split": "train", "step": 300, "loss": float("nan"), "lr": 1e-4}])
    assert [ax.get_ylabel() for ax in fig.axes] == ["loss", "learning rate"]
    faint, bold = fig.axes[0].lines
    assert len(faint.get_xdata()) == 300
    assert len(bold.get_xdata()) == 291
    np.testing.assert_allclose(bold.get_ydata(), 1)
    assert "No measurements yet." in texts(curves([]))
    png_bytes(curves([{"split": "validation", "step": 1, "frechet": 0.0}]))


def test_a_row_is_of_one_class_and_holds_what_was_asked_for() -> None:
    images, labels = plain(10, 20, 30, 40, 50, 60), torch.tensor([3, 0, 3, 0, 3, 1])
    fig = by_class(images, labels, HOSTILE)
    assert strips(fig) == [[20, 40], [60], [10, 30, 50]]
    assert texts(fig)[1:] == ["$x_{$", "<b>&", "é"]
    assert not unreadable(fig)
    many = by_class(plain(*range(30)), torch.arange(30), [HOSTILE[2]] * 30)
    assert len(many.axes) == 20
    assert "20 of 30 classes" in texts(many)[0]
    assert not unreadable(many)
    with pytest.raises(DataError, match="got 6 and 5"):
        by_class(images, labels[:5], HOSTILE)


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 64)])
def test_the_same_noise_is_in_the_same_column_of_every_epoch(channels: int, side: int) -> None:
    starts = {1: 1, 2: 2, 4000: 90}
    pictures = {epoch: plain(*range(at, at + 24, 2), channels=channels, side=side) for epoch, at in starts.items()}
    fig = course(pictures)
    assert strips(fig) == [[*range(1, 21, 2)], [*range(2, 22, 2)], [*range(90, 110, 2)]]
    assert texts(fig)[1:] == ["epoch 1", "epoch 2", "epoch 4,000"]
    assert not unreadable(fig)


def test_each_sample_stands_above_its_own_nearest_images() -> None:
    samples, found = plain(*range(0, 130, 10)), plain(*range(1, 131, 10))
    near = [Near(sample, found[sample], 0.5 * sample) for sample in reversed(range(13))]
    fig = nearest(samples, near)
    above, below, *rest = strips(fig)
    assert above == [*range(120, 20, -10)]
    assert below == [value + 1 for value in above]
    assert rest == [[20, 10, 0], [21, 11, 1]]
    assert texts(fig)[3:6] == ["6", "5.5", "5"]
    assert not unreadable(fig)
    second = [one for sample in (2, 5) for one in (Near(sample, found[0], 1e-9), Near(sample, found[sample], 123456.0))]
    fig = nearest(samples, second)
    assert strips(fig) == [[20, 50], [1, 1], [21, 51]]
    assert texts(fig)[1:] == ["made", "nearest", "1e-09", "1e-09", "nearest 2", "1.23e+05", "1.23e+05"]
    assert not unreadable(fig)


@pytest.mark.parametrize("count", [1, 5, 50])
def test_bars_are_the_shares_of_made_and_real_images(count: int) -> None:
    shares = {f"{HOSTILE[n % 5]} {n}": ((n + 1) / 2000, 0.02) for n in range(count)}
    fig = balance(shares)
    [ax] = fig.axes
    made, real = ([bar.get_width() for bar in bars] for bars in ax.containers)
    shown = min(count, 30)
    np.testing.assert_allclose(made, [(n + 1) / 20 for n in range(shown)], err_msg="of many, those that are made too rarely")
    np.testing.assert_allclose(real, 2)
    assert ax.texts[0].get_text() == " 0.1 %"
    assert ("30 of 50 classes" in ax.get_title(loc="left")) == (count == 50)
    assert not unreadable(laid_out(fig))


def test_nothing_made_of_any_class_is_drawn_too() -> None:
    assert not unreadable(laid_out(balance({"a": (0.0, 0.5), "b": (1.0, 0.5)})))
    png_bytes(balance({"a": (0.0, 0.0)}))
