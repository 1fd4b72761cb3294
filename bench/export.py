"""Answers of exported files beside ours: python bench/export.py [MODEL...] [--check PICTURE]; shipped ones of each kind if none.

A model is exported as ONNX and as PT2 to files that are thrown away; the export itself compares. Writes a row for each figure
into bench/results/export.json and leaves those of other models as they are.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import gipi
from common import Row, row, write
from gipi.catalog import SHIPPED
from gipi.tasks.export_run import Format
from gipi.tasks.export_told import MEASURED

MODELS = (
    "deepconvnet-mnist", "digitnet-fashion", "fcn-scenes", "faster-rcnn-scenes", "attend-scenes", "dcgan-mnist", "dqn-catch",
    "dqn-cartpole", "dqn-pong",
)  # fmt: skip


def rows(model: str, to: Format, check: Path | None) -> list[Row]:
    name, form = (model if model in SHIPPED else gipi.load(model).card.recipe), "" if to == "onnx" else ", .pt2"
    with tempfile.TemporaryDirectory() as folder:
        exported = gipi.export(model, Path(folder) / f"model.{to}", to=to, check=check)
    like = exported.likeness
    note = f"{exported.compared} inputs" if check is None else check.name
    found = []
    if like.boxes:
        note = f"{like.boxes} boxes on {note}"
        whose = "ONNX Runtime's" if to == "onnx" else "the .pt2 file's"
        found = [row(f"{name}: least IoU of a box with {whose}", [like.overlap], "", note=note)]
    if like.sentences:
        found = [row(f"{name}: other sentences{form}", [like.others], "", note=f"of {like.sentences}")]
    return [*found, row(f"{name}: largest difference of {MEASURED[exported.kind]}{form}", [like.score], "", note=note)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--check", type=Path)
    asked = parser.parse_args()
    for model in asked.models:
        write("export", [line for to in get_args(Format) for line in rows(model, to, asked.check)], keep=True)


if __name__ == "__main__":
    main()
