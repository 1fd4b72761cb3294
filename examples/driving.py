"""What a self-driving car would want to know of a street, drawn over a video or pictures: where it can go, what is in the way.

    python examples/driving.py runs/segnet-camvid road.mp4 driving.mp4
    python examples/driving.py runs/segnet-camvid one.png two.png driving

Green is the road, red are obstacles. Above it stand the share of the lower half of the picture that is road, how far down the
picture the nearest obstacle in the middle third reaches, and frames per second. A toy: of distances in metres it knows nothing.
The model must know the classes of CamVid: gipi train segnet-camvid.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

import gipi

DRIVABLE = ("Road",)  # lane marks belong to it
OBSTACLES = ("Car", "Pedestrian", "Bicyclist", "Pole", "SignSymbol", "Fence")
GREEN, RED = (0, 200, 0), (230, 0, 0)
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm")


class Driving:
    """Draws over frames of a model of the `classes`."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        if missing := [name for name in (*DRIVABLE, *OBSTACLES) if name not in classes]:
            raise SystemExit(f"the model knows no {', '.join(missing)}: train one on CamVid, gipi train segnet-camvid")
        self.road, self.obstacles = (
            torch.tensor([number for number, name in enumerate(classes) if name in wanted], dtype=torch.uint8)
            for wanted in (DRIVABLE, OBSTACLES)
        )
        self.frames, self.begun = 0, time.perf_counter()

    def paint(self, pixels: Tensor, mask: Tensor) -> Tensor:
        """A frame uint8 (3, h, w) and the number of each pixel's class, uint8 (h, w) -> the frame drawn over."""
        road, obstacles = torch.isin(mask, self.road), torch.isin(mask, self.obstacles)
        painted = pixels.clone()
        for where, colour in ((road, GREEN), (obstacles, RED)):
            half = pixels // 2 + torch.tensor(colour, dtype=torch.uint8)[:, None, None] // 2
            painted = torch.where(where, half, painted)
        self.frames += 1
        speed = self.frames / (time.perf_counter() - self.begun)
        text = f"road {free(road):.0%} of the lower half   {ahead(obstacles)}   {speed:.1f} frames/s"
        return written(painted, text)


def free(road: Tensor) -> float:
    """The share of the lower half of the picture that is drivable."""
    return road[road.shape[0] // 2 :].float().mean().item()


def nearest(obstacles: Tensor) -> float | None:
    """How far down the picture obstacles in its middle third reach, 0 to 1: the lower, the nearer. None: there are none."""
    height, width = obstacles.shape
    rows = obstacles[:, width // 3 : width - width // 3].any(1).nonzero()
    return (int(rows.max()) + 1) / height if len(rows) else None


def ahead(obstacles: Tensor) -> str:
    where = nearest(obstacles)
    return "nothing in the lane" if where is None else f"nearest obstacle at {where:.0%} of the height"


def written(pixels: Tensor, text: str) -> Tensor:
    """The picture with a text in its upper left corner, white on black."""
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    draw = ImageDraw.Draw(image)
    size = max(8, image.width // 45)
    draw.rectangle(draw.textbbox((size // 2, size // 2), text, font_size=size), fill="black")
    draw.text((size // 2, size // 2), text, fill="white", font_size=size)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def main(model: str, *files: str) -> None:
    """files: a video and the video to write, or pictures and the folder for what is drawn."""
    segmenter = gipi.load(model)
    driving, *inputs, out = Driving(segmenter.card.classes), *map(Path, files)
    if inputs[0].suffix.lower() in VIDEOS:
        film = segmenter.predict_video(inputs[0], out, paint=driving.paint)
        print(f"{film.path}: {film.frames:,} frames, {film.frames_per_s:.1f} frames/s")
        return
    out.mkdir(parents=True, exist_ok=True)
    for file in inputs:
        answer = segmenter.predict(file)
        drawn = driving.paint(answer.pixels, answer.mask)
        path = out / f"{file.stem}-driving.png"
        Image.fromarray(drawn.permute(1, 2, 0).contiguous().numpy()).save(path)
        print(path)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(f"usage: {sys.argv[0]} MODEL VIDEO OUT.mp4, or {sys.argv[0]} MODEL PICTURE... FOLDER")
    try:
        main(*sys.argv[1:])
    except gipi.GipiError as error:
        sys.exit(f"{error}")
