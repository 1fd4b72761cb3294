"""A training that is killed at any moment, or stopped by a signal, and resumed ends exactly where a straight one does.

Run as a program (`test_kill.py FOLDER`), this file is the laboratory of the first test: one warmed-up process that forks a child
for every moment at which a training touches its run folder; the child kills itself there.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gipi import cli
from gipi.runs import Run
from gipi.tasks.classify import Classify

CLOCK = ("time_s", "samples_per_s", "left_s")
ALONE = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}

posix = pytest.mark.skipif(os.name != "posix", reason="forks and signals are POSIX")


# --- what a run left behind


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of nested states by its path, tensors as their bytes."""
    if isinstance(value, torch.Tensor):
        return {name: (value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes())}
    if isinstance(value, dict):
        return {key: leaf for part in value for key, leaf in flat(value[part], f"{name}.{part}").items()}
    if isinstance(value, list) and name.endswith("random"):  # of each process
        return flat(dict(enumerate(value)), name)
    return {name: value}


def rows(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in CLOCK} for line in lines]


def check_same(run: Path, straight: Path) -> None:
    assert rows(run) == rows(straight)
    states = [flat(torch.load(path / "state-0.pt", weights_only=True)) for path in (run, straight)]
    assert states[0].keys() == states[1].keys()
    assert [key for key, leaf in states[0].items() if leaf != states[1][key] and not key.endswith(CLOCK)] == []
    assert (run / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()
    assert (run / "config.json").read_bytes() == (straight / "config.json").read_bytes()
    assert json.loads((run / "end.json").read_text())["status"] == "done"
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in straight.iterdir())


