"""How few bits the shipped models need: `gipi study precision` on the test images of MNIST, and the time it takes.

Writes bench/results/precision.json, docs/images/study-precision.png and what stands between the markers of docs/precision.md.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from typing import Any

import torch

from common import ROOT, RUNS, Row, row, write
from gipi.lab import study

PAGE = ROOT / "docs" / "precision.md"


def lines(outcome: dict[str, Any]) -> list[Row]:
    """A row for each model in each format."""
    return [
        row(
            f"{one['model']}: {one['format']}",
            [100 * one["accuracy"]],
            "%",
            split=f"{outcome['data']} test",
            note=f"{one['differ']:,} answers differ from float64, {one['worse']:,} newly wrong and {one['better']:,} newly right",
        )
        for one in outcome["rows"]
    ]


def section(outcome: dict[str, Any], table: str) -> str:
    """What the study found, as Markdown."""
    findings = "\n".join(f"- {sentence}" for sentence in outcome["findings"])
    machine = f"On {outcome['machine']['cores']} cores, {outcome['machine']['cpu']}."
    return f"{findings}\n\n![Test error by bits, and error layer by layer](images/study-precision.png)\n\n{table}\n{machine}\n"


def main() -> None:
    torch.set_num_threads(1)
    folder = RUNS / "study-precision"
    start = time.perf_counter()
    study("precision", out=folder, say=lambda line: print(line, flush=True))
    minutes = (time.perf_counter() - start) / 60
    outcome = json.loads((folder / "study.json").read_text())
    write("precision", [*lines(outcome), row("gipi study precision", [minutes], "min", note="one thread")])
    shutil.copy(folder / "figure.png", ROOT / "docs" / "images" / "study-precision.png")
    found = section(outcome, (folder / "table.md").read_text())
    text = PAGE.read_text(encoding="utf-8")
    new = re.sub(r"(<!-- precision -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{found}{m[2]}", text, flags=re.DOTALL)
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
