"""How good a generator's images are, beside those of the plain recipe that was given as long, and what they are good for.

python bench/generation.py quality mnist [--runs DIR...] [--plain-seconds N | --plain FILE | --alone]
python bench/generation.py speed mnist
python bench/generation.py downstream DIR [--data mnist] [--seeds N]

quality: 10,000 images of each against the test set, in the eyes of the recipe's judge; real images of the training set, seen so,
are the floor. Ours is the first recipe for the data set, trained below runs/bench, or what the finished runs hold. The plain one,
bench/peers/dcgan_plain.py, is trained after it for as many seconds, or FILE is what it has written before; of its two ways to
draw images the one with the smaller distance counts. With --alone it is left out.
speed: both train by turns.
downstream: a DeepConvNet is trained on 60,000 images, 6,000 of each class that a conditional generator was asked for, and tested
on real ones; beside it the same training on the 60,000 real images. It is deepconvnet-fast, which validates on nothing.
Each part writes its rows into bench/results/generation.json, generation.gpu.json on a CUDA device, and keeps the others'.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gipi
from common import ROOT, RUNS, Row, over_seeds, row, training_time, write
from gipi.config import Config
from gipi.data.stream import ImageSet
from gipi.engine.place import decide_place, place_for
from gipi.model import read_card
from gipi.ops.metrics import values
from gipi.runs import Run
from gipi.tasks.classifier import Classifier
from gipi.tasks.classify import Classify
from gipi.tasks.generate import Generate
from gipi.tasks.generator import Generator
from gipi.tasks.generator_score import SCORED, drawn, score
from gipi.tasks.images import TrainingImages
from gipi.tasks.judge import find_judge
from gipi.tasks.quality import quality
from gipi.tasks.reals import load_reals

SCORES = {  # unit and factor
    "frechet": ("FD", 1), "precision": ("%", 100), "recall": ("%", 100), "diversity": ("x", 1), "confidence": ("%", 100),
    "least_class": ("%", 100), "most_class": ("%", 100), "as_asked": ("%", 100),
}  # fmt: skip
ROUNDS, SECONDS, STEPS = 3, 20.0, 10  # of speed: turns, how long each is, steps to warm up
TAUGHT = 60_000  # images that a classifier is trained on
EXACT = decide_place(device="cpu", precision="fp32")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def first_recipe(data: str) -> str:
    for name, recipe in gipi.RECIPES.items():
        if recipe.config.kind == "generate" and recipe.config.data.name == data:
            return name
    raise SystemExit(f"no recipe makes images like those of {data!r}")


def finished(paths: list[Path], data: str) -> list[Run]:
    """SystemExit for runs of something else or of several recipes, and for one that is not done."""
    runs = [Run.open(path) for path in paths]
    configs = [run.config() for run in runs]
    found = {
        (config["recipe"], config["kind"], config["data"]["name"], run.ended()) for config, run in zip(configs, runs, strict=True)
    }
    if len(found) > 1 or any(what[1:] != ("generate", data, "done") for what in found):
        raise SystemExit(f"{', '.join(map(str, paths))}: give finished runs of one recipe that makes images like those of {data}")
    return runs


def train_plain(data: str, size: int, seconds: float, name: str) -> Path:
    """The file that it writes, runs/bench/NAME.npz. It has as many threads as ours."""
    out = RUNS / f"{name}.npz"
    out.parent.mkdir(parents=True, exist_ok=True)
    words = ["bench/peers/dcgan_plain.py", "--data", data, "--size", str(size), "--device", DEVICE]
    words += ["--seconds", str(seconds), "--out", str(out)]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run([sys.executable, *words], cwd=ROOT, env={**os.environ, **threads}, check=True)
    return out


def compare(data: str, paths: list[Path], plain_seconds: float, plain: Path | None, alone: bool) -> list[Row]:
    runs = finished(paths, data) or over_seeds(first_recipe(data), 1)
    if not runs:
        raise SystemExit(f"{data}: another process is at it")
    config = Config.from_json(runs[0].config())
    seconds = statistics.mean(run.rows()[-1]["time_s"] for run in runs)
    card = read_card(runs[0].model_path)
    train, test = (load_reals(data, split, side=config.data.size) for split in ("train", "test"))
    judge = find_judge(config.gan.judge, card.image, card.classes, data, EXACT)
    seed = config.run.seed + 1  # as after a training: images that chose no epoch
    ours = [score(Generator.load(run.model_path, EXACT), test, train, judge, seed=seed) for run in runs]
    split, name, peer = f"{data} test", config.recipe, f"plain DCGAN, {data}"
    counts = f"{len(ours[0].answers):,} images against as many, judged by {judge.name}"
    rows = []
    for key in ours[0].metrics:
        unit, factor = SCORES[key]
        mine = [factor * result.metrics[key].value for result in ours]
        rows.append(row(f"{name}: {key}", mine, unit, split=split, note=f"{counts}; {training_time(runs)}", mean=True))
        rows.append(row(f"{data}, real images: {key}", [factor * ours[0].floor[key]], unit, split=split, note=counts))
    rows.append(row(f"{name}: training", [run.rows()[-1]["time_s"] / 60 for run in runs], "min", mean=True))
    rows.append(row(f"{name}: images a second of its training", [median_rate(run) for run in runs], "images/s"))
    if alone:
        return rows

    made = np.load(plain or train_plain(data, card.image[1], plain_seconds or seconds, f"dcgan-plain-{data}"))
    real = judge.look(test.images[drawn(len(test), min(SCORED, len(test)))])
    kinds = {way: torch.from_numpy(made[way][: len(real.features)]) for way in ("running", "by_batch")}
    ways = {way: quality(judge.look(images), real) for way, images in kinds.items()}
    way = min(ways, key=lambda way: ways[way]["frechet"])
    theirs = f"{counts}; batch norm {way.replace('_', ' ')}"
    for key, value in ways[way].items():
        unit, factor = SCORES[key]
        rows.append(row(f"{peer}: {key}", [factor * value], unit, split=split, note=theirs))
    ratios = [result.metrics["frechet"].value / ways[way]["frechet"] for result in ours]
    return [
        *rows,
        row(f"{name}: frechet over the plain recipe's", ratios, "x", split=split, note="target 0.5", mean=True),
        row(f"{peer}: training", [float(made["seconds"]) / 60], "min"),
        row(f"{peer}: images a second of its training", made["images_per_s"].tolist(), "images/s"),
    ]


def median_rate(run: Run) -> float:
    return statistics.median(line["samples_per_s"] for line in run.rows() if line["split"] == "train")


def speed(data: str) -> list[Row]:
    """Ours without evaluation and saving, the plain recipe without its start."""
    name = first_recipe(data)
    config, peer = gipi.RECIPES[name].config, f"plain DCGAN, {data}"
    torch.manual_seed(config.run.seed)
    place = place_for(config.run)
    task = Generate(config, place)
    source = task.source()

    def some_steps() -> int:
        """Images seen."""
        for _ in range(STEPS - 1):
            task.step(next(source))
        values(task.step(next(source)))  # read, so that it is computed
        return STEPS * config.data.batch

    ours, theirs = list[float](), list[float]()
    for _ in range(ROUNDS):
        some_steps()
        start, seen = time.perf_counter(), 0
        while (spent := time.perf_counter() - start) < SECONDS:
            seen += some_steps()
        ours.append(seen / spent)
        made = np.load(train_plain(data, task.model.card.image[1], SECONDS, f"dcgan-plain-{data}-speed"))
        theirs.append(statistics.median(made["images_per_s"].tolist()))
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    note = f"{ROUNDS} turns of {SECONDS:.0f} s each; {place}"
    return [
        row(f"{name}: training speed", ours, "images/s", note=note),
        row(f"{peer}: training speed", theirs, "images/s", note=f"fp32, contiguous, {torch.get_num_threads()} threads"),
        row(f"{name}: training speed over the plain recipe's", ratios, "x", note="target 1.5"),
    ]


def downstream(path: Path, data: str, seeds: int) -> list[Row]:
    generator, train, test = Generator.load(Run.open(path).model_path, EXACT), load_reals(data, "train"), load_reals(data, "test")
    card = generator.card
    if not generator.maker.conditional or (card.classes, card.image) != (train.classes, tuple(train.images.shape[1:])):
        raise SystemExit(f"{path} does not make images like those of {data} of a class asked for: give a conditional generator")
    labels = torch.arange(TAUGHT) % len(card.classes)
    images = generator.images(generator.noise(TAUGHT, seed=1), labels)
    made = replace(train, name=f"made by {card.recipe}", images=images, labels=labels)
    config = gipi.RECIPES["deepconvnet-fast"].config
    if data != "mnist":
        config = replace(
            config, data=replace(config.data, name=data, augment=gipi.RECIPES["digitnet-fashion"].config.data.augment)
        )
    rows = []
    for name, images in (
        (f"{card.recipe}: a DeepConvNet's accuracy", made),
        (f"{data}, real images: a DeepConvNet's accuracy", train),
    ):
        found = [100 * accuracy(config, seed, images, test) for seed in range(seeds)]
        note = f"trained on {len(images):,} images for {config.run.epochs} epochs"
        rows.append(row(name, found, "%", split=f"{data} test", note=note, mean=True))
    return rows


def accuracy(config: Config, seed: int, images: ImageSet, test: ImageSet) -> float:
    """Of a classifier trained on the images by gipi's own steps."""
    config = replace(config, run=replace(config.run, seed=seed))
    torch.manual_seed(seed)
    task = Classify(config, place_for(config.run), TrainingImages(images, None, {}))
    source = task.source()
    for _ in range(task.steps):
        task.step(next(source))
    answering: Any = task.answering
    return values(Classifier(answering.net, answering.card, EXACT).evaluate(test).metrics)["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("quality")
    part.add_argument("data")
    part.add_argument("--runs", type=Path, nargs="+", default=[])
    part.add_argument(
        "--plain-seconds", type=float, default=0, help="of the plain recipe's training; as long as ours unless given"
    )
    part.add_argument("--plain", type=Path, help="what it has written before")
    part.add_argument("--alone", action="store_true", help="leave the plain recipe out")
    parts.add_parser("speed").add_argument("data")
    part = parts.add_parser("downstream")
    part.add_argument("run", type=Path)
    part.add_argument("--data", default="mnist")
    part.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    if asked.part == "quality":
        rows = compare(asked.data, asked.runs, asked.plain_seconds, asked.plain, asked.alone)
    else:
        rows = speed(asked.data) if asked.part == "speed" else downstream(asked.run, asked.data, asked.seeds)
    write("generation.gpu" if DEVICE == "cuda" else "generation", rows, keep=True)


if __name__ == "__main__":
    main()
