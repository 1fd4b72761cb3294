"""A run folder is never half written: whatever fails and whenever, a reader meets the old file or the new one."""

from __future__ import annotations

import builtins
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gipi import runs
from gipi.errors import RunError
from gipi.runs import Run, claim, environment, new_run_path, write_atomic

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create({"recipe": "x"}, tmp_path / "run")


class Faulty:
    """Stands before open, write, fsync, replace and close; the call of number `at` fails (a write half done)."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int | None) -> None:
        self.at, self.calls = at, []
        patch.setattr(builtins, "open", self._opener(builtins.open))
        for name in ("open", "write", "fsync", "replace", "rename", "close"):
            patch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _meet(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) - 1 == self.at:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                self._meet(name)
            except OSError:
                if name == "close":
                    real(*args)
                raise
            return real(*args, **kwargs)

        return call

    def _opener(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._meet("open")
            return HalfFile(real(*args, **kwargs), self._meet)

        return call


class HalfFile:
    """A file that comes half way with a write that fails."""

    def __init__(self, file: Any, meet: Callable[[str], None]) -> None:
        self._file, self._meet = file, meet

    def write(self, data: Any) -> None:
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._meet("write")
        self._file.write(data[half:])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> HalfFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def count_calls(action: Callable[[], object]) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        faulty = Faulty(patch, None)
        action()
    return faulty.calls


def failing(action: Callable[[], object]) -> Iterator[str]:
    """Run `action` once for each of its calls of the system, that call failing; yields the call's name after each run."""
    names = count_calls(action)
    for at, name in enumerate(names):
        with pytest.MonkeyPatch.context() as patch:
            faulty = Faulty(patch, at)
            with pytest.raises((OSError, RunError)):
                action()
            assert faulty.calls[: at + 1] == names[: at + 1]
        yield name


# --- write_atomic


def test_writing_makes_and_replaces_a_file(tmp_path: Path):
    path = tmp_path / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]


def test_the_data_is_on_disk_before_the_rename_and_the_rename_before_the_end(tmp_path: Path):
    calls = count_calls(lambda: write_atomic(tmp_path / "file", b"data"))
    assert calls.index("write") < calls.index("fsync") < calls.index("replace")
    if os.name == "posix":
        assert "fsync" in calls[calls.index("replace") :]


@pytest.mark.parametrize("old", [None, b"old content"], ids=["new file", "old file"])
def test_a_failure_at_any_call_leaves_the_old_content_or_the_new(tmp_path: Path, old: bytes | None):
    path = tmp_path / "file"

    def action() -> None:
        write_atomic(path, b"the new content")

    seen = []
    for name in failing(action):
        content = path.read_bytes() if path.exists() else None
        assert content in (old, b"the new content"), name
        seen.append(name)
        path.unlink(missing_ok=True)
        if old is not None:
            path.write_bytes(old)
    assert {"open", "write", "fsync", "replace"} <= set(seen)


