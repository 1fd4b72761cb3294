"""Scores of a detection recipe on its test set: python bench/detection.py RECIPE [--seeds N] [--runs DIR...].

Each seed is a run folder below runs/bench; one that is done is not trained again, one that was stopped goes on. With --runs
nothing is trained: the scores are those of these finished runs of the recipe. The test set is looked at once in each run, after
its last step; the first run's model answers it again, to hold our AP against pycocotools' own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from pathlib import Path

import gipi
from common import Row, card_scores, over_seeds, row, write
from gipi.config import Config
from gipi.data.boxes import BoxSet
from gipi.engine.place import decide_place
from gipi.models.region_net import Found
from gipi.runs import Run
from gipi.tasks.boxes import load_boxes
from gipi.tasks.detector import Detector

SCORES = ("ap50", "ap", "ap75", "voc_ap", "voc_ap11")


def beside_pycocotools(recipe: str, run: Run) -> list[Row]:
    """How far our AP and AP50 are off pycocotools', on the answers to the whole test set, and AP50 by class."""
    data = Config.from_json(run.config()).data
    model = Detector.load(run.model_path, decide_place(device="cpu", precision="fp32"))
    test = load_boxes(data.name, "test")
    result = model.evaluate(test)
    theirs, by_class = coco(test, result.found)
    note = f"{len(test)} images, {int((test.labels >= 0).sum()):,} boxes"
    off = [abs(result.metrics[name].value - value) for name, value in theirs.items()]
    rows = [row(f"{recipe}: AP off pycocotools'", [100 * max(off)], "points", split=f"{data.name} test", note=note)]
    return rows + [
        row(f"{recipe}: AP50 of {name}", [100 * value], "%", split=f"{data.name} test", note=note)
        for name, value in by_class.items()
    ]


def coco(data: BoxSet, found: Found) -> tuple[dict[str, float], dict[str, float]]:
    """(AP and AP50 by pycocotools, AP50 of each class)."""
    import numpy as np
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, finds = [], []
    for image, boxes in enumerate(data.boxes / data.scales[:, None, None], 1):
        for (x0, y0, x1, y1), label, crowd in zip(
            boxes.tolist(), data.labels[image - 1].tolist(), data.ignored[image - 1].tolist(), strict=True
        ):
            if label >= 0:
                box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": int(crowd)}
                truth.append({"id": len(truth) + 1, "image_id": image, "category_id": label + 1, **box})
    for image, (boxes, scores, labels) in enumerate(zip(*found, strict=True), 1):
        for (x0, y0, x1, y1), score, label in zip(
            (boxes / data.scales[image - 1]).tolist(), scores.tolist(), labels.tolist(), strict=True
        ):
            if label >= 0:
                finds.append({"image_id": image, "category_id": label + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": number + 1} for number in range(len(data))],
            "categories": [{"id": number + 1} for number in range(len(data.classes))],
            "annotations": truth,
        }
        known.createIndex()
        judge = COCOeval(known, known.loadRes(finds), "bbox")
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][..., 0, -1]  # threshold, recall, class; all sizes, 100 finds
    at50 = {name: float(np.mean(precision[0, :, number])) for number, name in enumerate(data.classes)}
    return {"ap": float(precision[precision > -1].mean()), "ap50": float(precision[0][precision[0] > -1].mean())}, at50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=[name for name, recipe in gipi.RECIPES.items() if recipe.config.kind == "detect"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, nargs="+", default=[])
    asked = parser.parse_args()
    runs = [Run.open(path) for path in asked.runs] or over_seeds(asked.recipe, asked.seeds)
    if not runs:
        raise SystemExit(f"{asked.recipe}: another process is at the other seeds")
    write("detection", [*card_scores(asked.recipe, runs, SCORES), *beside_pycocotools(asked.recipe, runs[0])], keep=True)


if __name__ == "__main__":
    main()
