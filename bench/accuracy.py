"""Mean test accuracy of a recipe over seeds: python bench/accuracy.py RECIPE...

Each seed is a run folder below runs/bench; one that is done is not trained again, one that was stopped goes on. Started twice on
two cores (OMP_NUM_THREADS=1), the processes share the seeds, and the last one writes the results.
The test set is looked at once in each run, after its last step.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import replace

import gipi
from common import RUNS, row, write
from gipi.runs import Run, claim

SEEDS = 5
FEWER = {"digitnet-mnist": 3, "digitnet-fashion": 3, "resnet-cifar10": 1}  # seeds of the recipes that train longest


def accuracy(recipe: str, seed: int) -> float:
    """Test accuracy in percent."""
    config = gipi.RECIPES[recipe].config
    folder = RUNS / f"{recipe}-seed{seed}"
    if not (folder / "config.json").exists():
        gipi.train(replace(config, run=replace(config.run, seed=seed)), out=folder)
    elif not (folder / "report.html").exists():
        gipi.resume(folder)
    value = 100 * gipi.load(folder).card.metrics["accuracy"]
    print(f"{recipe} seed {seed}: {value:.2f} %", flush=True)
    return value


def main() -> None:
    for recipe in sys.argv[1:] or [name for name, recipe in gipi.RECIPES.items() if recipe.config.data.name]:
        values: dict[int, float] = {}
        seeds = range(FEWER.get(recipe, SEEDS))
        for seed in (*seeds, *seeds):  # the second time for those that another process was at
            with claim(RUNS / f"{recipe}-seed{seed}") as mine:
                if mine and seed not in values:
                    values[seed] = accuracy(recipe, seed)
        if len(values) < len(seeds):
            print(f"{recipe}: another process is at the other seeds")
            continue
        data = gipi.RECIPES[recipe].config.data.name
        runs = [Run.open(RUNS / f"{recipe}-seed{seed}") for seed in seeds]
        minutes = statistics.mean(run.rows()[-1]["time_s"] for run in runs) / 60
        note = f"{minutes:.1f} min of training a seed on {runs[0].environment()['place']}"
        write("accuracy", [row(recipe, list(values.values()), "%", split=f"{data} test", note=note, mean=True)], keep=True)


if __name__ == "__main__":
    main()