# --- kill -9


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run([sys.executable, __file__, str(folder)], env=ALONE, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@posix
def test_killed_at_any_moment_and_resumed_is_straight(killed: Path):
    moments = json.loads((killed / "moments.json").read_text())
    for file in ("config.json", "metrics.jsonl", "state-0.pt", "model.safetensors", "end.json"):
        assert any(file in moment for moment in moments), f"no moment at {file}"
    assert {moment.split()[0] for moment in moments} == {"open", "write", "fsync", "replace"}
    faults: dict[str, list[str]] = {}
    for number, moment in enumerate(moments):
        try:
            check_same(killed / f"at-{number}", killed / "straight")
        except AssertionError as fault:
            faults.setdefault(str(fault).splitlines()[0], []).append(f"{number}: {moment}")
    assert not faults, "\n".join(f"{fault}\n    killed at {', '.join(where)}" for fault, where in faults.items())


@posix
def test_killed_again_while_resuming_is_straight(killed: Path):
    twice = sorted(killed.glob("twice-*"))
    assert twice
    for run in twice:
        check_same(run, killed / "straight")


def laboratory(folder: Path) -> None:
    """Trains straight, then once for each moment: killed there, and resumed."""
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # which the first optimiser would import: once here, not in every child
    from gipi import api, catalog
    from gipi.recipes import RECIPES
    from gipi.runs import write_atomic
    from gipi.tasks import classify

    # The real report takes a second to draw; of interest here is that it is written.
    classify.write_training_report = lambda run, *_, **__: write_atomic(run.path / "report.html", b"report")

    few = {split: classify.load_images("digits", split).subset(torch.arange(48), split) for split in ("train", "test")}
    here = sys.modules["__main__"]
    here.few_digits = few.__getitem__  # pyright: ignore[reportAttributeAccessIssue]
    catalog.DATASETS["digits"] = replace(catalog.DATASETS["digits"], factories={"classify": "__main__:few_digits"})
    recipe = RECIPES["deepconvnet-digits"].config
    config = replace(recipe, data=replace(recipe.data, batch=12, holdout=0.25), run=replace(recipe.run, epochs=2))

    def go_on(run: Path) -> None:
        if not (run / "config.json").exists():  # killed before there was a run
            api.train(config, out=run)
        elif not (run / "end.json").exists() or json.loads((run / "end.json").read_text())["status"] != "done":
            api.resume(run)

    def forked(action: Callable[[], object], moments: Moments) -> int:
        """Exit status of a child that does `action`, -9 if it was killed."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                moments.watch()
                action()
                moments.file.write_text(json.dumps(moments.met))
                status = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def expect(status: int, wanted: tuple[int, ...], what: str) -> None:
        if status not in wanted:
            sys.exit(f"{what}: exit status {status}, wanted {wanted}")

    met = folder / "moments.json"
    expect(forked(lambda: api.train(config, out=folder / "straight"), Moments(folder, None, met)), (0,), "straight")
    count = len(json.loads(met.read_text()))
    other = folder / "moments-of-a-resume.json"
    for number in range(count):
        run = folder / f"at-{number}"
        expect(forked(lambda run=run: api.train(config, out=run), Moments(run, number, other)), (-9,), f"kill at {number}")
        expect(forked(lambda run=run: go_on(run), Moments(run, None, other)), (0,), f"resume after {number}")
    for number in range(0, count, 9):
        run = folder / f"twice-{number}"
        expect(forked(lambda run=run: api.train(config, out=run), Moments(run, number, other)), (-9,), f"kill at {number}")
        for again in (2, 9, 20):
            expect(forked(lambda run=run: go_on(run), Moments(run, again, other)), (-9, 0), f"kill at {number}, then {again}")
        expect(forked(lambda run=run: go_on(run), Moments(run, None, other)), (0,), f"last resume after {number}")


class Moments:
    """Every moment at which this process touches `folder`; at the one of number `kill_at` it kills itself."""

    def __init__(self, folder: Path, kill_at: int | None, file: Path) -> None:
        self.folder, self.kill_at, self.file = str(folder), kill_at, file
        self.met: list[str] = []

    def meet(self, name: str, path: Any = "") -> None:
        if name != "fsync" and self.folder not in os.fspath(path):
            return
        if len(self.met) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.met.append(f"{name} {Path(os.fspath(path)).name}")

    def watch(self) -> None:
        real_open, real_os_open, real_replace = builtins.open, os.open, os.replace

        def opened(path: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(path, int) or self.folder not in os.fspath(path):
                return real_open(path, *args, **kwargs)
            self.meet("open", path)
            return HalfFile(real_open(path, *args, **kwargs), lambda: self.meet("write", path))

        def os_opened(path: Any, *args: Any, **kwargs: Any) -> int:
            self.meet("open", path)
            return real_os_open(path, *args, **kwargs)

        def fsync(_: int) -> None:  # a kill does not lose what the system holds, so the disk need not be waited for
            self.meet("fsync")

        def replaced(source: Any, target: Any) -> None:
            self.meet("replace", target)
            real_replace(source, target)

        builtins.open, os.open, os.fsync, os.replace = opened, os_opened, fsync, replaced  # pyright: ignore


class HalfFile:
    """A file in which every write has a moment when half of it is on disk."""

    def __init__(self, file: Any, half: Callable[[], None]) -> None:
        self._file, self._half = file, half

    def write(self, data: Any) -> int:
        middle = len(data) // 2
        self._file.write(data[:middle])
        self._file.flush()
        self._half()
        return middle + self._file.write(data[middle:])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> HalfFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


# --- signals, to the real program

TRAIN = ["train", "deepconvnet-digits", "--data.holdout", "0.8", "--data.batch", "70", "--epochs", "8"]


def gipi(words: list[str], folder: Path) -> subprocess.Popen[str]:
    """`python -m gipi` with those words; as a shell starts it in the foreground, Ctrl-C reaches it."""
    return subprocess.Popen(
        [sys.executable, "-m", "gipi", *words],
        cwd=folder,
        env=ALONE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    out, err = (process := gipi([*TRAIN, "--out", "run"], folder)).communicate(timeout=300)
    assert process.returncode == 0, out + err
    return folder / "run"


@posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_stopped_by_a_signal_it_says_how_to_go_on_and_that_is_straight(number: int, status: int, straight: Path, tmp_path: Path):
    process = gipi([*TRAIN, "--out", "a run"], tmp_path)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("gipi: cpu, ")  # where it trains
    line = process.stderr.readline()
    assert "validation" in line, line + process.stderr.read()
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, out + err
    assert out == ""
    assert "Traceback" not in err
    assert json.loads((tmp_path / "a run" / "end.json").read_text())["status"] == "stopped"
    last = torch.load(tmp_path / "a run" / "state-0.pt", weights_only=True)["step"]
    assert 4 <= last < 32
    message = re.search(r"stopped at step (\d+) and saved; go on with: gipi (.+)", err)
    assert message, err
    assert int(message[1]) == last

    out, err = (process := gipi(shlex.split(message[2]), tmp_path)).communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert "test accuracy" in out
    check_same(tmp_path / "a run", straight)


@posix
def test_stopped_before_anything_was_logged_it_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    """In the third of 65 steps, by a signal inside the step; while it goes on again, the run does not count as stopped."""
    real, path, ended = Classify.step, tmp_path / "run", []

    def step(task: Classify, batch: Any) -> Any:
        metrics = real(task, batch)
        ended.append(Run(path).ended())
        if len(ended) in (3, 5):
            os.kill(os.getpid(), signal.SIGTERM)
        return metrics

    monkeypatch.setattr(Classify, "step", step)
    assert cli.train(["deepconvnet-digits", "--data.batch", "20", "--epochs", "1", "--out", str(path)]) == 143
    assert f"stopped at step 3 and saved; go on with: gipi train --resume {path}" in capsys.readouterr().err
    assert cli.train(["--resume", str(path)]) == 143
    assert "stopped at step 5 and saved" in capsys.readouterr().err
    assert ended == ["running"] * 5


@posix
def test_a_finished_run_is_not_resumed(straight: Path):
    before = {path.name: path.read_bytes() for path in straight.iterdir()}
    out, err = (process := gipi(["train", "--resume", str(straight)], straight.parent)).communicate(timeout=300)
    assert process.returncode == 1
    assert out == ""
    assert "is done" in err
    assert {path.name: path.read_bytes() for path in straight.iterdir()} == before


if __name__ == "__main__":
    laboratory(Path(sys.argv[1]))
