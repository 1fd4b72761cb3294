"""Images a second that the generator of dcgan-mnist makes on the CPU: python bench/generation_speed.py [--model MODEL].

From a seed to uint8, so drawing the noise counts, by number format and number of threads, in batches of several sizes. Of a
fresh net unless a model file, a run folder or a shipped model is named. Writes bench/results/generation_speed.json.
"""

from __future__ import annotations

import argparse
import time

import torch

import gipi
from common import Row, row, write
from gipi.data.stream import ImageSet
from gipi.engine.machine import cores
from gipi.engine.place import Place, decide_place
from gipi.tasks.generate_start import begin
from gipi.tasks.generator import Generator

RECIPE = "dcgan-mnist"
BATCHES = {1: 200, 16: 1600, 64: 3200, 256: 5120}  # images in a batch: images in a repeat
REPEATS = 7


def fresh(place: Place) -> Generator:
    torch.manual_seed(0)
    like = ImageSet(RECIPE, "train", tuple("0123456789"), torch.zeros(10, 1, 28, 28, dtype=torch.uint8), torch.arange(10))
    net, card = begin(gipi.RECIPES[RECIPE].config, like, {})
    return Generator(net.eval(), card, place)


def speed(model: Generator, title: str, note: str) -> list[Row]:
    rows = []
    for batch, count in BATCHES.items():
        rates = []
        for repeat in range(REPEATS + 1):
            start = time.perf_counter()
            for part in model.noise(count, repeat).split(batch):
                model.images(part)
            rates.append(count / (time.perf_counter() - start))
        target = "; target 2,000" if batch == max(BATCHES) else ""
        rows.append(row(f"{title}, batch {batch}", rates[1:], "images/s", note=f"{note}, {count:,} images{target}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="", help="model file, run folder or shipped model")
    asked = parser.parse_args()
    rows: list[Row] = []
    for precision in ("fp32", "bf16"):
        for threads in sorted({1, cores()}):
            place = decide_place(device="cpu", precision=precision, threads=threads)
            model = gipi.load(asked.model, place=place) if asked.model else fresh(place)
            if not isinstance(model, Generator):
                raise SystemExit(f"{asked.model} makes no images: give a generator")
            weights = sum(weight.numel() for weight in model.net.parameters())
            note = f"{'x'.join(map(str, model.card.image))}, {weights:,} weights, {'trained' if asked.model else 'fresh'}"
            rows += speed(model, f"{precision}, {threads} thread{'s' if threads > 1 else ''}", note)
    write("generation_speed", rows)


if __name__ == "__main__":
    main()
