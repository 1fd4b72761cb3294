"""The processes of the service: uvicorn's server, alone or as several workers under its supervisor."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from types import FrameType
from typing import Any

from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess

from gipi.errors import GipiError, RunError
from gipi.web.connection import Connection
from gipi.web.metrics import FOLDER
from gipi.web.settings import Settings

KEEP_S, DRAIN_S = 30, 2.0  # an idle connection is kept; on top of the deadline, until what has begun is given up
HUNG_S = 30  # without a sign of life a worker is ended and another started; to import and load takes seconds
LOG = logging.getLogger("gipi")


def one(settings: Settings, listener: socket.socket) -> str:
    """Serve in this process; the name of the signal that ended it."""
    from gipi.web.app import create

    with _noted() as got:
        Server(config(settings, create(settings))).run([listener])
    return got[-1] if got else ""


def several(settings: Settings, listener: socket.socket) -> str:
    """Serve in `settings.workers` processes; one that dies is started again. Raises RunError if one cannot start."""
    measuring = get_context("spawn").Process(target=_measure, args=(settings,))  # whose memory is free again afterwards
    measuring.start()
    measuring.join()
    if measuring.exitcode:
        raise RunError("the models could not be loaded, so the service ends")
    folder = tempfile.mkdtemp(prefix="gipi-serve-")
    os.environ[FOLDER] = folder
    try:
        with _noted():
            supervisor = Supervisor(config(settings, partial(_created, settings)), [listener])
            supervisor.run()
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(folder, ignore_errors=True)
    if not supervisor.stopped:
        raise RunError("a worker could not start, so the service ends")
    return supervisor.stopped


def _measure(settings: Settings) -> None:
    """What answers fastest is found out here once, told, and kept for the workers."""
    from gipi.web.served import load_models

    with _told():
        LOG.setLevel(logging.INFO)
        for name, model in load_models(settings).items():
            model.expect(10**9)
            LOG.info("%s: answered by %s", name, model.runtime)


class Supervisor(Multiprocess):
    """stopped: by which signal. A second one ends all processes at once."""

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.stopped = ""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped:
            for process in self.processes:
                process.process.kill()
            shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
            os._exit(128 + number)
        self.stopped = signal.Signals(number).name
        self.signal_queue.append(number)

    def keep_subprocess_alive(self) -> None:
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for number in before - {process.pid for process in self.processes}:
            mark_process_dead(number)  # what waited there waits no more; what was counted stays

    def join_all(self) -> None:
        for listener in self.sockets:  # the workers have theirs closed: who comes now is refused at once
            listener.close()
        super().join_all()


def _created(settings: Settings) -> FastAPI:
    """In a worker."""
    from gipi.web.app import create

    with _told():
        return create(settings)


@contextmanager
def _told() -> Iterator[None]:
    """In a child process, which has no handlers of the log yet: errors are told, and end it."""
    logging.basicConfig(format="gipi: %(message)s")
    try:
        yield
    except GipiError as error:
        LOG.error("%s", error)
        sys.exit(STARTUP_FAILURE)  # by which the supervisor knows that another start would fail, too


def config(settings: Settings, app: Any) -> Config:
    return Config(
        app,
        factory=not isinstance(app, FastAPI),
        workers=settings.workers,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_S,
        timeout_worker_healthcheck=HUNG_S,
        timeout_graceful_shutdown=settings.deadline_s + DRAIN_S,  # pyright: ignore[reportArgumentType]
    )


@contextmanager
def _noted() -> Iterator[list[str]]:
    """The names of signals to stop, which uvicorn raises again once it has ended; all handlers are as before afterwards."""
    got: list[str] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: got.append(signal.Signals(number).name))
    try:
        yield got
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
