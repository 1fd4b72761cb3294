"""Several processes that train one net together, by torch.distributed: joining them, and naming one that hangs."""

from __future__ import annotations

import gc
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from gipi.engine.agree import everyone
from gipi.engine.place import Place
from gipi.errors import ConfigError, DeviceError, RunError

PATIENCE_S = 10.0  # for which the processes that noticed a hang wait for each other's word
LOST = re.compile(r"timed? ?out|timeout|connection (closed|reset|refused)|closed by peer|broken pipe|nccl|gloo", re.IGNORECASE)


def launched() -> tuple[int, int]:
    """(rank, world): which of how many processes this one is, as torchrun or a cluster's scheduler says; (0, 1) alone."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(place: Place, timeout_s: float, same: Mapping[str, str]) -> Iterator[None]:
    """The processes of a training as one group: gloo between CPUs, NCCL between CUDA devices.

    timeout_s: how long one may wait for another.  same: what must be the same in all of them, by name.
    Raises DeviceError if the others cannot be reached, ConfigError if they differ in `same`, RunError naming the processes that
    do not answer in time.
    """
    if place.world == 1:
        yield
        return
    store = _store(timeout_s)
    cuda = place.device.type == "cuda"
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        store=store,
        rank=place.rank,
        world_size=place.world,
        timeout=timedelta(seconds=timeout_s),
        device_id=place.device if cuda else None,
    )
    try:
        _compare(same, place)
        yield
        dist.barrier()  # nobody leaves while another one is still being answered
    except RuntimeError as error:
        if isinstance(error, RunError) or not LOST.search(str(error)):
            raise
        raise RunError(_missing(store, place, timeout_s, "time" in str(error).lower())) from error
    finally:
        # What still holds the group, such as a replica in a cycle of references, would take it apart later, while it holds
        # Python's lock, which a thread of the group may be waiting for.
        gc.collect()
        dist.destroy_process_group()


def _store(timeout_s: float) -> Store:
    where = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
    try:
        store, _, _ = next(rendezvous("env://", timeout=timedelta(seconds=timeout_s)))
    except (dist.DistError, ValueError, OSError) as error:
        raise DeviceError(
            f"no rendezvous at {where} (MASTER_ADDR:MASTER_PORT) within {timeout_s:g} s: {str(error).splitlines()[0]}; start the "
            "processes by torchrun, and see that the first machine can be reached from the others"
        ) from error
    # After a restart by torchrun the same store is met again.
    return PrefixStore(f"gipi/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _compare(same: Mapping[str, str], place: Place) -> None:
    for rank, other in enumerate(everyone(same, place)):
        for name in same:
            if other.get(name) != same[name]:
                raise ConfigError(
                    f"process {place.rank} on {socket.gethostname()} and process {rank} differ in {name} ({same[name]} and "
                    f"{other.get(name)}): start all of them with the same one"
                )


def _missing(store: Store, place: Place, timeout_s: float, hangs: bool) -> str:
    """Who does not answer. Each process that noticed leaves word in the store, which lives outside of the group."""
    silent, end = list(range(place.world)), time.monotonic() + (PATIENCE_S if hangs else 1)
    try:
        store.set(f"waiting/{place.rank}", "")
        while silent and time.monotonic() < end:
            silent = [rank for rank in silent if not store.check([f"waiting/{rank}"])]
            time.sleep(0.1)
    except dist.DistError:  # the process that kept the store has gone
        silent = []
    if not silent:
        return "the connection to the other processes broke; the last saved state is kept"
    who = ", ".join(map(str, silent))
    return f"process {who} did not answer within {timeout_s:g} s (--timeout-s): hung or dead; the last saved state is kept"
