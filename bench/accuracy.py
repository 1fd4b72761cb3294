"""Mean test accuracy of a recipe over seeds: python bench/accuracy.py RECIPE...

Each seed is a run folder below runs/bench; one that is done is not trained again, one that was stopped goes on.
The test set is looked at once in each run, after its last step.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import gipi
from common import RUNS, row, write

SEEDS = range(5)


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
    for recipe in sys.argv[1:] or list(gipi.RECIPES):
        values = [accuracy(recipe, seed) for seed in SEEDS]
        data = gipi.RECIPES[recipe].config.data.name
        write("accuracy", [row(recipe, values, "%", split=f"{data} test", mean=True)], keep=True)


if __name__ == "__main__":
    main()
