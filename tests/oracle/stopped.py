"""A training that fails, or is told to stop, where a test wants it to, to be gone on with."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from gipi.config import Config
from gipi.engine import loop
from gipi.errors import RunError
from gipi.runs import Run
from gipi.tasks.training import train_one


def signalled(number: signal.Signals) -> None:
    """As if that signal came: what has been told to handle it is called.

    A signal itself would take the whole test process along where nothing handles it; tests/engine/test_loop.py sends real ones.
    """
    signal.getsignal(number)(number, None)  # pyright: ignore[reportCallIssue, reportOptionalCall]


def train(rank: int, config: Config, path: Path, stop_at: int = 0) -> None:
    """One of the processes, into `path` or going on with the run in it; it fails right after the save of the step `stop_at`."""
    save = loop.save

    def failing(task: Any, place: Any, run: Run, step: int, *rest: Any) -> None:
        save(task, place, run, step, *rest)
        if step == stop_at:
            raise RunError("stop here")

    loop.save = failing
    try:
        begun = (path / "config.json").exists()
        train_one(config, lambda: Run.open(path) if begun else Run.create(config.to_json(), path), report=False)
    finally:
        loop.save = save
