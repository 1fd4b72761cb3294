"""The tutorials: their code runs, and what is committed of their outputs is whole, clean and small."""

import ast
import json
import re
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
KINDS = ("act", "caption", "classify", "detect", "generate", "segment")
LARGEST = 400_000  # bytes


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def codes(path: Path) -> list[dict]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def run(path: Path, *, slow: bool) -> None:
    """Each cell's code, and what its last line shows. slow: trainings, and the cells that need them, too."""
    names: dict[str, object] = {}
    for cell in codes(path):
        if "slow" in cell["metadata"].get("tags", []) and not slow:
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, path.name, "exec"), names)
        if last:
            value = eval(compile(ast.Expression(last.value), path.name, "eval"), names)
            for way in ("_repr_html_", "_repr_png_"):
                assert getattr(value, way, lambda: "shown")()


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """In an empty folder, without data of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIPI_DATA", str(tmp_path / "none"))


def test_there_is_one_for_each_kind():
    assert tuple(path.stem for path in BOOKS) == KINDS


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_code_runs(path, alone):
    run(path, slow=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::gipi.errors.GipiWarning")  # a GAN of ten epochs deserves them
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_code_runs_with_its_training(path, alone):
    with torch.random.fork_rng():
        run(path, slow=True)


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_outputs_are_there_and_clean(path):
    text = path.read_text(encoding="utf-8")
    book = json.loads(text)
    assert len(text.encode()) <= LARGEST, f"{len(text.encode()):,} bytes"
    assert set(book["metadata"]) == {"kernelspec", "language_info"}
    assert set(book["metadata"]["language_info"]) == {"name"}
    assert [cell["execution_count"] for cell in codes(path)] == list(range(1, len(codes(path)) + 1))  # run once, from above
    for cell in book["cells"]:
        assert set(cell["metadata"]) <= {"tags"}
        assert cell["cell_type"] == "markdown" or cell["outputs"], "".join(cell["source"])
        for output in cell.get("outputs", []):
            assert output["output_type"] in ("execute_result", "stream")  # no error
            told = "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
            assert not re.search(r"/(home|root|work|tmp|usr|Users)/", told), told
    assert re.search(r"\.md\)", "".join(book["cells"][-1]["source"]))  # where to read on
