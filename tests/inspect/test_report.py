"""The report: one well-formed page that shows hostile text as text and asks nothing of the network."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gipi.inspect.layers import layer_table
from gipi.inspect.report import Picture, Section, write_report
from gipi.models.deepconvnet import deepconvnet

EMPTY = {"meta", "link", "img"}  # elements without an end tag
HOSTILE = "<script>alert('1')</script> \"><img src=http://x.example/a.png onerror=alert(1)> &amp; ${x} </style></title>"


class Page(HTMLParser):
    """The parsed page; fails on tags that do not match. texts: what a reader sees, with the element it stands in."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))

    def of(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(buffer, format="png")
    return buffer.getvalue()


def test_hostile_text_appears_as_text_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    small = Picture(png("blue"), HOSTILE, HOSTILE)
    section = Section(HOSTILE, text=HOSTILE, table=([HOSTILE], [[HOSTILE]]), png=png("red"), pictures=[small])
    write_report(path, title=HOSTILE, summary=[(HOSTILE, HOSTILE)], sections=[section])
    page = Page(path)
    for tag in ("title", "h1", "dt", "dd", "h2", "p", "th", "td", "strong"):
        assert page.of(tag) == [HOSTILE], tag
    assert page.of("figcaption") == [f"\n{HOSTILE}"]
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "object", "form"})
    assert [attributes["alt"] for tag, attributes in page.tags if tag == "img"] == [HOSTILE, HOSTILE]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_characters="\r\0"), min_size=1))
def test_any_text_is_read_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.html"
    write_report(path, title="t", summary=[("n", f"<{text}>")], sections=[])
    assert Page(path).of("dd") == [f"<{text}>".encode("utf-8", "replace").decode()]


def test_page_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, title="t", summary=[], sections=[Section("a", png=png("red")), Section("b", png=png("blue"))])
    page = Page(path)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    style = "".join(page.of("style"))
    assert "url(" not in style
    assert "@import" not in style
    policy = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_pictures_are_the_given_ones_in_order(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    pictures = [png(colour) for colour in ("red", "blue", "green", "white")]
    small = [Picture(pictures[2], "d", ""), Picture(pictures[3], "e", "")]
    write_report(
        path,
        title="t",
        summary=[],
        sections=[Section("a", png=pictures[0]), Section("b"), Section("c", png=pictures[1], pictures=small)],
    )
    page = Page(path)
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in sources] == pictures
    assert page.of("h2") == ["a", "b", "c"]


def test_layer_table_as_a_table_with_numbers_to_the_right(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    header, rows = layer_table(deepconvnet(), (1, 28, 28)).cells()
    write_report(path, title="t", summary=[], sections=[Section("Layers", table=(header, rows))])
    page = Page(path)
    assert page.of("th") == header
    assert page.of("td") == [cell for row in rows for cell in row if cell]
    right = [attributes.get("class") == "number" for tag, attributes in page.tags if tag == "th"]
    assert right == [False, False, True, True, True, True, True]


def test_empty_table_and_empty_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, title="t", summary=[], sections=[Section("Nothing", table=(["a", "b"], []))])
    assert Page(path).of("th") == ["a", "b"]
    write_report(path, title="t", summary=[], sections=[])
    assert Page(path).of("h1") == ["t"]


def test_report_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    for title in ("old", "new"):
        write_report(path, title=title, summary=[], sections=[])
    assert Page(path).of("h1") == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
