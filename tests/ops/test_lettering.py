"""The font for a text, lines of a text: fonts made for the test, laws of the breaking of lines."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gipi.ops.lettering import USUAL, clipped, lettering, typeface, wrapped
from oracle.fonts import font, only

KOREAN = "작은 개가 달린다"
TEXTS = st.text(st.sampled_from("abmMWi ,é한 \n"), max_size=40)
WIDTHS = st.integers(1, 300)


def test_what_the_usual_font_has_is_written_in_it(tmp_path: Path, monkeypatch) -> None:
    text = "a dog, Straße, собака, σκύλος, كلب"
    only(monkeypatch, [font(tmp_path, "Every", text)])
    assert typeface(text) == USUAL
    assert typeface("") == typeface(" \n\t") == USUAL


def test_other_letters_get_an_upright_font_that_has_them_all(tmp_path: Path, monkeypatch, caplog) -> None:
    few = font(tmp_path, "A", KOREAN[:3])
    bold, slanted = font(tmp_path, "B", KOREAN, weight=700), font(tmp_path, "C", KOREAN, style="italic")
    plain = font(tmp_path, "D", KOREAN)
    only(monkeypatch, [slanted, few, bold, plain])
    assert typeface(KOREAN) == Path(plain.fname)
    assert typeface(f"a dog: {KOREAN}\n") == Path(plain.fname)
    only(monkeypatch, [slanted, few, bold])
    assert typeface(KOREAN) == Path(bold.fname)
    assert typeface(KOREAN[:2]) == Path(few.fname)
    assert lettering(KOREAN, 20).getlength(KOREAN) == 20 * len(KOREAN), "each letter of that font is as wide as it is high"
    assert not caplog.records


def test_letters_that_no_font_has_are_told_once(tmp_path: Path, monkeypatch, caplog) -> None:
    broken = font(tmp_path, "Broken", KOREAN)
    Path(broken.fname).write_bytes(b"no font")
    some = font(tmp_path, "Some", KOREAN[:4])
    boxes = font(tmp_path, "Last Resort High-Efficiency", KOREAN)
    only(monkeypatch, [boxes, broken, some])
    with caplog.at_level(logging.WARNING, "gipi"):
        assert typeface(KOREAN) == Path(some.fname)
        assert typeface("犬") == USUAL
    (record,) = caplog.records
    assert "install one" in record.message


@settings(max_examples=50, deadline=None)
@given(text=TEXTS, width=WIDTHS)
def test_lines_hold_all_letters_and_as_many_words_as_fit(text: str, width: int) -> None:
    letters = lettering("a", 16)
    rows = wrapped(text, letters, width)
    assert "".join("".join(rows).split()) == "".join(text.split())
    assert all(letters.getlength(row) <= width or len(row) == 1 for row in rows)
    words, places = text.split(), [row.split() for row in rows]
    if all(letters.getlength(word) <= width for word in words):
        assert [word for row in places for word in row] == words
        assert all(letters.getlength(f"{one} {two[0]}") > width for one, two in zip(rows, places[1:], strict=False))


@settings(max_examples=50, deadline=None)
@given(text=TEXTS, width=WIDTHS)
def test_what_is_too_wide_is_cut_and_ends_in_dots(text: str, width: int) -> None:
    letters = lettering("a", 16)
    shown, text = clipped(text, letters, width), " ".join(text.split())
    assert (shown == text) == (letters.getlength(text) <= width)
    if shown != text:
        assert shown[-1] == "…"
        assert text.startswith(shown[:-1])
        assume(len(shown) > 2)
        assert letters.getlength(shown) <= width + 1, "a pixel for how letters lie to each other"
        assert letters.getlength(text[: len(shown)]) + letters.getlength("…") > width - 1


@pytest.mark.parametrize("text", ["x" * 5_000, "x " * 2_500])
def test_very_long_texts_take_no_time_that_grows_with_their_square(text: str) -> None:
    """Of 5,000 letters, hundreds of lines: a minute, if each of them were tried with all letters that are left."""
    assert "".join(wrapped(text, lettering("x", 16), 100)).replace(" ", "") == "x" * text.count("x")
