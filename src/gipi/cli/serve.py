"""gipi serve: models behind HTTP, and a page to try them on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gipi.cli.common import STOPPED, parse
from gipi.errors import ConfigError


@dataclass(frozen=True)
class ServeArgs:
    """Serve models over HTTP, and a page to try them on, until Ctrl-C: pictures in, answers out, as JSON.

    Requests that come together are answered together. Takes pip install gipi[serve].
    """

    models: Positional[
        Annotated[
            tuple[str, ...],
            arg(help="model files, run folders or names of shipped models; without any, all shipped ones", metavar="[MODEL ...]"),
        ]
    ] = ()
    host: Annotated[str, arg(help="address to listen at; 0.0.0.0 is for all that can reach this machine", metavar="HOST")] = (
        "127.0.0.1"
    )
    port: Annotated[int, arg(help="port; 0 takes any that is free and tells it", metavar="PORT")] = 8000
    token_file: Annotated[
        Path | None,
        arg(help="a file with a token that clients must show; the environment's GIPI_TOKEN if not given", metavar="FILE"),
    ] = None
    workers: Annotated[int, arg(help="processes, each with all models", metavar="N")] = 1
    max_batch: Annotated[int, arg(help="pictures that a model reads together, at most", metavar="N")] = 64
    max_wait_ms: Annotated[
        float,
        arg(help="milliseconds that a busy model waits for a batch as large as its last; an idle one does not", metavar="MS"),
    ] = 2.0
    queue: Annotated[int, arg(help="pictures that may wait for a model; more are refused with 503", metavar="N")] = 256
    deadline: Annotated[float, arg(help="seconds within which a request is answered, or refused with 503", metavar="S")] = 10.0
    max_body_mb: Annotated[float, arg(help="megabytes of a request, at most", metavar="MB")] = 16.0
    max_megapixels: Annotated[float, arg(help="million pixels of a picture, at most", metavar="MP")] = 25.0


def serve(argv: list[str]) -> int:
    args = parse(ServeArgs, "gipi serve", argv)
    token = _token(args.token_file)
    from gipi.web import server

    stopped = server.serve(
        args.models, host=args.host, port=args.port, token=token, workers=args.workers, max_batch=args.max_batch,
        max_wait_ms=args.max_wait_ms, queue=args.queue, deadline_s=args.deadline, max_body_mb=args.max_body_mb,
        max_megapixels=args.max_megapixels,
    )  # fmt: skip
    return STOPPED.get(stopped, 0)


def _token(file: Path | None) -> str:
    if file is None:
        return os.environ.get("GIPI_TOKEN", "")
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--token-file {file} cannot be read: {error}") from error
    if not token:
        raise ConfigError(f"--token-file {file} is empty: write a long random word into it")
    return token
