"""Training by a configuration, in this process: alone, or as one of several that train the same net together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gipi import catalog
from gipi.config import Config
from gipi.engine.agree import everyone
from gipi.engine.loop import fit
from gipi.engine.place import Place, place_for
from gipi.engine.ranks import joined, launched
from gipi.errors import ConfigError, RunError
from gipi.runs import Row, Run
from gipi.tasks.stacked import StackedClassify

Echo = Callable[[Row], None]


def train_one(config: Config, open_run: Callable[[], Run], report: bool, *, alone: bool = False) -> Run:
    """Train in one go, from the state that the run holds, if any; `members` of the configuration as one stacked net.

    open_run: called once the configuration has been found to be possible, of several processes by the first one.
    alone: this process trains by itself even if torchrun has started others.
    """
    rank, world = (0, 1) if alone or config.run.members > 1 else launched()
    place = place_for(config.run, rank=rank, world=world)
    # The caller's random numbers are left as they are.
    with torch.random.fork_rng(enabled=True), joined(place, config.run.timeout_s, _same(config)):
        return _train(config, place, open_run, report)


def _train(config: Config, place: Place, open_run: Callable[[], Run], report: bool) -> Run:
    """A function of its own, so that the task, which holds on to the group of processes, has gone before that is taken apart."""
    torch.manual_seed(place.seed)
    task = new_task(config, place)
    place.draw_apart()
    run = _opened(open_run, place)
    try:
        run.write_json("env.json", {**run.environment(), "place": str(place)})
        task.begin(run)
        if stopped := fit(task, place, run, task.steps, task.every):
            run.end("stopped", stopped)
            return run
        task.finish(run, report)
    except Exception as error:
        with suppress(RunError):  # on a full disk even that cannot be written
            run.end("failed", why(error))
        raise
    run.end("done", "all steps trained")
    return run


def new_task(config: Config, place: Place) -> Any:
    """The task of the configuration's kind, or of several members as one stacked net."""
    config = config.scaled()
    if config.run.members > 1:
        return StackedClassify(config, place)
    return catalog.resolve(catalog.entry(catalog.KINDS, config.kind, "kind").factory)(config, place)


def for_processes(config: Config, out: Path | None) -> Config:
    """The configuration for as many processes as torchrun has started. Raises ConfigError for what does not go together."""
    _, world = launched()
    if world > 1 and out is None:
        raise ConfigError(f"{world} processes (WORLD_SIZE) share one run folder, which all of them reach: give --out FOLDER")
    run = config.run
    if world > 1 and run.members == 1:
        if run.processes not in (1, world):
            raise ConfigError(f"--processes {run.processes}, but torchrun has started {world} (WORLD_SIZE): leave it out")
        run = replace(run, processes=world)
    for flag, given in (("shard", run.shard), ("sync-batchnorm", run.sync_batchnorm), ("scale", run.scale != "none")):
        if given and run.processes == 1:
            raise ConfigError(f"--{flag} is for several processes: give --processes 2 or more, or use torchrun")
    if run.shard and config.transfer.frozen:
        raise ConfigError(f"--shard with transfer.frozen {config.transfer.frozen}: a head alone needs no sharding, leave it out")
    return replace(config, run=run)


def why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _opened(open_run: Callable[[], Run], place: Place) -> Run:
    run = open_run() if place.first else None
    path = everyone(run.path if run else Path(), place)[0]
    return run or Run.open(path, writes=False)


def _same(config: Config) -> dict[str, str]:
    """Digests of what the processes of a training must have in common."""
    sha = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        sha.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    settings = hashlib.sha256(json.dumps(config.to_json(), sort_keys=True).encode())
    return {"gipi's code": sha.hexdigest()[:12], "torch": torch.__version__, "configuration": settings.hexdigest()[:12]}
