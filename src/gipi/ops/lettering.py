"""Sentences below a picture, in any script that a font of this machine has."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from unicodedata import category

import matplotlib
from jaxtyping import UInt8
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gipi.ops.overlay import INK, PAPER, enlarged, stacked

LETTERS = 16  # pixels, at least
USUAL = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
LAST_RESORT = "Last Resort"  # fonts of this name have a box for every letter there is

log = logging.getLogger("gipi")


def with_text(pixels: UInt8[Tensor, "3 h w"], texts: Sequence[str], least: int = 480) -> Image.Image:
    """A picture with texts below it, wrapped to its width. A small one is enlarged by a whole number, until its longer side has
    `least` pixels.
    """
    picture = enlarged(pixels, least)
    size = max(LETTERS, picture.width // 40)
    font = lettering("".join(texts), size)
    rows = [row for text in texts for row in wrapped(text, font, max(picture.width - size, size))]
    step = size * 3 // 2
    below = Image.new("RGB", (picture.width, len(rows) * step + size // 2), PAPER)
    draw = ImageDraw.Draw(below)
    for number, row in enumerate(rows):
        draw.text((size // 2, size // 4 + number * step + step // 2), row, fill=INK, font=font, anchor="lm")
    return stacked(picture, below)


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines of a text, each at most `width` pixels wide: broken at blanks; words that are longer, between letters."""
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            rows[-1] = longer
        else:
            rows.extend(_pieces(word, font, width))
    return [row for row in rows if row]


def clipped(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """A text on one line of at most `width` pixels: its beginning and "…" if it is wider."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    return text[: _fitting(text, font, width - ceil(font.getlength("…")))] + "…"


def _pieces(word: str, font: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    while word:
        count = _fitting(word, font, width)
        yield word[:count]
        word = word[count:]


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> int:
    """How many of its first letters are at most `width` pixels wide; one at least."""
    count = 1
    while count < len(text) and font.getlength(text[: count + 1]) <= width:
        count += 1
    return count


def lettering(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The font for a text, its letters `size` pixels high; see `typeface`."""
    return ImageFont.truetype(str(typeface(text)), size)


def typeface(text: str) -> Path:
    """The file of a font that has all letters of a text: DejaVu Sans, else one of this machine's.

    If there is none, the one that lacks fewest; the log then says so, once.
    """
    letters = {ord(letter) for letter in text if category(letter)[0] not in "CZ"}  # blanks and controls need none
    rare = frozenset(letters - _usual())
    return _typeface(rare) if rare else USUAL


@functools.cache
def _usual() -> frozenset[int]:
    return frozenset(FT2Font(str(USUAL)).get_charmap())


@functools.cache
def _typeface(rare: frozenset[int]) -> Path:
    from matplotlib.font_manager import fontManager  # which may search the whole machine: only if there is need

    files = {
        font.fname: None
        for font in sorted(fontManager.ttflist, key=lambda font: (font.style != "normal", font.weight != 400, font.fname))
        if not font.name.startswith(LAST_RESORT)
    }
    best, lacking = str(USUAL), rare
    for file in files:
        lacks = _lacks(file, rare)
        if len(lacks) < len(lacking):
            best, lacking = file, lacks
        if not lacking:
            break
    if lacking:
        _tell()
    return Path(best)


@functools.cache
def _tell() -> None:
    """Once."""
    log.warning(
        "no font of this machine has some of the letters to be drawn, boxes stand for them: install one that has, such as "
        "Noto Sans CJK for Chinese, Japanese and Korean"
    )


def _lacks(file: str, letters: frozenset[int]) -> frozenset[int]:
    """Those that a font does not have."""
    try:
        font = FT2Font(file)
    except (OSError, RuntimeError):  # it has gone, or is none
        return letters
    return frozenset(letter for letter in letters if not font.get_char_index(letter)) if font.scalable else letters
