"""A reader's budget: lines a file may have. Over budget means split or delete."""

from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "gipi"
BUDGETS = {
    "api.py": 300,
    "engine/loop.py": 80,
    "engine/optim.py": 160,
    "runs.py": 270,
    "data/stream.py": 180,
    "engine/place.py": 180,
    "foreign.py": 320,
    "data/fetch.py": 200,
}
FOLDERS = {"tasks": 200, "models": 200, "data": 150, "envs": 200, "engine": 120, "ops": 200, "inspect": 250, "cli": 150}
ANY = 250
WHOLE = 38_500


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def budget(path):
    name = path.relative_to(SOURCE).as_posix()
    return BUDGETS.get(name, FOLDERS.get(name.split("/")[0], ANY))


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_file_is_within_its_budget(path):
    assert lines(path) <= budget(path), f"{path.name} has {lines(path)} lines, its budget is {budget(path)}"


def test_package_is_within_its_budget():
    total = sum(lines(path) for path in SOURCE.rglob("*.py"))
    print(f"src/gipi: {total:,} lines of {WHOLE:,}")
    assert total <= WHOLE
