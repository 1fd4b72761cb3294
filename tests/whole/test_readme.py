"""Every `gipi` command and every Python block that README.md shows runs as shown, in order, in a folder of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = ["README.md", "README.ko.md"]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def commands(page):
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("gipi ")]


ALL_IN_ONE = """
import json, sys
from gipi import cli
for words in json.load(sys.stdin):
    sys.argv = ["gipi", *words]
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            sys.exit(f"gipi {' '.join(words)} ended with {end.code}")
"""


def test_commands_run(tmp_path):
    """One after another in one process, which need not import torch for each."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    assert len(commands("README.md")) >= 6
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", ALL_IN_ONE]
    given = json.dumps(commands("README.md"))
    done = subprocess.run(run, input=given, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mistakes.png").exists()
    assert (tmp_path / "features.png").exists()


def test_both_readmes_show_the_same_commands_and_code():
    assert commands("README.md") == commands("README.ko.md")
    assert blocks("README.md", "python") == blocks("README.ko.md", "python")


@pytest.mark.slow
def test_python_runs(tmp_path, monkeypatch):
    from gipi.api import load_images
    from gipi.errors import DataError

    try:
        load_images("mnist", "test")
    except DataError:
        pytest.skip("MNIST is not at hand")
    (tmp_path / "digit.jpg").write_bytes((ROOT / "docs" / "images" / "seven.png").read_bytes())
    [code] = blocks("README.md", "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("7 "), done.stderr


@pytest.mark.slow
def test_demo_runs_offline_and_again(tmp_path):
    """Without MNIST the demo says so, trains on the embedded digits, and does not train a second time."""
    (tmp_path / "empty").mkdir()
    code = (
        "import gipi.data.fetch as f, runpy; f.CHECKOUT = f.CHECKOUT / 'nowhere'; "
        f"runpy.run_path({str(ROOT / 'examples' / 'demo.py')!r}, run_name='__main__')"
    )
    env = {
        **os.environ,
        "GIPI_DATA": str(tmp_path / "empty"),
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    first, second = (
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "going on with the 1,797 embedded digits" in first.stdout
    assert "trained already" in second.stdout
    accuracy = float(re.search(r"test accuracy on digits\s+([\d.]+)%", first.stdout)[1])
    assert accuracy > 97
