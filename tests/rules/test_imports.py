"""Who may import whom: the layers of the design, read off the source."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "gipi"
LAYERS = {
    0: {"errors", "config", "catalog", "recipes", "studies", "decode", "preprocess", "published", "showing"},
    1: {"ops", "runs", "model", "foreign"},
    2: {"models", "data", "envs", "engine"},
    3: {"tasks", "inspect"},
    4: {"api", "lab", "looks", "live", "bench", "plan"},
    5: {"cli", "web", "screen", "__main__"},
}
LAYER = {name: number for number, names in LAYERS.items() for name in names}
SIDEWAYS = {
    ("tasks", "inspect"),
    ("model", "runs"),
    ("cli", "screen"),
    ("cli", "web"),
    ("__main__", "cli"),
    ("lab", "api"),
    ("looks", "api"),
    ("live", "api"),
    ("live", "looks"),
    ("bench", "api"),
    ("plan", "api"),
}  # tasks draw their report; a model file is written as a run's files are
STANDARD_ONLY = LAYERS[0]


def modules():
    return sorted(SOURCE.rglob("*.py"))


def imports(path):
    """Top-level names imported anywhere in the file, as (first part, second part)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple((alias.name + ".").split(".")[:2])
        elif isinstance(node, ast.ImportFrom) and not node.level:
            first, second = (node.module + ".").split(".")[:2]
            if first == "gipi" and not second:
                for alias in node.names:
                    yield first, alias.name
            else:
                yield first, second


def room(path):
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down(path):
    own = room(path)
    if own == "__init__":
        return
    for first, second in imports(path):
        if first != "gipi" or second == "__version__":
            continue
        assert second in LAYER, f"{path.name} imports gipi.{second}, which stands in no layer"
        if second == own or (own, second) in SIDEWAYS:
            continue
        if own in LAYERS[5]:
            assert second in STANDARD_ONLY | LAYERS[4] | {"cli", "screen"}, (
                f"{own} imports gipi.{second}: only the public API and layer 0 are allowed"
            )
        assert LAYER[second] < LAYER[own] or (LAYER[own] == 0 and LAYER[second] == 0), (
            f"{own} (layer {LAYER[own]}) imports gipi.{second} (layer {LAYER[second]})"
        )


@pytest.mark.parametrize("name", sorted(STANDARD_ONLY))
def test_layer_zero_needs_the_standard_library_only(name):
    import sys

    for path in [SOURCE / f"{name}.py"] if (SOURCE / f"{name}.py").exists() else sorted((SOURCE / name).glob("*.py")):
        for first, _ in imports(path):
            assert first in sys.stdlib_module_names | {"gipi", "__future__"}


def test_every_module_has_a_layer():
    assert {room(path) for path in modules()} - {"__init__"} == set(LAYER)


def test_import_of_the_package_and_help_need_no_torch():
    import subprocess
    import sys

    code = "import sys, gipi, gipi.cli; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
