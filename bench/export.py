"""ONNX Runtime's answers beside ours: python bench/export.py MODEL [--check PICTURE].

The model is exported to a file that is thrown away; the export itself compares. Writes a row for each figure into
bench/results/export.json and leaves those of other models as they are.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import gipi
from common import row, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--check", type=Path)
    asked = parser.parse_args()
    name = gipi.load(asked.model).card.recipe
    with tempfile.TemporaryDirectory() as folder:
        likeness = gipi.export(asked.model, Path(folder) / "model.onnx", check=asked.check).likeness
    note = f"{likeness.boxes} boxes on {asked.check.name if asked.check else 'noise and scenes'}"
    rows = [row(f"{name}: least IoU of a box with ONNX Runtime's", [likeness.overlap], "", note=note)] if likeness.boxes else []
    write("export", [*rows, row(f"{name}: largest difference of scores", [likeness.score], "", note=note)], keep=True)


if __name__ == "__main__":
    main()
