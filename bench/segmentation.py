"""Scores of a segmentation recipe on its test set: python bench/segmentation.py RECIPE [--seeds N] [--runs DIR...].

Each seed is a run folder below runs/bench; one that is done is not trained again, one that was stopped goes on. With --runs
nothing is trained: the scores are those of these finished runs of the recipe. The test set is looked at once in each run, after
its last step; the first run's model answers it again, to hold our mean IoU against one from scikit-learn's confusion matrix.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix

import gipi
from common import Row, card_scores, over_seeds, row, write
from gipi.config import Config
from gipi.engine.place import decide_place
from gipi.ops.segmentation import VOID
from gipi.runs import Run
from gipi.tasks.masks import load_masks
from gipi.tasks.segmenter import Segmenter

SCORES = ("mean_iou", "pixel_accuracy", "class_accuracy", "boundary_f1")


def beside_sklearn(recipe: str, run: Run) -> Row:
    """How far our mean IoU is off that of scikit-learn's confusion matrix, on the answers to the whole test set."""
    data = Config.from_json(run.config()).data
    model = Segmenter.load(run.model_path, decide_place(device="cpu", precision="fp32"))
    test = load_masks(data.name, "test")
    result = model.evaluate(test, boundaries=False)
    known = (test.labels != VOID).numpy()
    labels, answers = test.labels.numpy()[known], result.answers.numpy()[known]
    theirs = confusion_matrix(labels, answers, labels=range(len(test.classes)))
    right = np.diag(theirs)
    union = theirs.sum(0) + theirs.sum(1) - right
    off = result.metrics["mean_iou"].value - statistics.fmean((right / np.where(union, union, 1))[union > 0])
    note = f"{len(test)} images, {known.sum():,} labelled pixels"
    return row(f"{recipe}: mean IoU off scikit-learn's", [100 * abs(off)], "points", split=f"{data.name} test", note=note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=[name for name, recipe in gipi.RECIPES.items() if recipe.config.kind == "segment"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, nargs="+", default=[])
    asked = parser.parse_args()
    runs = [Run.open(path) for path in asked.runs] or over_seeds(asked.recipe, asked.seeds)
    if not runs:
        raise SystemExit(f"{asked.recipe}: another process is at the other seeds")
    write("segmentation", [*card_scores(asked.recipe, runs, SCORES), beside_sklearn(asked.recipe, runs[0])], keep=True)


if __name__ == "__main__":
    main()
