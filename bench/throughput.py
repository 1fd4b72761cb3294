"""Training images/s of DeepConvNet, batch 100: ours, a plain PyTorch loop and the NumPy oracle, each in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from common import ROOT, row, write

BATCH = 100
REPEATS = 5


def in_process(*words: str) -> list[float]:
    """Images/s of each repeat, printed by that script as its last line."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["images_per_s"]


def ours(augmented: str) -> list[float]:
    """The engine's own loop over the recipe's task; only the evaluation and the saving are left out."""
    import torch

    import gipi
    from gipi.engine.place import decide_place
    from gipi.tasks.classify import Classify

    config = gipi.RECIPES["deepconvnet-mnist"].config
    if augmented == "plain":
        config = replace(config, data=replace(config.data, augment=type(config.data.augment)()))
    torch.manual_seed(0)
    task = Classify(config, decide_place())
    source, speeds = task.source(), []
    for window in range(REPEATS + 1):
        start = time.perf_counter()
        for _ in range(80):
            task.step(next(source))
        if window:
            speeds.append(80 * BATCH / (time.perf_counter() - start))
    return speeds


def oracle(dtype: str) -> list[float]:
    import numpy as np

    from gipi.bench import deepconvnet_numpy as book

    rng = np.random.default_rng(0)
    params = book.he_init(0, dtype=np.dtype(dtype).type)
    adam = book.Adam(params)
    images, labels = rng.random((BATCH, 1, 28, 28)).astype(dtype), rng.integers(0, 10, BATCH)
    speeds = []
    for window in range(REPEATS + 1):
        start = time.perf_counter()
        book.training_step(params, adam, images, labels, window, 0.5)
        if window:
            speeds.append(BATCH / (time.perf_counter() - start))
    return speeds


def main() -> None:
    if len(sys.argv) > 1:
        contender = {"ours": ours, "oracle": oracle}[sys.argv[1]]
        print(json.dumps({"images_per_s": contender(sys.argv[2])}))
        return
    me, peer = str(Path(__file__)), str(ROOT / "bench" / "peers" / "plain_torch.py")
    runs = {
        "numpy oracle, float64": in_process(me, "oracle", "float64"),
        "numpy oracle, float32": in_process(me, "oracle", "float32"),
        "plain PyTorch fp32, DataLoader in process": in_process(peer, "throughput", "0"),
        "plain PyTorch fp32, DataLoader with 2 workers": in_process(peer, "throughput", "2"),
        "gipi, no augmentation": in_process(me, "ours", "plain"),
        "gipi, with augmentation": in_process(me, "ours", "augmented"),
    }
    rows = [row(name, speeds, "images/s", note="batch 100") for name, speeds in runs.items()]
    value = {line["name"]: line["value"] for line in rows}
    plain = max(value[name] for name in value if name.startswith("plain"))
    best = value["gipi, no augmentation"]
    rows.append(row("gipi over the faster plain loop", [best / plain], "x", note="target 3.5"))
    rows.append(row("gipi over the NumPy oracle, float64", [best / value["numpy oracle, float64"]], "x", note="target 70"))
    write("throughput", rows)


if __name__ == "__main__":
    main()
