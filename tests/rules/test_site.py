"""The documentation as a site: it builds without a warning, asks no other host, its links lead somewhere, its commands exist."""

import json
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from gipi import cli
from gipi.cli.train import SHORT

pytest.importorskip("mkdocs_jupyter", reason="pip install gipi[docs]")

ROOT = Path(__file__).parents[2]
PAGES = [*(ROOT / name for name in ("README.md", "README.ko.md", "CONTRIBUTING.md")), *sorted((ROOT / "docs").glob("*.md"))]
BOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
ASKING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
ELSEWHERE = re.compile(r"(https?:)?//")
NAMESPACE = re.compile(r"https?://www\.w3\.org/")  # says which XML this is; nobody is asked


class Read(HTMLParser):
    """ids, where links lead, what a page loads, and its own scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.links, self.loads, self.own = set[str](), list[str](), list[str](), list[str]()
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if ASKING.get(tag) in values:
            self.loads.append(values[ASKING[tag]])
        self.own.append(values.get("style", ""))
        self._inside = tag

    def handle_data(self, data):
        if self._inside in ("script", "style"):
            self.own.append(data)

    def handle_endtag(self, tag):
        self._inside = ""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Read]:
    return {path: Read(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_built_and_in_the_navigation(site, pages):
    names = {path.relative_to(site).as_posix() for path in pages}
    wanted = {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} | {f"tutorials/{path.stem}.html" for path in BOOKS}
    assert wanted | {"readme.html"} <= names
    led = {(site / link.partition("#")[0]).resolve() for link in pages[site / "index.html"].links if not ELSEWHERE.match(link)}
    assert {name for name in wanted if (site / name).resolve() not in led} == set()


def test_no_page_asks_another_host(site, pages):
    for path, page in pages.items():
        for address in page.loads:
            assert address, f"{path.name} loads itself"
            assert not ELSEWHERE.match(address), f"{path.name} loads {address}"
        asked = re.findall(r"""["'(](?:https?:)?//[^"')\s]+""", NAMESPACE.sub("", "\n".join(page.own)))
        assert asked == [], path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"""(url\(|@import)\s*["']?(https?:)?//""", path.read_text(encoding="utf-8")), path.name


def test_links_and_anchors_of_the_site_lead_somewhere(site, pages):
    for path, page in pages.items():
        for address in [*page.links, *page.loads]:
            if path.name == "404.html" or re.match(r"[a-z]+:|//", address):  # of the web, mail, data
                continue
            file, _, anchor = unquote(address).partition("#")
            target = (path.parent / file).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.name} leads to {address}"
            assert not anchor or target not in pages or anchor in pages[target].ids, f"{path.name} leads to {address}"


def anchors(path: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_anchors_of_a_page_lead_somewhere(path):
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", path.read_text(encoding="utf-8")):
        assert anchor in anchors(path.parent / file if file else path), f"{path.name} leads to {file}#{anchor}"


def commands(path: Path) -> list[list[str]]:
    """The words of each line in a block of commands that begins with gipi."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("gipi ")]


@pytest.mark.parametrize("path", [*PAGES[3:], *BOOKS], ids=lambda path: path.name)  # tests/whole/test_readme.py runs the README's
def test_commands_exist(path):
    snapshot = (ROOT / "tests" / "rules" / "flags.txt").read_text(encoding="utf-8").splitlines()
    flags = {verb: {*known, "-o", "--traceback"} for verb, *known in map(str.split, snapshot)}
    flags["train"] |= {f"--{short}" for short in SHORT}
    assert flags.keys() == cli.VERBS.keys()
    for _, verb, *words in commands(path):
        assert verb in flags, f"{path.name}: gipi {verb}"
        asked = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
        assert asked <= flags[verb], f"{path.name}: gipi {verb} {' '.join(asked - flags[verb])}"


def test_commands_are_found():
    assert ["gipi", "predict", "dcgan-mnist", "--walk", "1", "2", "3", "-o", "walk.gif"] in commands(BOOKS[4])
    assert sum(len(commands(path)) for path in PAGES) > 50
