"""The one training loop, for every kind: next, step, log, evaluate, save."""

from __future__ import annotations

import math

from gipi.engine.agree import Stop, Total, everyone, together
from gipi.engine.checkpoint import ADVICE, restore, save
from gipi.engine.measure import Meter
from gipi.engine.place import Place
from gipi.engine.signals import stop_signal
from gipi.engine.task import SourceError, Task
from gipi.errors import RunError
from gipi.ops.metrics import merge, values
from gipi.runs import Run


def fit(task: Task, place: Place, run: Run, steps: int, every: int) -> str:
    """Train from the run's last saved state (or the beginning) to `steps`, evaluating and saving each `every` steps.

    Ctrl-C and SIGTERM save at the next step boundary. Returns the name of that signal, or "" after the last step. Several
    processes call it together; the first one alone writes. Raises RunError if a loss or a weight stops being finite, the last
    saved state is kept, and if the source cannot go on, when what was learnt until then has been saved.
    """
    step, spent_s, window = restore(task, place, run)
    seen = 0
    meter = Meter(step, steps, spent_s)
    source = task.source()

    def log(split: str, numbers: dict[str, float]) -> None:
        row = {"split": split, "step": step, "steps": steps, "time_s": round(meter.elapsed_s(), 3), **numbers}
        if bad := {name: value for name, value in numbers.items() if not math.isfinite(value)}:
            raise RunError(f"step {step}: {bad} is not finite; {ADVICE}")
        run.append(row)

    with stop_signal(once=place.world > 1) as stop:
        agreed, stopping = Stop(place), False
        while step < steps and not stopping:
            try:
                batch = next(source)
            except SourceError as error:
                save(task, place, run, step, meter.elapsed_s(), window)
                raise RunError(f"{error}. Step {step} is saved; go on with: gipi train --resume {run.path}") from error
            metrics = task.step(batch)
            window = merge(window, metrics)
            seen += metrics["loss"].count
            step += 1
            stopping = agreed(bool(stop))  # read once: a signal that comes later in this turn stops the next
            milestone = step % every == 0 or step == steps
            if milestone or step % max(1, every // 10) == 0:
                numbers = values(together(window, place))  # the only place that waits for the device
                log("train", numbers | meter.lap(step, Total(seen, place).wait()))
                window, seen = {}, 0
            if milestone and (held_out := task.evaluate()):
                log("validation", values(held_out))
            if milestone or stopping:
                save(task, place, run, step, meter.elapsed_s(), window)
                if window:  # half of one at a stop, to be seen now; a resume takes it back and logs the whole one
                    log("train", values(together(window, place)) | meter.lap(step, Total(seen, place).wait()))
                meter.pause()
    agreed.settle()
    return next((name for name in everyone("".join(stop), place) if name), "")