def test_a_failure_before_the_rename_leaves_the_old_content_and_no_litter(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for name in failing(lambda: write_atomic(path, b"new")):
        if path.read_bytes() == b"old":
            assert os.listdir(tmp_path) == ["file"], name
        path.write_bytes(b"old")


@pytest.mark.parametrize("what", ["state", "json", "row"])
def test_a_full_disk_is_an_error_of_ours(run: Run, what: str):
    action = {
        "state": lambda: run.save_state({"step": 1, "weight": torch.zeros(3)}),
        "json": lambda: run.end("done", ""),
        "row": lambda: run.append({"step": 1}),
    }[what]
    with pytest.MonkeyPatch.context() as patch:
        Faulty(patch, 1)
        with pytest.raises(RunError, match="No space left"):
            action()


def test_a_failed_save_of_the_state_leaves_the_last_one(run: Run):
    run.save_state({"step": 1})
    for name in failing(lambda: run.save_state({"step": 2})):
        state = run.load_state()
        assert state is not None
        assert state["step"] in (1, 2), name
        run.save_state({"step": 1})


# --- metrics.jsonl

rows = st.lists(
    st.dictionaries(
        st.sampled_from(["split", "loss", "näme", "a\nb", "\u2028"]), st.floats(allow_nan=False) | st.text(max_size=5), max_size=4
    ),
    min_size=1,
    max_size=5,
)


@few
@given(rows, st.data())
def test_rows_come_back_and_a_last_line_cut_anywhere_is_left_out(tmp_path: Path, rows: list[dict[str, Any]], data: st.DataObject):
    run, path = Run(tmp_path), tmp_path / "metrics.jsonl"
    path.unlink(missing_ok=True)
    for row in rows:
        run.append(row)
    assert run.rows() == rows
    whole = path.read_bytes()
    last = len(whole.rstrip(b"\n").rpartition(b"\n")[2]) + 1
    path.write_bytes(whole[: len(whole) - data.draw(st.integers(1, last))])
    assert run.rows() == rows[:-1]


def test_a_row_is_shown_as_it_is_added(tmp_path: Path):
    shown: list[dict[str, Any]] = []
    run = Run.create({}, tmp_path / "run", shown.append)
    run.append({"step": 1})
    run.append({"step": 2})
    assert shown == run.rows() == [{"step": 1}, {"step": 2}]


def test_no_rows_yet(run: Run):
    assert run.rows() == []


@pytest.mark.parametrize(
    "damage", [b"\0" * 40 + b"\n", b"not json\n", b"\xff\xfe\n", b"{\n"], ids=["zeros", "words", "bytes", "cut"]
)
def test_damage_inside_the_metrics_is_an_error_of_ours(run: Run, damage: bytes):
    (run.path / "metrics.jsonl").write_bytes(b'{"step": 1}\n' + damage + b'{"step": 2}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl"):
        run.rows()


# --- state


def test_without_a_state_the_metrics_start_over(run: Run):
    run.append({"step": 1})
    assert run.load_state() is None
    assert run.rows() == []


def test_loading_the_state_cuts_the_metrics_back_to_it(run: Run):
    for step in range(1, 6):
        run.append({"step": step, "split": "train"})
        if step == 3:
            run.save_state({"step": 3, "weight": torch.arange(3.0)})
    with open(run.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "spl')
    state = run.load_state()
    assert state is not None
    assert state["step"] == 3
    assert state["weight"].tolist() == [0, 1, 2]
    assert [row["step"] for row in run.rows()] == [1, 2, 3]
    run.append({"step": 4})
    assert [row["step"] for row in run.rows()] == [1, 2, 3, 4]


def test_a_broken_state_is_named_and_the_metrics_stay(run: Run):
    run.append({"step": 1})
    run.save_state({"step": 1, "weight": torch.arange(100.0)})
    path = run.path / "state-0.pt"
    whole = path.read_bytes()
    for broken in (b"", b"junk", whole[:-1], whole[: len(whole) // 2], whole[100:]):
        path.write_bytes(broken)
        with pytest.raises(RunError, match=r"state-0\.pt"):
            run.load_state()
        assert len(run.rows()) == 1


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["GIPI_CACHE"] + "/evil",)


@pytest.mark.parametrize(
    "foreign", [[1, 2], {"weight": torch.zeros(2)}, 7, {"step": "three"}, Evil()], ids=["list", "no step", "int", "word", "code"]
)
def test_a_file_that_is_no_state_is_refused_and_runs_nothing(run: Run, foreign: Any):
    torch.save(foreign, run.path / "state-0.pt")
    with pytest.raises(RunError, match=r"state-0\.pt"):
        run.load_state()
    assert not (Path(os.environ["GIPI_CACHE"]) / "evil").exists()


# --- create, open, end


def test_create_writes_what_open_reads(tmp_path: Path):
    made = Run.create({"a": {"b": [1, 2.5, "ü"]}}, tmp_path / "deep" / "run")
    again = Run.open(made.path)
    assert again.config() == {"a": {"b": [1, 2.5, "ü"]}}
    assert again.ended() == "running"
    assert set(os.listdir(made.path)) == {"config.json", "env.json"}
    environment = json.loads((made.path / "env.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__


def test_create_refuses_a_folder_that_holds_a_run_and_leaves_it(run: Run):
    before = {file.name: file.read_bytes() for file in run.path.iterdir()}
    with pytest.raises(RunError, match="--resume"):
        Run.create({"recipe": "other"}, run.path)
    assert {file.name: file.read_bytes() for file in run.path.iterdir()} == before


def test_create_failing_anywhere_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "run"
    monkeypatch.setattr(runs, "environment", dict)

    def action() -> None:
        (path / "config.json").unlink(missing_ok=True)
        Run.create({"recipe": "x"}, path)

    for name in failing(action):
        if (path / "config.json").exists():
            assert Run.open(path).config() == {"recipe": "x"}, name
        else:
            with pytest.raises(RunError):
                Run.open(path)


def test_create_where_nothing_can_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("a file")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="cannot write") as caught:
            Run.create({}, path)
        assert str(path) in str(caught.value)


def test_create_in_an_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):  # as root nothing is locked

        def denied(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(RunError, match="Permission denied"):
        Run.create({}, folder / "run")


def test_open_wants_a_run(tmp_path: Path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match="not a run folder"):
            Run.open(path)


@pytest.mark.parametrize("name", ["config.json", "end.json"])
def test_a_broken_json_file_is_named(run: Run, name: str):
    run.end("done", "because")
    (run.path / name).write_text("{")
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        run.config() if name == "config.json" else run.ended()


def test_the_end_is_told_with_its_reason(run: Run):
    assert run.ended() == "running"
    run.end("stopped", "SIGTERM")
    assert (run.ended(), run.why()) == ("stopped", "SIGTERM")
    run.end("failed", "RunError: ünfinite")
    assert (run.ended(), run.why()) == ("failed", "RunError: ünfinite")


def test_run_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for number in range(1, 4):
        path = new_run_path("recipe")
        assert path == Path("runs") / f"recipe-{number:03d}"
        Run.create({}, path)


def test_two_trainings_that_start_together_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    one, two = new_run_path("recipe"), new_run_path("recipe")
    Run.create({}, one)
    with pytest.raises(RunError):
        Run.create({}, two)


def test_the_environment_is_plain_json():
    facts = json.loads(json.dumps(environment()))
    assert facts["cores"] >= 1
    assert set(facts["versions"]) == {"gipi", "python", "torch", "numpy"}
    assert runs.environment()["system"] == facts["system"]


# --- claim

no_locks = pytest.mark.skipif(sys.platform == "win32", reason="Windows lacks such locks")


@no_locks
def test_a_folder_is_one_process_s_until_that_is_killed(tmp_path: Path):
    code = "import sys, gipi.runs as r, pathlib as p\nwith r.claim(p.Path(sys.argv[1])) as mine: print(mine, flush=True); input()"
    folder = tmp_path / "deep" / "run"
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with claim(folder) as mine:
            assert not mine
        with claim(tmp_path / "elsewhere") as mine:
            assert mine
        other.kill()
    with claim(folder) as mine:
        assert mine


@no_locks
def test_a_claim_ends_with_its_block_and_lets_errors_through(tmp_path: Path):
    with claim(tmp_path) as first, claim(tmp_path) as second:
        assert (first, second) == (True, False)
    for error in (ZeroDivisionError, BlockingIOError):
        with pytest.raises(error, match="True"), claim(tmp_path) as mine:
            raise error(mine)
    with claim(tmp_path) as mine:
        assert mine


def test_a_claim_where_nothing_can_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(RunError, match="cannot write the folder"), claim(tmp_path / "file"):
        pass
