"""The report of a run: one HTML page that holds its pictures and its style, and asks nothing of the network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

from gipi.runs import write_atomic

Table = tuple[Sequence[str], Sequence[Sequence[str]]]

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #666; --paper: #fafafa; --line: #ddd; --card: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #a0a0a0; --paper: #17191c; --line: #34383d; --card: #202327; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 58rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { margin: .5rem 0; white-space: pre-line; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .6rem; margin: 0; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; }
.long { grid-column: 1 / -1; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; font-weight: 600; }
.wide { overflow-x: auto; margin: .75rem 0; border: 1px solid var(--line); border-radius: .5rem; }
.picture { background: #fff; padding: .75rem; }
img { display: block; max-width: max(100%, 34rem); height: auto; margin: 0 auto; }
table { border-collapse: collapse; width: 100%; background: var(--card); font-size: .85rem; white-space: nowrap; }
th, td { padding: .3rem .75rem; text-align: left; font-variant-numeric: tabular-nums; }
tr + tr, tbody { border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.number { text-align: right; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: .75rem; margin: .75rem 0; }
figure { margin: 0; padding: .75rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
figure img { width: 100%; max-width: 100%; }
figcaption { margin-top: .5rem; font-size: .85rem; white-space: pre-line; }
"""


class Picture(NamedTuple):
    """A small picture with what stands below it: a line to see first, and text."""

    png: bytes
    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """A part of the page: text, then a table of (header, rows), then a picture, then small ones, each as far as given.

    Columns in which every cell starts with a digit, maybe behind a minus, or is empty are aligned to the right.
    png: or a GIF, which moves.
    """

    heading: str
    text: str = ""
    table: Table | None = None
    png: bytes | None = None
    pictures: Sequence[Picture] = ()


def write_report(path: Path, *, title: str, summary: Sequence[tuple[str, str]], sections: Sequence[Section]) -> None:
    """Write the page to `path`, complete or not at all. summary: (name, value) of the few facts to see first.

    All text is plain text and appears as it is; nothing in it is read as HTML.
    """
    # The policy makes browsers refuse whatever is not in the page, should anything ever get past the escaping.
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<dl>
{"".join(_fact(name, value) for name, value in summary)}</dl>
{"".join(map(_section, sections))}</body>
</html>
"""
    write_atomic(path, page.encode("utf-8", "replace"))  # a file name may hold what UTF-8 cannot


def _fact(name: str, value: str) -> str:
    width = ' class="long"' if len(value) > 32 else ""
    return f"<div{width}><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n"


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.heading)}</h2>"]
    if section.text:
        parts.append(f"<p>{escape(section.text)}</p>")
    if section.table:
        parts.append(f'<div class="wide">{_table(*section.table)}</div>')
    if section.png:
        parts.append(f'<div class="wide picture">{_image(section.png, section.heading)}</div>')
    if section.pictures:
        parts.append(f'<div class="pictures">\n{"".join(map(_picture, section.pictures))}</div>')
    return "<section>\n" + "\n".join(parts) + "\n</section>\n"


def _picture(picture: Picture) -> str:
    below = f"<strong>{escape(picture.title)}</strong>\n{escape(picture.text)}"
    return f"<figure>{_image(picture.png, picture.title)}<figcaption>{below}</figcaption></figure>\n"


def _image(data: bytes, name: str) -> str:
    kind = "gif" if data.startswith(b"GIF8") else "png"
    return f'<img alt="{escape(name)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    numbers = [all(not cell or cell.removeprefix("-")[:1].isdigit() for cell in column) for column in zip(*rows, strict=True)]
    classes = [' class="number"' if number else "" for number in numbers or [False] * len(header)]

    def line(tag: str, cells: Sequence[str]) -> str:
        pairs = zip(classes, cells, strict=True)
        return "<tr>" + "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in pairs) + "</tr>\n"

    body = "".join(line("td", row) for row in rows)
    return f"<table>\n<thead>\n{line('th', header)}</thead>\n<tbody>\n{body}</tbody>\n</table>"
