"""The run folder: everything a training leaves behind, in one format for all kinds.

config.json every resolved value      env.json versions, device, command line     metrics.jsonl one row a line
model.safetensors the net alone       state-0.pt all that resuming needs          end.json done, stopped or failed, and why
shards-STEP/ the parts of a sharded net, each saved by the process that has it
report.html curves, confusion matrix, mistakes, layer table

Every file is written beside its place, flushed to disk and renamed, so that a reader, or a kill at any moment, meets either the
old file or the new one. Only metrics.jsonl grows in place; a resume cuts it back to the step of the state it starts from.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from gipi.errors import RunError
from gipi.showing import table

if sys.platform != "win32":
    import fcntl

Row = dict[str, Any]


def write_atomic(path: Path, data: bytes) -> None:
    """`path` holds its old content until `data` is safely on disk, and then `data`, whatever happens in between.

    Raises OSError. What a kill leaves beside it, the next write of `path` takes away.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the rename itself is only safe once the folder is on disk
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Whether `folder` (made if it is missing) is this process's to work in: a lock that ends with the process, however it ends.

    Processes that go through the same folders so share the work. Windows lacks such locks: all is granted. Raises RunError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "ab")  # noqa: SIM115
    except OSError as error:
        raise RunError(f"cannot write the folder {folder}: {error.strerror}") from error
    with file:
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        except BlockingIOError:
            mine = False
        yield mine


def all_finite(state: Any) -> bool:
    """Whether every number in the tensors of a nested state is finite."""
    if isinstance(state, torch.Tensor):
        state = getattr(state, "to_local", lambda: state)()  # this process's part of a sharded one
        return not state.is_floating_point() or bool(state.isfinite().all())
    if isinstance(state, dict):
        return all(all_finite(part) for part in state.values())
    return all(all_finite(part) for part in state) if isinstance(state, list | tuple) else True


def environment() -> dict[str, Any]:
    """Versions, machine and command line, for env.json and bench results."""
    import numpy

    from gipi import __version__

    commit = (
        subprocess.run(  # noqa: S603
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        if _is_checkout()
        else None
    )
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "commit": commit.stdout.strip() if commit else "",
        "versions": {
            "gipi": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
        },
        "system": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
    }


class Run:
    """One run folder. `echo` is called with every row as it is appended: how the command line shows progress.

    writes: whether it does; of several processes that train together only the first one's does.
    """

    def __init__(self, path: Path, echo: Callable[[Row], None] | None = None, *, writes: bool = True) -> None:
        self.path = path
        self._echo = echo
        self._writes = writes

    @classmethod
    def create(cls, config: Mapping[str, Any], path: Path, echo: Callable[[Row], None] | None = None) -> Run:
        """A new run in `path`, which must not hold one already (RunError)."""
        if (path / "config.json").exists():
            raise RunError(
                f"{path} already holds a run: choose another folder with --out, or go on with it: gipi train --resume {path}"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path, echo)
            run.write_json("env.json", environment())
            run.write_json("config.json", config)
        except OSError as error:
            raise RunError(f"cannot write the run folder {path}: {error.strerror}") from error
        return run

    @classmethod
    def open(cls, path: Path, echo: Callable[[Row], None] | None = None, *, writes: bool = True) -> Run:
        """The run in an existing folder. Raises RunError if there is none."""
        if not (path / "config.json").is_file():
            raise RunError(f"{path} is not a run folder: it has no config.json")
        return cls(path, echo, writes=writes)

    @property
    def model_path(self) -> Path:
        return self.path / "model.safetensors"

    def config(self) -> dict[str, Any]:
        return self._read_json("config.json")

    def environment(self) -> dict[str, Any]:
        """Versions, machine and command line of the training."""
        return self._read_json("env.json")

    def write_json(self, name: str, value: Any) -> None:
        self._write(name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def append(self, row: Row) -> None:
        """Add one row to metrics.jsonl and show it."""
        if not self._writes:
            return
        try:
            with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise RunError(f"cannot write {self.path / 'metrics.jsonl'}: {error.strerror}") from error
        if self._echo:
            self._echo(row)

    def rows(self) -> list[Row]:
        """All rows so far; a last line cut short by a kill is left out."""
        path = self.path / "metrics.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        try:
            return [json.loads(line) for line in lines if line.endswith(b"\n")]
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from error

    def save_state(self, state: Mapping[str, Any]) -> None:
        if not self._writes:
            return
        buffer = io.BytesIO()
        torch.save({**state, "rows": len(self.rows())}, buffer)
        self._write("state-0.pt", buffer.getvalue())

    def load_state(self) -> dict[str, Any] | None:
        """The last saved state, or None if there is none yet; metrics.jsonl is cut back to the rows it had then.

        Raises RunError if the file is damaged.
        """
        path = self.path / "state-0.pt"
        state = None
        if path.exists():
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:
                raise RunError(f"{path} cannot be read ({error}): start again with a new folder") from error
            if not isinstance(state, dict) or type(state.get("rows")) is not int:
                raise RunError(f"{path} is not the state of a training: start again with a new folder")
        kept = self.rows()[: state["rows"] if state else 0]
        self._write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept).encode())
        return state

    def end(self, status: str, why: str) -> None:
        """How it ended: done, stopped or failed."""
        time = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.write_json("end.json", {"status": status, "why": why, "time": time})

    def ended(self) -> str:
        """done, stopped, failed, or running (also after a kill that left no time to say so)."""
        return self._read_json("end.json")["status"] if (self.path / "end.json").exists() else "running"

    def why(self) -> str:
        """Why it ended: the signal's name if it was stopped, the error if it failed."""
        return self._read_json("end.json")["why"]

    def _repr_html_(self) -> str:
        """Where it is, how it ended, and its last row of metrics."""
        row = (self.rows() or [{}])[-1]
        return table(("run", str(self.path)), [("ended", self.ended()), *row.items()])

    def _write(self, name: str, data: bytes) -> None:
        if not self._writes:
            return
        try:
            write_atomic(self.path / name, data)
        except OSError as error:
            raise RunError(f"cannot write {self.path / name}: {error.strerror}") from error

    def _read_json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / name} cannot be read: {error}") from error


def new_run_path(recipe: str) -> Path:
    """The first free runs/RECIPE-001, -002, ... below the current folder."""
    number = 1
    while (path := Path("runs") / f"{recipe}-{number:03d}").exists():
        number += 1
    return path


def _is_checkout() -> bool:
    return (Path(__file__).parents[2] / ".git").exists()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
