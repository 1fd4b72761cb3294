"""What all benches share: the form of a results file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

import gipi
from gipi.runs import Run, claim, environment

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
RUNS = ROOT / "runs" / "bench"

Row = dict[str, Any]


def row(name: str, values: list[float], unit: str, *, split: str = "", note: str = "", mean: bool = False) -> Row:
    """One line of a results file: median (or mean, with the standard deviation as `spread`) of repeats, lowest, highest."""
    centre = statistics.mean(values) if mean else statistics.median(values)
    spread = {"spread": round(statistics.stdev(values), 6)} if mean and len(values) > 1 else {}
    numbers = {"value": round(centre, 6), "low": round(min(values), 6), "high": round(max(values), 6), **spread}
    return {
        "name": name,
        **numbers,
        "unit": unit,
        "n": len(values),
        "split": split,
        "statistic": "mean" if mean else "median",
        "note": note,
    }


def write(bench: str, rows: list[Row], *, keep: bool = False) -> None:
    """Write bench/results/BENCH.json; with `keep`, rows of other names that are in the file stay, with their own hardware."""
    path = RESULTS / f"{bench}.json"
    machine = environment()
    hardware = f"{machine['cores']} cores, {machine['cpu']}{bf16_units()}"
    if bench.endswith(".gpu"):
        hardware = f"{torch.cuda.get_device_name()}, {hardware}"
    shown = rows
    rows = [{**line, "hardware": hardware} for line in rows]
    if keep and path.exists():
        old, new = json.loads(path.read_text()), {line["name"] for line in rows}
        rows = [{"hardware": old["hardware"], **line} for line in old["results"] if line["name"] not in new] + rows
    head = {
        "bench": bench,
        "date": date.today().isoformat(),
        "commit": machine["commit"],
        "hardware": hardware,
        "versions": machine["versions"],
        "command": f"python bench/{bench.removesuffix('.gpu')}.py",
    }
    path.write_text(json.dumps({**head, "results": rows}, indent=2) + "\n")
    for line in shown:
        spread = f"({line['low']:,.4f} to {line['high']:,.4f}, n={line['n']})"
        print(f"{line['name']:44} {line['value']:>12,.4f} {line['unit']}  {spread} {line['note']}")


def over_seeds(recipe: str, count: int) -> list[Run]:
    """The runs of a recipe below runs/bench, seeds 0 and up, trained or gone on with where they are not done; empty while another
    process is at one of them.
    """
    runs: dict[int, Run] = {}
    for seed in (*range(count), *range(count)):  # the second time for those that another process was at
        with claim(RUNS / f"{recipe}-seed{seed}") as mine:
            if mine and seed not in runs:
                runs[seed] = _trained(recipe, seed)
    return [runs[seed] for seed in range(count)] if len(runs) == count else []


def _trained(recipe: str, seed: int) -> Run:
    config, folder = gipi.RECIPES[recipe].config, RUNS / f"{recipe}-seed{seed}"
    if not (folder / "config.json").exists():
        gipi.train(replace(config, run=replace(config.run, seed=seed)), out=folder)
    elif not (folder / "report.html").exists():
        gipi.resume(folder)
    print(f"{recipe} seed {seed}: {gipi.load(folder).card.metrics}", flush=True)
    return Run.open(folder)


def training_time(runs: list[Run]) -> str:
    minutes = statistics.mean(run.rows()[-1]["time_s"] for run in runs) / 60
    return f"{minutes:.1f} min of training a seed on {runs[0].environment()['place']}"


def read(bench: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{bench}.json").read_text())


def bf16_units() -> str:
    """Which fast bf16 instructions the CPU has: the speeds below depend on little else."""
    if torch.cpu._is_amx_tile_supported():
        return ", with AMX"
    return ", AVX512-BF16, no AMX" if torch.cpu._is_avx512_bf16_supported() else ", no bf16 units"


def card_scores(recipe: str, runs: Sequence[Run], names: Sequence[str]) -> list[Row]:
    """A row for each score on the runs' cards, in percent, and one for the training time.

    SystemExit for a run of another recipe and one that is not done.
    """
    for run in runs:
        if run.config()["recipe"] != recipe or run.ended() != "done":
            raise SystemExit(
                f"{run.path} is a run of {run.config()['recipe']!r}, {run.ended()}: give finished runs of {recipe!r}"
            )
    split, note = f"{runs[0].config()['data']['name']} test", training_time(runs)
    cards = [gipi.load(run.path).card for run in runs]
    minutes = [run.rows()[-1]["time_s"] / 60 for run in runs]
    rows = [
        row(f"{recipe}: {name}", [100 * card.metrics[name] for card in cards], "%", split=split, note=note, mean=True)
        for name in names
    ]
    return [*rows, row(f"{recipe}: training", minutes, "min", note=note, mean=True)]
