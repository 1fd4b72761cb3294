"""Starting the service: what is asked is checked, the address taken, and then one process or several answer."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import socket
import sys
import threading
import warnings
from collections.abc import Sequence

from gipi.errors import ConfigError, DeviceError, GipiWarning
from gipi.web.settings import Settings

PARTS = ("fastapi", "uvicorn", "httptools", "prometheus_client")


def serve(
    models: str | Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str = "",
    workers: int = 1,
    max_batch: int = 64,
    max_wait_ms: float = 2.0,
    queue: int = 256,
    deadline_s: float = 10.0,
    max_body_mb: float = 16.0,
    max_megapixels: float = 25.0,
) -> str:
    """Serve models until SIGINT or SIGTERM; its name is returned once all requests that had begun are answered.

    Arguments are those of `Settings`.
    Raises ConfigError, WeightsError and DeviceError for what cannot be served, before anything is.
    """
    settings = Settings(
        (models,) if isinstance(models, str) else tuple(map(str, models)),
        host,
        port,
        token,
        workers,
        max_batch,
        max_wait_ms,
        queue,
        deadline_s,
        max_body_mb,
        max_megapixels,
    )
    if missing := [part for part in PARTS if not importlib.util.find_spec(part)]:
        raise DeviceError(f"the service needs {', '.join(missing)}: pip install gipi[serve]")
    _check_place()
    from gipi import api

    kinds = {name: api.read_card(api.find_model(given)).kind for name, given in settings.names().items()}
    with listening(settings) as listener:
        if not settings.local and not settings.token:
            text = f"others can reach {settings.host}, and no token keeps them from asking: give --token-file FILE"
            warnings.warn(GipiWarning(text), stacklevel=2)
        from gipi.web import running

        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{shown}:{listener.getsockname()[1]}"
        print(f"gipi: {address} serves {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}", file=sys.stderr)
        return running.one(settings, listener) if settings.workers == 1 else running.several(settings, listener)


def _check_place() -> None:
    """Raises ConfigError where no service can run."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # a worker that runs the script that started it
        raise ConfigError("several workers read the script again: put gipi.serve below `if __name__ == '__main__':`")
    if threading.current_thread() is not threading.main_thread() or asyncio._get_running_loop():
        raise ConfigError("a service needs the main thread to itself, which it has not here: run `gipi serve` in a terminal")


def listening(settings: Settings) -> socket.socket:
    """A socket at the address. Raises ConfigError if that cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(f"--host {settings.host} is no address of this machine: {error}") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        text = f"cannot listen at {settings.host}, port {settings.port}: {error.strerror}; choose another with --host and --port"
        raise ConfigError(text) from error
    return listener
