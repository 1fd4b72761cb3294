"""The one training loop, for every kind: next, step, log, evaluate, save."""

from __future__ import annotations

import math

from gipi.engine.measure import Meter
from gipi.engine.place import Place
from gipi.engine.signals import stop_signal
from gipi.engine.task import Task
from gipi.errors import RunError
from gipi.ops.metrics import Mean, Metrics, merge, values
from gipi.runs import Run, all_finite

ADVICE = "the last saved state is kept; try a lower --optim.lr, or --optim.clip 1"


def fit(task: Task, place: Place, run: Run, steps: int, every: int) -> str:
    """Train from the run's last saved state (or the beginning) to `steps`, evaluating and saving each `every` steps.

    Ctrl-C and SIGTERM save at the next step boundary. Returns the name of that signal, or "" after the last step.
    Raises RunError if a loss or a weight stops being finite; the last saved state is kept.
    """
    step, spent_s, window = _restore(task, place, run)
    seen = 0
    meter = Meter(step, steps, spent_s)
    source = task.source()

    def log(split: str, numbers: dict[str, float]) -> None:
        row = {"split": split, "step": step, "steps": steps, "time_s": round(meter.elapsed_s(), 3), **numbers}
        if bad := {name: value for name, value in numbers.items() if not math.isfinite(value)}:
            raise RunError(f"step {step}: {bad} is not finite; {ADVICE}")
        run.append(row)

    with stop_signal() as stop:
        stopping = False
        while step < steps and not stopping:
            metrics = task.step(next(source))
            window = merge(window, metrics)
            seen += metrics["loss"].count
            step += 1
            stopping = bool(stop)  # read once: a signal that comes later in this turn stops the next
            milestone = step % every == 0 or step == steps
            if milestone or step % max(1, every // 10) == 0:
                numbers = values(window)  # the only place that waits for the device
                log("train", numbers | meter.lap(step, seen))
                window, seen = {}, 0
            if milestone and (held_out := task.evaluate()):
                log("validation", values(held_out))
            if milestone or stopping:
                _save(task, place, run, step, meter.elapsed_s(), window)
                meter.pause()
            if stopping and window:  # half a window, to be seen now; a resume takes it back and logs the whole one
                log("train", values(window) | meter.lap(step, seen))
    return "".join(stop)


def _restore(task: Task, place: Place, run: Run) -> tuple[int, float, Metrics]:
    """(steps done, seconds they took, metrics not logged yet)"""
    state = run.load_state()
    if state is None:
        return 0, 0.0, {}
    try:
        for name, part in task.parts().items():
            part.load_state_dict(state["parts"][name])
        place.set_random_state(state["random"])
        return state["step"], state["time_s"], {name: Mean(*mean) for name, mean in state["window"].items()}
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"the state saved in {run.path} does not belong to this training: {error}") from error


def _save(task: Task, place: Place, run: Run, step: int, time_s: float, window: Metrics) -> None:
    parts = {name: part.state_dict() for name, part in task.parts().items()}
    if not all_finite(parts):
        raise RunError(f"step {step}: a weight is not finite; {ADVICE}")
    unlogged = {name: (mean.total, mean.count) for name, mean in window.items()}
    random = place.random_state()
    run.save_state({"step": step, "time_s": time_s, "parts": parts, "random": random, "window": unlogged})
    task.save_model(run.model_path)
