"""Time of augmenting a batch of 512 MNIST images, and its share of a training step of DeepConvNet with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, replace

import torch

import gipi
from common import row, write
from gipi.config import AugmentConfig
from gipi.engine.place import decide_place
from gipi.ops.augment import augment, mix
from gipi.tasks.classify import Classify

BATCH = 512
REPEATS = 9
ALONE = AugmentConfig(
    rotate_deg=10,
    shift_px=2,
    scale=0.1,
    shear_deg=10,
    crop=0.2,
    elastic_px=2,
    flip=0.5,
    brightness=0.2,
    contrast=0.2,
    erase=0.5,
    mixup=0.2,
)


def milliseconds(call: Callable[[], object]) -> list[float]:
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return times


def main() -> None:
    recipe = gipi.RECIPES["deepconvnet-best"].config
    place = decide_place()
    task = Classify(replace(recipe, data=replace(recipe.data, batch=BATCH)), place)
    batch = next(task.source())
    pixels = batch.images.float()

    def change(config: AugmentConfig) -> Callable[[], object]:
        def call() -> object:
            images = augment(pixels, config, 0, 0, batch.number)
            return mix(images, config, 0, 0, batch.number) if config.mixes else images

        return call

    kinds = {field.name: getattr(ALONE, field.name) for field in fields(AugmentConfig) if getattr(ALONE, field.name)}
    rows = [row(f"{name} alone", milliseconds(change(AugmentConfig(**{name: size}))), "ms") for name, size in kinds.items()]
    rows.append(row("deepconvnet-best", milliseconds(change(recipe.data.augment)), "ms", note="all of its changes"))
    rows.append(row("everything", milliseconds(change(ALONE)), "ms", note="; ".join(f"{k} {v}" for k, v in kinds.items())))
    step = row("training step of deepconvnet-best", milliseconds(lambda: task.step(batch)), "ms", note="augmentation included")
    rows.append(step)
    rows += [
        row(f"share of a step: {line['name']}", [100 * line["value"] / step["value"]], "%", note="target 15")
        for line in rows[-3:-1]
    ]
    write("augmentation.gpu" if place.device.type == "cuda" else "augmentation", rows)


if __name__ == "__main__":
    main()
