"""Training images/s of DeepConvNet, batch 100, in gipi and in other frameworks.

Each contender is a script in bench/peers/ and runs in a process of its own, on the same two cores, threads and digits, after
the others. The frameworks live in an environment of their own, runs/bench/peers-venv, made from bench/peers/requirements.txt
on the first run (3 GB). Of a peer's settings the fastest counts. docs/peers.md says what makes the comparison fair.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from common import ROOT, RUNS, row, write
from gipi.data.mnist import mnist
from gipi.engine.place import decide_place

PARAMETERS = 123_552
WINDOWS, STEPS = 5, 40
FLOOR = 0.9  # share of the held-out digits right after all steps; all frameworks come to about 95 %
CORES = 2
THREADS = {name: str(CORES) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")}
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")

Result = dict[str, Any]


@dataclass(frozen=True)
class Contender:
    """script: in bench/peers/.  variants: settings tried, the fastest of which counts.  packages: whose versions are noted."""

    name: str
    script: str
    variants: tuple[str, ...]
    packages: tuple[str, ...]


OURS = Contender("gipi", "gipi_step.py", ("",), ("torch",))
PEERS = (
    Contender("plain PyTorch", "torch_loop.py", ("", "tuned", "compiled"), ("torch",)),
    Contender("PyTorch Lightning", "lightning_fit.py", ("", "tuned"), ("lightning", "torch")),
    Contender("Keras 3 on TensorFlow", "keras_fit.py", ("tensorflow", "tensorflow jit"), ("keras", "tensorflow-cpu")),
    Contender("Keras 3 on JAX", "keras_fit.py", ("jax jit",), ("keras", "jax")),
    Contender("Flax", "flax_loop.py", ("",), ("flax", "jax")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the contenders and their settings")
    parser.add_argument("--smoke", action="store_true", help="a few steps of each, to see that all work; nothing is written")
    asked = parser.parse_args()
    if asked.list:
        for contender in (OURS, *PEERS):
            print(f"{contender.name:24} {contender.script:18} {', '.join(v or 'plain' for v in contender.variants)}")
        return
    found = compete(asked.smoke)
    if not asked.smoke:
        write("peers", rows(found))


def compete(smoke: bool) -> dict[str, dict[str, Result]]:
    """What each contender gave, by its name and its setting."""
    if hasattr(os, "sched_setaffinity"):  # inherited; JAX takes as many threads as it sees cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    python, digits = environment_of_peers(), write_digits()
    windows, steps, floor = (2, 3, 0.0) if smoke else (WINDOWS, STEPS, FLOOR)
    found: dict[str, dict[str, Result]] = {}
    for contender in (OURS, *PEERS):
        for setting, precision, variant in settings(contender):
            words = [sys.executable if contender is OURS else python, f"bench/peers/{contender.script}", "--digits", digits]
            words += ["--precision", precision, "--variant", variant, "--steps", str(steps), "--windows", str(windows)]
            result = run(f"{contender.name}, {setting}", words)
            check(f"{contender.name}, {setting}", result, windows, floor)
            found.setdefault(contender.name, {})[setting] = result
    return found


def settings(contender: Contender) -> list[tuple[str, str, str]]:
    """(description, precision, variant) of each; mixed precision is tried where gipi uses it."""
    precisions = ("fp32", "bf16") if decide_place().dtype == torch.bfloat16 else ("fp32",)
    return [(f"{v} {p}".strip(), p, v) for p in precisions for v in contender.variants]


def environment_of_peers(requirements: str = "requirements.txt", name: str = "peers-venv") -> str:
    """Python of the peers' environment, made or brought up to date if its requirements are not those of the file."""
    folder = RUNS / name
    python, stamp, wanted = folder / "bin" / "python", folder / "installed.txt", ROOT / "bench" / "peers" / requirements
    if not (stamp.exists() and stamp.read_text() == wanted.read_text()):
        print(f"installing the peers into {folder} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), *PIP, "-c", str(ROOT / "constraints.txt"), "-r", str(wanted)], check=True)
        stamp.write_text(wanted.read_text())
    return str(python)


def write_digits() -> str:
    """MNIST's training images as one file that every framework reads, 55,000 to train on and 5,000 held out."""
    train, held_out = mnist("train").hold_out(1 / 12)
    RUNS.mkdir(parents=True, exist_ok=True)
    path = RUNS / "peers-digits.npz"
    np.savez(
        path,
        images=train.images[:, 0].numpy(),
        labels=train.labels.numpy(),
        held_out=held_out.images[:, 0].numpy(),
        held_out_labels=held_out.labels.numpy(),
    )
    return str(path)


def run(name: str, words: list[str]) -> Result:
    """The last line that a contender's process prints, or the end of the bench, with what it said, if it failed."""
    words = [*words, "--started", str(time.time())]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **THREADS}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed with exit code {done.returncode}:\n{done.stderr[-4000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {speed(result):,.0f} images/s, {100 * result['accuracy']:.1f} %", flush=True)
    return result


def check(name: str, result: Result, windows: int, floor: float) -> None:
    """End the bench if a contender did not train the same net, not as long, or did not learn."""
    if result["parameters"] != PARAMETERS:
        sys.exit(f"{name} trained a net of {result['parameters']:,} parameters, DeepConvNet has {PARAMETERS:,}")
    if len(result["images_per_s"]) != windows:
        sys.exit(f"{name} timed {len(result['images_per_s'])} windows, asked were {windows}")
    if not result["accuracy"] >= floor:  # also NaN
        sys.exit(f"{name} reads {result['accuracy']:.1%} of the held-out digits right, it must be {floor:.0%} at least")


def speed(result: Result) -> float:
    return statistics.median(result["images_per_s"])


def rows(found: dict[str, dict[str, Result]]) -> list[dict[str, Any]]:
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "bench" / "peers" / "requirements.txt").read_text(), re.MULTILINE))
    lines, best = [], {}
    for contender in (OURS, *PEERS):
        results, name = found[contender.name], contender.name
        setting = max(results, key=lambda setting: speed(results[setting]))
        best[name] = results[setting]["images_per_s"]
        note = f"{setting}; batch {100}; {', '.join(f'{package} {pins[package]}' for package in contender.packages)}"
        lines.append(row(name, best[name], "images/s", note=note))
        for part, key, unit in (("first step", "first_step_s", "s"), ("process start to first step", "start_s", "s"),
                                ("peak memory", "peak_gib", "GiB")):  # fmt: skip
            lines.append(row(f"{name}: {part}", [results[setting][key]], unit, note=setting))
        accuracy = [100 * result["accuracy"] for result in results.values()]
        lines.append(
            row(f"{name}: accuracy", accuracy, "%", split="mnist validation", note=f"after {1 + (WINDOWS + 1) * STEPS} steps")
        )
        if len(results) > 1:
            lines += [row(f"{name}, {key}", result["images_per_s"], "images/s") for key, result in results.items()]
    ours = best.pop(OURS.name)
    fastest = max(best, key=lambda name: statistics.median(best[name]))
    ratios = [mine / theirs for mine, theirs in zip(ours, best[fastest], strict=True)]
    return [*lines, row("gipi over the fastest peer", ratios, "x", note=f"{fastest}; target 2")]


if __name__ == "__main__":
    main()
