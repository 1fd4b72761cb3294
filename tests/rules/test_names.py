"""Public names: exported means documented, here and in docs/api.md."""

import ast
import inspect
from pathlib import Path

import pytest

import gipi

SOURCE = Path(__file__).parents[2] / "src" / "gipi"
DOCS = Path(__file__).parents[2] / "docs"


def test_all_is_what_resolves():
    assert sorted(gipi.__all__) == sorted(gipi._HOME)
    for name in gipi.__all__:
        assert getattr(gipi, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        gipi.trian  # noqa: B018


@pytest.mark.parametrize("name", gipi.__all__)
def test_public_name_is_documented(name):
    value = getattr(gipi, name)
    if callable(value):
        assert inspect.getdoc(value)
    assert f"`{name}" in (DOCS / "api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_public_definitions_have_docstrings(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path.name} does not say what it is"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            obvious = path.parent.name == "cli" or len(node.body) <= 4
            assert ast.get_docstring(node) or obvious, f"{path.name}: {node.name} has no docstring"
