"""What --deterministic costs: images/s of the default recipe's training step with and without it, in turns."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

from common import ROOT, row, write

BATCH, STEPS, REPEATS = 100, 60, 5


def measure(deterministic: bool) -> list[float]:
    import torch

    import gipi
    from gipi.engine.place import place_for
    from gipi.tasks.classify import Classify

    config = gipi.RECIPES["deepconvnet-mnist"].config
    run = replace(config.run, deterministic=deterministic)
    torch.manual_seed(0)
    task = Classify(config, place_for(run))
    source, speeds = task.source(), []
    for window in range(REPEATS + 1):
        start = time.perf_counter()
        for _ in range(STEPS):
            task.step(next(source))
        if window:
            speeds.append(STEPS * BATCH / (time.perf_counter() - start))
    return speeds


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1] == "on")))
        return
    speeds: dict[str, list[float]] = {"off": [], "on": []}
    for way in ("off", "on", "off", "on"):
        done = subprocess.run([sys.executable, __file__, way], cwd=ROOT, check=True, capture_output=True, text=True)
        speeds[way] += json.loads(done.stdout.splitlines()[-1])
    rows = [row(f"deterministic {way}", values, "images/s", note="batch 100") for way, values in speeds.items()]
    rows.append(row("share of the speed that is left", [100 * rows[1]["value"] / rows[0]["value"]], "%"))
    write("deterministic", rows)


if __name__ == "__main__":
    main()
