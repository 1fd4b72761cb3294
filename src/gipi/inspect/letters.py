"""Texts of figures in any script that a font of this machine has."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import ImageFont

from gipi.ops.lettering import USUAL, clipped, lettering, typeface, wrapped

FINE = 10  # pixels of a point, as texts are measured
SLACK = 0.93  # of a width, since letters are drawn a little wider where they are fitted to few pixels


@contextmanager
def legible(fig: Figure) -> Iterator[None]:
    """While the figure is drawn: each text in a font that has its letters. Of letters that no font has the log tells, once."""
    for ax in fig.axes:
        _ = ax.get_xticklabels(), ax.get_yticklabels()  # they are given their texts only now
    for text in fig.findobj(Text):
        if isinstance(text, Text) and not text.get_text().isascii():
            text.set_text(text.get_text().encode("utf-8", "replace").decode())  # a file name may hold what UTF-8 cannot
            if (file := typeface(text.get_text())) != USUAL:
                font = text.get_fontproperties().copy()
                font.set_file(str(file))
                text.set_fontproperties(font)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def lines(text: str, points: float, inches: float) -> list[str]:
    """`wrapped` for letters of so many points."""
    return wrapped(text, _measure(text, points), _pixels(inches))


def line(text: str, points: float, inches: float) -> str:
    """`clipped` for letters of so many points."""
    return clipped(text, _measure(text, points), _pixels(inches))


def _measure(text: str, points: float) -> ImageFont.FreeTypeFont:
    return lettering(text, round(FINE * points))


def _pixels(inches: float) -> int:
    return int(72 * FINE * SLACK * inches)
