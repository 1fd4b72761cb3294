"""Figures of captions: each word over its own map in the right place, the right images in the right order, any script."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from gipi.data.captions import CaptionSet
from gipi.errors import DataError
from gipi.inspect.caption_figures import ranked, words_figure, worst
from gipi.inspect.figures import confusion, curves, png_bytes
from oracle.fonts import font, only
from oracle.pictures import unreadable

KOREAN = "작은 개가 달린다"
HOSTILE = ["$x_{$", "<b>&", "Donaudampfschifffahrtsgesellschaftskapitän", "é", "W" * 300]


def shares(words: int, rows: int = 4, columns: int = 6) -> Tensor:
    return torch.rand(words, rows * columns).softmax(1).view(words, rows, columns)


def picture(height: int = 64, width: int = 96) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8)


def data_set(*captions: tuple[str, ...], size: tuple[int, int] = (20, 30)) -> CaptionSet:
    """Image n is of the brightness 10 n."""
    n = len(captions)
    images = (torch.arange(n, dtype=torch.uint8) * 10).view(n, 1, 1, 1).expand(n, 3, *size)
    return CaptionSet("made", "test", images, captions, tuple(f"image{i}$.png" for i in range(n)))


def heats(fig: Figure) -> list[np.ndarray]:
    """The map over each picture but the first."""
    return [np.asarray(ax.images[1].get_array()) for ax in fig.axes[1:]]


def said(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.texts if text.get_text()]


def test_the_picture_comes_first_and_then_each_word_over_its_own_map() -> None:
    pixels, maps = picture(), torch.zeros(3, 4, 6)
    places = [(0, 0), (2, 5), (3, 1)]
    for word, place in enumerate(places):
        maps[word][place] = 1.0
    fig = words_figure(pixels, ("a", "small", "$x_{$"), maps)
    assert [ax.get_title() for ax in fig.axes] == ["", "a", "small", "$x_{$"]
    first, *others = fig.axes
    assert len(first.images) == 1
    np.testing.assert_array_equal(first.images[0].get_array(), pixels.permute(1, 2, 0))
    for ax, heat, (row, column) in zip(others, heats(fig), places, strict=True):
        under, over = ax.images
        assert under.get_array().shape == (64, 96), "colour is heat alone"
        assert over.get_extent() == under.get_extent() == first.images[0].get_extent()
        assert heat.shape == (64, 96)
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        assert (y // 16, x // 16) == (row, column)
        assert (heat.min(), heat.max()) == (0, 1)


def test_map_moves_as_the_places_do_and_an_even_one_is_even() -> None:
    pixels, maps = picture(30, 42), shares(2, 3, 7)
    plain, mirrored = (heats(words_figure(pixels, "ab", part)) for part in (maps, maps.flip(2)))
    for one, other in zip(plain, mirrored, strict=True):
        np.testing.assert_allclose(one, other[:, ::-1], atol=1e-5)
        assert not np.allclose(one, other, atol=0.1)
    doubled = heats(words_figure(pixels, "ab", 2 * maps))
    np.testing.assert_allclose(plain, doubled, atol=1e-5, err_msg="each map has a scale of its own")
    (even,) = heats(words_figure(pixels, "a", torch.full((1, 3, 7), 1 / 21)))
    np.testing.assert_allclose(even, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("count", "size"), [(0, (48, 72)), (1, (64, 20)), (5, (20, 64)), (5, (64, 20)), (5, (30, 30)), (20, (48, 72)), (50, (30, 20))]
)
def test_words_of_any_length_and_number_can_be_read_over_pictures_of_any_shape(count: int, size: tuple[int, int]) -> None:
    words = [HOSTILE[n] if n < len(HOSTILE) else "gesellschaft" for n in range(count)]
    fig = words_figure(picture(*size), words, shares(count))
    assert len(fig.axes) == count + 1
    assert not unreadable(fig)
    assert fig.get_figheight() < 16
    for ax, word in zip(fig.axes[1:], words, strict=True):
        shown = ax.get_title()
        assert shown == word or (shown.endswith("…") and word.startswith(shown[:-1]) and len(shown) > 6)


def test_worst_shows_the_lowest_scores_first_with_what_was_said_and_each_reference() -> None:
    data = data_set(("a dog", "the $x_{$ dog"), ("a cat",), ("a cow", "cows", "some cows"), ("a bird",))
    fig = worst(data, ["a cat", "a cat", "", "a fish"], torch.tensor([0.5, 4.0, 0.25, 1.0]), count=3)
    assert said(fig) == [
        "The 3 images with the lowest CIDEr-D, of 4",
        *("image2$.png: CIDEr-D 0.25", "said", "(no word)"),
        *("reference", "a cow", "reference", "cows", "reference", "some cows"),
        *("image0$.png: CIDEr-D 0.50", "said", "a cat", "reference", "a dog", "reference", "the $x_{$ dog"),
        *("image3$.png: CIDEr-D 1.00", "said", "a fish", "reference", "a bird"),
    ]
    assert [int(np.asarray(ax.images[0].get_array()).max()) for ax in fig.axes] == [20, 0, 30]
    assert not unreadable(fig)


@pytest.mark.parametrize("size", [(20, 30), (10, 60), (60, 10)])
def test_long_captions_are_broken_into_lines(size: tuple[int, int]) -> None:
    long = " ".join(f"word{n}" for n in range(50))
    data = data_set((long, "x" * 300, "y " * 5000), ("short",), size=size)
    fig = worst(data, [long, "W" * 100], torch.zeros(2))
    assert not unreadable(fig)
    words = " ".join(said(fig)).split()
    assert [word for word in words if word.startswith("word")] == 2 * long.split()
    assert "y…" in words or "…" in words, "what is far too long is cut"


def test_ranked_puts_the_extremes_first_and_refuses_what_does_not_fit() -> None:
    data, answers, cider = data_set(*[("a",)] * 4), ["b"] * 4, torch.tensor([2.0, 0.0, 3.0, 0.0])
    assert ranked(data, answers, cider, 3, best=True) == [2, 0, 1]
    assert ranked(data, answers, cider, 9, best=False) == [1, 3, 0, 2]
    with pytest.raises(DataError, match=r"\(4, 3, 4\)"):
        ranked(data, answers[1:], cider, 3, best=True)
    with pytest.raises(DataError, match="got 2 and 1"):
        words_figure(picture(), "ab", shares(1))


def drawn(fig: Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png_bytes(fig))).convert("L"))


def test_other_scripts_are_drawn_in_a_font_of_this_machine(tmp_path: Path, monkeypatch, caplog) -> None:
    """In one whose letters are squares of 0.9 em: they are the only wide black things in a figure without a picture."""
    squares = font(tmp_path, "Squares", KOREAN)
    only(monkeypatch, [squares])
    white = torch.full((3, 20, 30), 255, dtype=torch.uint8)
    fig = worst(CaptionSet("made", "test", white[None], (("a dog",),), ("a\udcff.png",)), [KOREAN], torch.zeros(1))
    side = int(0.9 * 8 * 160 / 72) - 2  # pixels of a square, two less for its edges
    black = np.lib.stride_tricks.sliding_window_view(drawn(fig) < 80, (side, side)).all((2, 3))
    columns = np.flatnonzero(black.any(0))
    assert 1 + (np.diff(columns) > 1).sum() == len(KOREAN.replace(" ", "")), "a square a letter"
    labels = ["작은", "개가"]
    ticks = confusion(torch.eye(2, dtype=torch.int64), labels)
    png_bytes(ticks)
    assert all(tick.get_fontproperties().get_file() == squares.fname for tick in ticks.axes[0].get_xticklabels())
    assert not caplog.records


def test_where_no_font_has_a_script_the_log_says_so_once_and_nothing_breaks(monkeypatch, caplog) -> None:
    only(monkeypatch, [])
    with caplog.at_level(logging.WARNING, "gipi"):
        drawn(words_figure(picture(), KOREAN.split(), shares(3)))
        drawn(worst(data_set((KOREAN,)), ["犬が走る"], torch.zeros(1)))
        drawn(confusion(torch.eye(2, dtype=torch.int64), KOREAN.split()[:2]))
    (record,) = caplog.records
    assert "no font of this machine" in record.message


def test_curves_of_a_training_draw_the_scores_of_captions() -> None:
    rows = [{"split": "train", "step": step, "loss": 1 / step, "lr": 1e-3} for step in range(1, 9)]
    rows += [{"split": "validation", "step": step, "bleu4": step / 16, "cider": step / 4, "bleu1": 0.9} for step in (4, 8)]
    fig = curves([*rows, {"split": "test", "step": 8, "bleu4": 0.25, "cider": 1.5}])
    assert [ax.get_ylabel() for ax in fig.axes] == ["loss", "BLEU-4", "CIDEr-D", "learning rate"]
    lines = [{line.get_label(): line.get_xydata().tolist() for line in ax.lines} for ax in fig.axes[1:3]]
    assert lines == [
        {"validation": [[4, 25], [8, 50]], "test": [[8, 25]]},
        {"validation": [[4, 1], [8, 2]], "test": [[8, 1.5]]},
    ]
