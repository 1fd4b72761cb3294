"""Fewer bits by ONNX Runtime: python bench/quantised.py MODEL --data DATA, or python bench/quantised.py NET --random SIZE.

MODEL is exported with float32, int8 and fp16 to files that are thrown away. int8 sees training images of DATA; the scores are
those of its test images. NET is a net of the catalogue with random weights, for pictures of SIZE x SIZE pixels: its speed alone.
Speeds are of the whole file, uint8 pixels to answers, one file after another in each round, with one thread and with one for each
core. Writes rows into bench/results/quantised.json and leaves those of other models as they are.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import gipi
from common import Row, row, write
from gipi.engine.compiled import ONNXRuntime
from gipi.engine.machine import cores

ROUNDS, SECONDS = 15, 0.3  # for each file in a round
FILES = ("fp32", "int8", "fp16")
BATCHES = (1, 32)


def exported(model: str, data: str, folder: Path) -> tuple[dict[str, bytes], list[Row]]:
    files: dict[str, bytes] = {}
    rows: list[Row] = []
    for precision in FILES:
        path = folder / f"{precision}.onnx"
        loss = gipi.export(model, path, precision=precision, calibrate=None if precision == "fp32" else data).loss
        files[precision] = path.read_bytes()
        if loss:
            split, name = f"{loss.data} {loss.split}", gipi.load(model).card.recipe
            if precision == "int8":
                rows.append(row(f"{name} fp32: {loss.score}", [100 * loss.float32], "%", split=split))
            rows.append(row(f"{name} {precision}: {loss.score}", [100 * loss.lowered], "%", split=split))
            rows.append(row(f"{name} {precision}: loss", [loss.points], "points", split=split))
    return files, rows


def with_random_weights(net: str, size: int, folder: Path) -> dict[str, bytes]:
    from gipi.model import Card, save_model
    from gipi.models.kinds import build_net
    from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
    from gipi.tasks.quantise import lower

    torch.manual_seed(0)
    fresh, path = build_net(net, {}), folder / "net.safetensors"
    for layer in fresh.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    fresh(torch.randn(8, 3, size, size))  # so that batch norm keeps numbers of a usual size
    how = Preprocess((3, size, size), "crop", size, IMAGENET_MEAN, IMAGENET_STD)
    save_model(path, fresh.state_dict(), Card("classify", net, {}, tuple(map(str, range(1000))), how))
    gipi.export(path, folder / "fp32.onnx")
    data = (folder / "fp32.onnx").read_bytes()
    noise = torch.randint(0, 256, (32, 3, size, size), dtype=torch.uint8).split(1)
    return {"fp32": data, "int8": lower(data, "int8", [(one,) for one in noise]), "fp16": lower(data, "fp16", ())}


def opened(data: bytes, threads: int) -> Any:
    runtime = ONNXRuntime.package()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def speed(session: Any, feeds: dict[str, Any], seconds: float) -> float:
    """Images/s."""
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        session.run(None, feeds)
        count += 1
    return count * len(feeds["pixels"]) / spent


def speeds(name: str, files: dict[str, bytes], image: Sequence[int], note: str) -> list[Row]:
    """image: channels, height, width."""
    rows: list[Row] = []
    for threads in sorted({1, cores()}):
        sessions = {precision: opened(data, threads) for precision, data in files.items()}
        batch = sessions["fp32"].get_inputs()[0].shape[0]  # a detector's is 1, others' a name
        for count in BATCHES if isinstance(batch, str) else (batch,):
            feeds = {"pixels": torch.randint(0, 256, (count, *image), dtype=torch.uint8).numpy()}
            found: dict[str, list[float]] = {precision: [] for precision in files}
            for turn in range(ROUNDS + 1):
                for precision, session in sessions.items():
                    measured = speed(session, feeds, SECONDS)
                    if turn:  # the first one warms up
                        found[precision].append(measured)
            how = f"batch {count}, {threads} thread{'s' * (threads > 1)}"
            for precision, values in found.items():
                rows.append(row(f"{name} {precision}: {how}", values, "images/s", note=note))
                if precision != "fp32":
                    gains = [low / full for low, full in zip(values, found["fp32"], strict=True)]
                    rows.append(row(f"{name} {precision}: speed-up, {how}", gains, "x", note=note))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data")
    what.add_argument("--random", type=int, metavar="SIZE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.data:
            files, rows = exported(asked.model, asked.data, Path(folder))
            card = gipi.load(asked.model).card
            name, image, note = card.recipe, card.image, ""
        else:
            files, rows = with_random_weights(asked.model, asked.random, Path(folder)), []
            name, image, note = f"{asked.model} {asked.random}x{asked.random}", (3, asked.random, asked.random), "random weights"
    write("quantised", rows + speeds(name, files, image, note), keep=True)


if __name__ == "__main__":
    main()
