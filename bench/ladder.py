"""The ladder of the default recipe and the single questions about it, by the package's own `gipi bench`.

Writes bench/results/ladder.json, docs/images/ladder.png and what stands between the markers of docs/speed.md; where there is a
CUDA device, bench/results/ladder.gpu.json alone.
"""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
from pathlib import Path

import torch

from common import ROOT, Row, row, write
from gipi import RECIPES
from gipi.bench.data import data
from gipi.bench.ladder import Ladder, ladder
from gipi.bench.predict import predict
from gipi.bench.rungs import GIPI, NUMPY, PLAIN
from gipi.bench.scale import scale
from gipi.bench.step import random_task, step

RECIPE, MODEL = "deepconvnet-mnist", "deepconvnet-mnist"
NETS = {"vgg16": 8, "resnet50": 8}  # at 224 pixels, batch
PAGE = ROOT / "docs" / "speed.md"


def ladder_rows(found: Ladder) -> list[Row]:
    """A row for each rung: images/s of each repeat, and the rest in words."""
    rows = []
    for line in found.lines:
        one = line.measured
        below = f"{line.over_below:.2f} x over {line.below}, " if line.below else ""
        words = [
            f"{below}{line.over_first:.2f} x over the first",
            f"{line.matmul_share:.1%} of a large product, {line.copy_share:.1%} of a large copy",
            f"{one.peak_bytes / 2**30:.2f} GiB",
            f"{one.accuracy:.2%} of {one.checked:,} held-out images after {found.steps} steps",
            *([f"first step {one.first_step_s:.1f} s"] if one.rung.compile_mode else []),
        ]
        rows.append(row(one.rung.name, list(one.images_per_s), "images/s", split="validation", note="; ".join(words)))
    speed = {line.measured.rung.name: statistics.median(line.measured.images_per_s) for line in found.lines}
    top = max(speed, key=lambda name: speed[name])
    for words, one, other in (
        ("top rung over plain PyTorch fp32", top, PLAIN),
        ("top rung over NumPy", top, NUMPY),
        ("2 processes over 1", "2 processes", GIPI),
    ):
        if {one, other} <= speed.keys():
            rows.append(row(f"ladder: {words}", [speed[one] / speed[other]], "x", note=f"top rung: {top}"))
    return rows


def single_rows() -> list[Row]:
    """A row for each single question."""
    config = RECIPES[RECIPE].config
    rows = []
    steps = {RECIPE: step(config), **{f"{net}, batch {batch}": step(*random_task(net, batch)) for net, batch in NETS.items()}}
    for name, found in steps.items():
        where = f"{found.place}; {found.step_ms.median:,.1f} ms a step, {found.bound_ms:,.1f} ms its layers alone"
        rows.append(row(f"step: {name}, share of its bound", [100 * found.bound_share], "%", note=f"{where}; target 60"))
        rows.append(row(f"step: {name}, share of a large product", [100 * found.matmul_share], "%"))
    fed = data(config)
    speed = f"{fed.images_per_s.median:,.0f} images/s alone"
    rows.append(row(f"data: {RECIPE}, share of a step", [100 * fed.share], "%", note=speed))
    scaled = scale(config)
    for one in scaled.measured:
        note = f"efficiency {scaled.efficiency(one):.1%}, accuracy {one.accuracy:.2%}"
        rows.append(row(f"scale: {one.rung.processes} processes", list(one.images_per_s), "images/s", note=note))
    for answer in predict(MODEL).rows:
        note = f"p95 {answer.p95_ms:.2f} ms, {answer.images_per_s.median:,.0f} images/s"
        rows.append(row(f"predict: {answer.path}, batch {answer.batch}, p50", [answer.p50_ms], "ms", note=note))
    return rows


def section(rows: list[Row], rungs: int, hardware: str) -> str:
    """The figure and the tables, as Markdown."""
    table = ["| what | median | range | |", "|---|---|---|---|"]
    for line in rows:
        digits = 0 if line["unit"] == "images/s" else 2
        spread = f"{line['low']:,.{digits}f} to {line['high']:,.{digits}f}" if line["n"] > 1 else ""
        table.append(f"| {line['name']} | {line['value']:,.{digits}f} {line['unit']} | {spread} | {line['note']} |")
    head, ladder_lines, others = table[:2], table[2 : rungs + 5], table[rungs + 5 :]
    picture = "![Images a second, rung by rung](images/ladder.png)"
    return "\n".join([picture, "", *head, *ladder_lines, "", *head, *others, "", f"On {hardware}.", ""])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = ladder(RECIPES[RECIPE].config, out=Path(folder) / "ladder", say=lambda line: print(line, flush=True))
        if found.wrong:
            raise SystemExit(f"{', '.join(found.wrong)}: learns less than plain PyTorch\n{found.text()}")
        rows = [*ladder_rows(found), *single_rows()]
        if torch.cuda.is_available():
            write("ladder.gpu", rows)
            return
        write("ladder", rows)
        shutil.copy(found.folder / "ladder.png", ROOT / "docs" / "images" / "ladder.png")
    machine = found.json()["machine"]
    new = section(rows, len(found.lines), f"{machine['cores']} cores, {machine['cpu']}")
    text = PAGE.read_text(encoding="utf-8")
    text = re.sub(r"(<!-- ladder -->\n).*?(<!-- end -->)", lambda match: f"{match[1]}{new}{match[2]}", text, flags=re.DOTALL)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
