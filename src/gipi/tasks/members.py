"""Training an ensemble, which any number of processes may share.

OUT/member-0, OUT/member-1, ... are ordinary runs, each trained by the process that claims its folder; whichever process then
finds all of them done writes the ensemble into OUT. Where that is faster, one process trains all together, in OUT itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import fmean

import torch

from gipi.config import Config
from gipi.engine.place import Place, place_for
from gipi.engine.ranks import launched
from gipi.errors import RunError
from gipi.runs import Row, Run, claim
from gipi.tasks.classifier import Classifier
from gipi.tasks.classify import conclude
from gipi.tasks.stacked import ensemble, spread
from gipi.tasks.training import Echo, new_task, train_one, why

# Where one stacked net is faster than one member after another. bench/members.py measures it; on CUDA it is an expectation yet.
TOGETHER = {"cpu": False, "cuda": True}


def train_members(config: Config, open_run: Callable[[], Run], echo: Echo | None, report: bool) -> Run:
    """Train what no other process does of an ensemble, and finish it if no member is left.

    echo: called with the rows of the members, too, which have their number as "member".
    """
    alone, place = config.members(), place_for(config.run)
    with torch.random.fork_rng(enabled=True):
        new_task(alone[0], place)  # refuses what is impossible before anything is written
    run = open_run()
    if run.ended() == "done":  # by other processes that started earlier
        return run
    _note(run, "running", "members are trained")
    if _together(config, place, run):
        with claim(run.path) as mine:
            return train_one(config, lambda: run, report) if mine and run.ended() != "done" else run
    paths = [run.path / f"member-{number}" for number in range(len(alone))]
    try:
        if stopped := _train_unclaimed(dict(zip(paths, alone, strict=True)), echo, report):
            _note(run, "stopped", stopped)
        elif all(map(_done, paths)):
            with claim(run.path) as mine, torch.random.fork_rng(enabled=True):
                if mine and run.ended() != "done":
                    _finish(run, config, paths, place, report)
                    run.end("done", "all members trained")
    except Exception as error:
        with suppress(RunError):
            _note(run, "failed", why(error))
        raise
    return run


def join(config: Config, path: Path, echo: Echo | None) -> Run:
    """The run in `path`, made by whichever of several processes comes first. Raises RunError if it is another training's."""
    while True:
        with claim(path) as mine:
            if (path / "config.json").exists():
                break
            if mine:
                return Run.create(config.to_json(), path, echo)
        time.sleep(0.05)
    run = Run.open(path, echo)
    if Config.from_json(run.config()) != config:
        raise RunError(f"{path} already holds another training: choose another folder with --out")
    return run


def _together(config: Config, place: Place, run: Run) -> bool:
    """Whether all members train as one stacked net: as the run began, else where it is faster.

    One process only, and not where `Optim` would mix the members (the norm that `clip` limits, the parts of `accumulate`) or
    where they start from weights, whose layers learn at different times and rates.
    """
    if (run.path / "state-0.pt").exists() or (run.path / "member-0").exists():
        return (run.path / "state-0.pt").exists()
    apart = config.optim.clip > 0 or config.optim.accumulate > 1 or config.transfer.weights != ""
    return TOGETHER[place.device.type] and not apart and launched()[1] == 1


def _train_unclaimed(members: dict[Path, Config], echo: Echo | None, report: bool) -> str:
    """Train members until each is done or claimed by another process. Returns the name of the signal that stopped it, or ""."""
    trained = True
    while trained:  # again, since another process may have left one
        trained = False
        for number, (path, config) in enumerate(members.items()):
            with claim(path) as mine:
                if not mine or _done(path):
                    continue
                shown = (lambda row, number=number: echo({**row, "member": number})) if echo else None
                own = lambda path=path, config=config, shown=shown: _open(path, config, shown)  # noqa: E731
                run = train_one(config, own, report, alone=True)
                if run.ended() == "stopped":
                    return run.why()
                trained = True
    return ""


def _open(path: Path, config: Config, echo: Echo | None) -> Run:
    if not (path / "config.json").exists():
        return Run.create(config.to_json(), path, echo)
    run = Run.open(path, echo)
    run.end("running", "resumed")
    return run


def _done(path: Path) -> bool:
    return Run(path).ended() == "done"


def _note(run: Run, status: str, why: str) -> None:
    """Write how the ensemble stands, once no other process is writing; one that writes for longer is finishing it."""
    for _ in range(20):
        with claim(run.path) as mine:
            if mine:
                if run.ended() != "done":
                    run.end(status, why)
                return
        time.sleep(0.05)


def _finish(run: Run, config: Config, paths: list[Path], place: Place, report: bool) -> None:
    """The ensemble of the trained members: its metrics are their mean until the test, which is its own."""
    rows = [Run(path).rows() for path in paths]
    (run.path / "metrics.jsonl").unlink(missing_ok=True)  # of a finish that was killed
    quiet = Run(run.path)
    for same in zip(*rows, strict=True):
        if same[0]["split"] != "test":
            quiet.append(_mean(same))
    members = [Classifier.load(path / "model.safetensors", place) for path in paths]
    run.write_json("env.json", {**run.environment(), "place": str(place)})
    more = spread([own[-1]["accuracy"] for own in rows])
    conclude(run, ensemble(members), config, report, more)


def _mean(rows: tuple[Row, ...]) -> Row:
    """One row for those of all members at the same step; its time is that of all together."""
    means = {name: value if isinstance(value, str | int) else fmean(row[name] for row in rows) for name, value in rows[0].items()}
    return {**means, "time_s": round(sum(row["time_s"] for row in rows), 3)}
