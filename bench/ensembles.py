"""Ensembles of the models that bench/accuracy.py has trained: their accuracy, and what the largest of them still misreads.

The members are all seeds of a recipe, none left out, so nothing is chosen on the test set; the largest takes all recipes named
below, which was fixed before any ensemble was scored. Writes bench/results/ensembles.json, docs/images/ensemble-mistakes.png and
the list in docs/records.md.
"""

from __future__ import annotations

import re

import gipi
from accuracy import FEWER, SEEDS
from common import ROOT, RUNS, row, write
from gipi.inspect import figures

RECIPES = ("deepconvnet-best", "digitnet-mnist")
PAGE = ROOT / "docs" / "records.md"

# Test images whose label fewer than three of five people confirmed, with what at least three of them saw instead; "" if they did
# not agree. Source: Northcutt, Athalye, Mueller, "Pervasive Label Errors in Test Sets Destabilize Machine Learning Benchmarks",
# NeurIPS 2021, and its data at github.com/cleanlab/label-errors, mturk/mnist_mturk.json: 15 of the 10,000.
DISPUTED = {947: "9", 1621: "6", 1901: "4", 2130: "", 2462: "0", 2597: "3", 2654: "", 3520: "", 3558: "0", 5937: "3", 6651: "6",
            6783: "6", 8527: "", 9679: "", 9729: "6"}  # fmt: skip


def members(recipe: str) -> list[str]:
    return [str(RUNS / f"{recipe}-seed{seed}") for seed in range(FEWER.get(recipe, SEEDS))]


def main() -> None:
    groups = {f"{len(members(recipe))} x {recipe}": members(recipe) for recipe in RECIPES}
    groups["all of them"] = [model for models in groups.values() for model in models]
    results = {name: gipi.evaluate(models, "mnist") for name, models in groups.items()}
    rows = [
        row(name, [100 * result.metrics["accuracy"].value], "%", split="mnist test", note=f"{len(groups[name])} models")
        for name, result in results.items()
    ]
    write("ensembles", rows)

    images, best = gipi.load_images("mnist", "test"), results["all of them"]
    wrong = (best.answers != images.labels).nonzero()[:, 0].tolist()
    picture = figures.mistakes(images.images, images.labels, best.answers, best.scores, images.classes)
    (ROOT / "docs" / "images" / "ensemble-mistakes.png").write_bytes(figures.png_bytes(picture))
    lines = ["| image | label | answer | people |", "|---|---|---|---|"]
    for index in wrong:
        seen = DISPUTED.get(index)
        people = "" if seen is None else f"say {seen}" if seen else "do not agree"
        lines.append(f"| {index} | {int(images.labels[index])} | {int(best.answers[index])} | {people} |")
    known = sum(index in DISPUTED for index in wrong)
    text = f"{len(wrong)} of 10,000 are misread; {known} of these have a label that people dispute.\n\n" + "\n".join(lines)
    old = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(
        re.sub(r"(<!-- mistakes -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{text}\n{m[2]}", old, flags=re.DOTALL),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
