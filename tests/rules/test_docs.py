"""README and docs are true: the tree shows every file, links lead somewhere, tables are those that the results files give."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gipi.recipes import RECIPES

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", ROOT / "README.ko.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", READMES, ids=lambda p: p.name)
def test_tree_shows_every_source_file(page):
    text = page.read_text(encoding="utf-8")
    for path in sorted((ROOT / "src" / "gipi").rglob("*.py")):
        if path.name != "__init__.py":
            assert path.name in text, f"{page.name} does not show {path.relative_to(ROOT)}"
    for word in re.findall(r"\b(\w+\.py)\b", re.search(r"```text\n(.*?)```", text, re.DOTALL).group(1)):
        assert list((ROOT / "src" / "gipi").rglob(word)), f"{page.name} shows {word}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readmes_state_the_same_facts():
    """Every number with a unit in one README is in the other."""
    english, korean = (set(re.findall(r"\d[\d,.]*\d|\d", page.read_text(encoding="utf-8"))) for page in READMES)
    assert english == korean


def test_tables_are_generated_from_the_results():
    subprocess.run([sys.executable, str(ROOT / "bench" / "tables.py"), "--check"], check=True)


def test_table_of_the_nets_is_generated_from_the_catalogue():
    subprocess.run([sys.executable, str(ROOT / "bench" / "landmarks.py"), "--check"], check=True)


def test_recipes_state_the_measured_accuracy():
    rows = {row["name"]: row for row in json.loads((ROOT / "bench" / "results" / "accuracy.json").read_text())["results"]}
    for name, recipe in RECIPES.items():
        measured = rows[name]["value"] if name in rows else None
        assert recipe.accuracy == (None if measured is None else round(measured, 2)), f"{name}: bench says {measured}"


def test_changelog_knows_this_version():
    import gipi

    assert f"## [{gipi.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'version = "{gipi.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
