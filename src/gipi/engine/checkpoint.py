"""All that resuming needs, saved and taken up again: by the first process, or of sharded weights each process its part."""

from __future__ import annotations

import shutil
from typing import Any

import torch

from gipi.engine.agree import everyone, together
from gipi.engine.place import Place
from gipi.engine.task import Task
from gipi.errors import RunError
from gipi.ops.metrics import Mean, Metrics
from gipi.runs import Run, all_finite

ADVICE = "the last saved state is kept; try a lower --optim.lr, or --optim.clip 1"


def restore(task: Task, place: Place, run: Run) -> tuple[int, float, Metrics]:
    """(steps done, seconds they took, metrics not logged yet). Raises RunError if the state is another training's."""
    state = run.load_state()
    if state is None:
        return 0, 0.0, {}
    try:
        parts = _load_shards(task, run, state["shards"]) if place.shard else state["parts"]
        for name, part in task.parts().items():
            part.load_state_dict(parts[name])
        if place.rank < len(state["random"]):
            place.set_random_state(state["random"][place.rank])
        else:  # more processes than there were
            torch.manual_seed(place.seed + state["step"] + place.rank)
        window = {name: Mean(*mean) for name, mean in state["window"].items()} if place.first else {}
        return state["step"], state["time_s"], window
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"the state saved in {run.path} does not belong to this training: {error}") from error


def save(task: Task, place: Place, run: Run, step: int, time_s: float, window: Metrics) -> None:
    """Write state and model. Every process must call it. Raises RunError if a weight is not finite; nothing is written then."""
    parts = {name: part.state_dict() for name, part in task.parts().items()}
    if not all(everyone(all_finite(parts), place)):
        raise RunError(f"step {step}: a weight is not finite; {ADVICE}")
    random = everyone(place.random_state(), place)
    unlogged = {name: (mean.total, mean.count) for name, mean in together(window, place).items()}
    state = {"step": step, "time_s": time_s, "random": random, "window": unlogged}
    if place.shard:
        name = f"shards-{step}"
        _save_shards(parts, run, name)
        run.save_state({**state, "shards": name})
        if place.first:
            _remove_shards(run, but=name)
    else:
        run.save_state({**state, "parts": parts})
    task.save_model(run.model_path)


def _save_shards(parts: dict[str, Any], run: Run, name: str) -> None:
    """Every process its part into a folder of its own name; the state that names the folder makes it count."""
    from torch.distributed.checkpoint.state_dict_saver import save as save_shards

    save_shards(parts, checkpoint_id=run.path / name)


def _load_shards(task: Task, run: Run, name: str) -> dict[str, Any]:
    """The parts for as many processes as there are now, whatever their number was then."""
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.state_dict_loader import load as load_shards

    parts = {name: part.state_dict() for name, part in task.parts().items()}
    try:
        load_shards(parts, checkpoint_id=run.path / name)
    except (CheckpointException, OSError) as error:
        raise RunError(f"{run.path / name} cannot be read: {error}") from error
    return parts


def _remove_shards(run: Run, but: str) -> None:
    for folder in run.path.glob("shards-*"):
        if folder.name != but:
            shutil.rmtree(folder, ignore_errors=True)
