"""How objects show themselves in a notebook: pieces of HTML without scripts, and without anything from another host.

All texts are escaped. Letters and lines keep the notebook's own colours, so that both light and dark ones can be read.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

WIDEST, SMALL = 1_600, 112  # pixels of a picture's longer side: it is shown reduced, or enlarged
FEW = 12  # classes, at most, of which a confusion is shown
BLUE = "#0072B2"  # of Okabe and Ito: told from a white and from a black ground


class Picture(Protocol):
    """What is wanted of a PIL image."""

    @property
    def size(self) -> tuple[int, int]: ...
    def reduce(self, factor: int, /) -> Picture: ...
    def save(self, fp: Any, format: str, /) -> None: ...


class Images(Protocol):
    """What is wanted of a data set."""

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...
    def __len__(self) -> int: ...


class Told:
    """What tells itself as a text for a terminal; a notebook shows the same."""

    def text(self) -> str:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text())}</pre>"


def png(picture: Picture) -> bytes:
    """As a PNG file; a picture of more than `WIDEST` pixels on a side is reduced by a whole number."""
    buffer, times = io.BytesIO(), -(-max(picture.size) // WIDEST)
    (picture.reduce(times) if times > 1 else picture).save(buffer, "PNG")
    return buffer.getvalue()


def image(picture: Picture, alt: str) -> str:
    """A picture within the page itself. alt: what it shows, for those who do not see it."""
    small = f"width:{SMALL}px;image-rendering:pixelated;" if max(picture.size) < SMALL else ""
    return embedded(png(picture), "image/png", alt, small)


def embedded(data: bytes, kind: str, alt: str, style: str = "") -> str:
    """The bytes of a picture's file of a kind such as "image/gif"."""
    source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}" style="{style}max-width:100%">'


def gallery(data: Images, pictures: Iterable[tuple[Picture, str]]) -> str:
    """What images these are, and some of them, each above its words."""
    title = f"{data.name} ({data.split}): {len(data):,} images"
    figures = "".join(
        '<figure style="display:inline-block;vertical-align:top;margin:4px;max-width:240px;text-align:center">'
        f"{image(picture, words or title)}<figcaption>{escape(words)}</figcaption></figure>"
        for picture, words in pictures
    )
    return f"<div><p>{escape(title)}</p>{figures}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> str:
    """The first cell of a row names it. Floats are told with four digits; numbers stand at the right."""
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    head = "".join(f'<th scope="col" style="min-width:0">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(str(name))}</th>{"".join(map(_cell, cells))}</tr>'
        for name, *cells in rows
    )
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def evaluation(scores: Mapping[str, float], confusion: Sequence[Sequence[int]] = ()) -> str:
    """Scores, and a confusion of up to `FEW` classes, by their numbers."""
    told = table(("score", ""), scores.items())
    if not 0 < len(confusion) <= FEW:
        return told
    numbers = [str(number) for number in range(len(confusion))]
    rows = ([number, *counts] for number, counts in zip(numbers, confusion, strict=True))
    return told + table(("", *numbers), rows, "Counts: a row is the label, a column the answer.")


def bars(shares: Iterable[tuple[str, float]]) -> str:
    """Shares, 0 to 1, as bars beside their names."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th><td style="text-align:right">{share:.1%}</td>'
        f'<td><div style="width:{max(1, round(160 * share))}px;height:0.8em;background:{BLUE}"></div></td></tr>'
        for name, share in shares
    )
    return f"<table><tbody>{rows}</tbody></table>"


def beside(*parts: str) -> str:
    """Pieces from left to right, as far as there is room."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start">{"".join(parts)}</div>'


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
    side = "right" if text.lstrip("+-")[:1].isdigit() else "left"
    return f'<td style="text-align:{side}">{escape(text)}</td>'
