"""Several processes on this machine that train one net: started, watched and started again by torchrun's own agent.

Each of them runs this file: `python -m gipi.tasks.together RUN REPORT` goes on with the run in the folder RUN.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from gipi.config import Config
from gipi.engine.machine import cores
from gipi.engine.ranks import launched
from gipi.errors import ConfigError, DataError, DeviceError, GipiError, RunError, WeightsError
from gipi.runs import Run
from gipi.tasks.training import Echo, train_one

LOOK_S = 0.2  # between two looks at the metrics
BEFOREHAND = {cls.__name__: cls for cls in (ConfigError, DataError, DeviceError, WeightsError)}


def train_together(run: Run, processes: int, *, max_restarts: int, report: bool, echo: Echo | None) -> Run:
    """Train in so many processes from where the run is; `echo` is called with each row that the first of them writes.

    max_restarts: how often all of them are started again, from the last saved state, when one has died.
    Raises RunError with what the first process that failed said, or its ConfigError or DeviceError.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what matters in it is said below
    agent = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=max_restarts,
    )
    words = ("-u", "-m", "gipi.tasks.together", str(run.path), str(int(report)))
    try:
        with _followed(run, echo), _handlers_kept():
            elastic_launch(agent, sys.executable)(*words)
    except ChildFailedError as error:
        if run.ended() != "stopped":
            raise _failure(error, run) from error
    except Exception:
        if run.ended() != "stopped":  # by a signal, which the agent raises as an exception of its own
            raise
    return run


def _failure(error: Any, run: Run) -> GipiError:
    """What the process that failed first left word of."""
    rank, failure = error.get_first_failure()
    word = failure.message  # of an error of Python's a dict
    kind, _, text = (word["message"] if isinstance(word, dict) else word).partition(": ")
    if kind in BEFOREHAND and not run.rows():
        return BEFOREHAND[kind](text)
    died = f"was ended by {failure.signal_name()}" if failure.exitcode < 0 else f"failed: {text or kind}"
    return RunError(f"process {rank} {died}; go on from the last saved state with: gipi train --resume {run.path}")


@contextmanager
def _followed(run: Run, echo: Echo | None) -> Iterator[None]:
    """Call `echo` with every row that is added to the run meanwhile."""
    done, shown = threading.Event(), len(run.rows())

    def look() -> None:
        nonlocal shown
        rows = run.rows()
        for row in rows[shown:]:
            if echo:
                echo(row)
        shown = len(rows)  # fewer after a new start, which goes back to the last saved state

    def follow() -> None:
        while not done.wait(LOOK_S):
            look()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        look()


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """The agent sets handlers of its own for signals and leaves them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")  # Windows lacks the last two
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names if hasattr(signal, name)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_processes(config: Config, processes: int) -> None:
    """Raises DeviceError if this machine has not as many devices."""
    cuda = config.run.device != "cpu" and torch.cuda.is_available()
    most, what = (torch.cuda.device_count(), "CUDA devices") if cuda else (cores(), "cores")
    if processes > most:
        raise DeviceError(f"{processes} processes, but this machine has {most} {what}: give --processes {most} or fewer")


def main(path: str, report: str) -> None:
    """One of the processes."""
    rank, _ = launched()
    run = Run.open(Path(path), writes=rank == 0)
    if run.ended() != "done":
        train_one(Config.from_json(run.config()), lambda: run, report == "1")


if __name__ == "__main__":
    from torch.distributed.elastic.multiprocessing.errors import record

    try:
        record(main)(*sys.argv[1:])  # leaves word of an error for the agent
    except GipiError:
        sys.exit(1)
