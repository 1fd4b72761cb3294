"""Several processes as torchrun would have started them, forked from a server that has imported torch and started no thread."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

import torch

from gipi.errors import GipiError

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["gipi.api", "torch._dynamo"])


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def in_ranks(world: int, work: Callable[..., Any], *args: Any, timeout_s: float = 120) -> list[Any]:
    """What `work(rank, *args)`, a function of a module, gives in each of `world` processes, by rank; an error of one is raised."""
    port, pipes = free_port(), [_server.Pipe(duplex=False) for _ in range(world)]
    children = [
        _server.Process(target=_one, args=(send, rank, world, port, work, args), daemon=True)
        for rank, (_, send) in enumerate(pipes)
    ]
    for child in children:
        child.start()
    try:
        got = []
        for rank, (receive, _) in enumerate(pipes):
            if not receive.poll(timeout_s):
                raise TimeoutError(f"rank {rank} of {world} gave no answer in {timeout_s} s")
            got.append(receive.recv())
    finally:
        for child in children:
            child.join(5)
            child.kill()
    for value, trace in got:
        if trace:
            raise value if isinstance(value, GipiError) else RuntimeError(trace)
    return [value for value, _ in got]


def _one(send: Any, rank: int, world: int, port: int, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    try:
        send.send((work(rank, *args), ""))
    except BaseException as error:
        send.send((error if isinstance(error, GipiError) else None, traceback.format_exc()))
