"""Small fonts of squares, and a machine that has no others beside those that come with matplotlib."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import FontEntry, fontManager

from gipi.ops import lettering


def font(folder: Path, name: str, letters: str, *, weight: int = 400, style: str = "normal") -> FontEntry:
    """A font whose letters, and the blank, are all 1 em wide; the letters are filled squares."""
    glyphs = {letter: f"u{ord(letter):05X}" for letter in letters if not letter.isspace()}
    pen = TTGlyphPen(None)
    for number, corner in enumerate([(0, 0), (0, 900), (900, 900), (900, 0)]):
        pen.lineTo(corner) if number else pen.moveTo(corner)
    pen.closePath()
    square, empty = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "space", *glyphs.values()])
    builder.setupCharacterMap({32: "space", **{ord(letter): glyph for letter, glyph in glyphs.items()}})
    builder.setupGlyf({".notdef": empty, "space": empty, **dict.fromkeys(glyphs.values(), square)})
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", "space", *glyphs.values()], (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": name, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    file = folder / f"{name}-{weight}-{style}.ttf"
    builder.save(file)
    return FontEntry(fname=str(file), name=name, style=style, variant="normal", weight=weight, stretch="normal", size="scalable")


def only(monkeypatch, fonts: Iterable[FontEntry]) -> None:
    """Nothing is installed beside these and DejaVu Sans."""
    usual = [entry for entry in fontManager.ttflist if Path(entry.fname) == lettering.USUAL]
    monkeypatch.setattr(fontManager, "ttflist", [*usual, *fonts])
    for name in ("_typeface", "_tell"):
        monkeypatch.setattr(lettering, name, functools.cache(getattr(lettering, name).__wrapped__))
