"""Does the book's dropout behind the last affine layer help the default recipe? Validation accuracy with rate 0.5 and without.

Decided on the held-out 5,000 training images. The runs without it are those of bench/accuracy.py.
"""

from __future__ import annotations

from dataclasses import replace

import gipi
from accuracy import RUNS, accuracy
from common import row, write
from gipi.runs import Run

SEEDS = range(2)


def validation(folder: str) -> float:
    """Accuracy in percent after the last epoch."""
    rows = [line for line in Run.open(RUNS / folder).rows() if line["split"] == "validation"]
    return 100 * rows[-1]["accuracy"]


def main() -> None:
    recipe = gipi.RECIPES["deepconvnet-mnist"].config
    with_it = replace(recipe, net=replace(recipe.net, args={"last_dropout": 0.5}))
    for seed in SEEDS:
        accuracy("deepconvnet-mnist", seed)
        folder = RUNS / f"last-dropout-seed{seed}"
        if not (folder / "report.html").exists():
            gipi.train(replace(with_it, run=replace(with_it.run, seed=seed)), out=folder)
    names = {"without": "deepconvnet-mnist-seed{}", "rate 0.5": "last-dropout-seed{}"}
    rows = [
        row(name, [validation(folder.format(seed)) for seed in SEEDS], "%", split="mnist validation", mean=True)
        for name, folder in names.items()
    ]
    write("last_dropout", rows)


if __name__ == "__main__":
    main()
