"""Mean test accuracy of a recipe over seeds: python bench/accuracy.py RECIPE...

Each seed is a run folder below runs/bench; one that is done is not trained again, one that was stopped goes on. Started twice on
two cores (OMP_NUM_THREADS=1), the processes share the seeds, and the last one writes the results.
The test set is looked at once in each run, after its last step.
"""

from __future__ import annotations

import sys

import gipi
from common import over_seeds, row, training_time, write

SEEDS = 5
FEWER = {"digitnet-mnist": 3, "digitnet-fashion": 3, "resnet-cifar10": 1}  # seeds of the recipes that train longest


def main() -> None:
    recipes = {name: recipe.config for name, recipe in gipi.RECIPES.items()}
    for recipe in sys.argv[1:] or [name for name, config in recipes.items() if config.data.name and config.kind == "classify"]:
        runs = over_seeds(recipe, FEWER.get(recipe, SEEDS))
        if not runs:
            print(f"{recipe}: another process is at the other seeds")
            continue
        values = [100 * gipi.load(run.path).card.metrics["accuracy"] for run in runs]  # percent
        split = f"{recipes[recipe].data.name} test"
        write("accuracy", [row(recipe, values, "%", split=split, note=training_time(runs), mean=True)], keep=True)


if __name__ == "__main__":
    main()
