"""Ants and bees: pre-trained nets against the same data from scratch: python bench/transfer.py [NAME...]

Each training is the command line's own, in its own process, timed from process start to tested model. The 153 pictures of val/
are looked at once a run; nothing is chosen on them. The first run also decodes the pictures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, row, write

RUNS = {  # words of the command line, seeds
    "mobilenet-v2, frozen": (("transfer", "--net", "mobilenet-v2"), 5),
    "squeezenet1-0, frozen": (("transfer", "--net", "squeezenet1-0"), 5),
    "resnet10, from scratch": (("scratch",), 1),
}


def train(words: tuple[str, ...], seed: int, folder: Path) -> tuple[float, float]:
    """(test accuracy in percent, seconds)"""
    data = str(Path(os.environ["GIPI_DATA"]).resolve() / "hymenoptera")
    command = [sys.executable, "-m", "gipi", "train", *words, "--data", data, "--seed", str(seed), "--out", str(folder), "--json"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return 100 * json.loads(done.stdout)["accuracy"], time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GIPI_CACHE"] = folder
        for name in sys.argv[1:] or RUNS:
            words, seeds = RUNS[name]
            results = [train(words, seed, Path(folder) / f"{name}-{seed}") for seed in range(seeds)]
            accuracies, times = zip(*results, strict=True)
            rows = [
                row(f"{name}: accuracy", list(accuracies), "%", split="hymenoptera val", mean=True),
                row(f"{name}: wall time", list(times), "s", note="process start to tested model"),
            ]
            write("transfer", rows, keep=True)


if __name__ == "__main__":
    main()
