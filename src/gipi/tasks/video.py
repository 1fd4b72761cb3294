"""A video in, a video out with what a segmentation net sees in each frame drawn over it. PyAV decodes and encodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi.data.frames import Frame, opened, written
from gipi.errors import ConfigError, DataError
from gipi.model import Card
from gipi.ops.overlay import as_pixels, legend, overlay
from gipi.tasks.segmentation import Area, areas, class_colours, count

BATCH, BATCH_PIXELS = 8, 500_000  # frames read at once, at most; of so many pixels in all, but one at least

Paint = Callable[[Tensor, Tensor], Tensor]  # a frame uint8 (3, h, w), its mask uint8 (h, w) -> a frame of the same size
Echo = Callable[[int, int, float], None]  # frames done, frames in all or 0 if nobody knows, frames per second


class Model(Protocol):
    """What is wanted of a Segmenter."""

    card: Card

    def masks(self, pixels: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Film:
    """What became of a video. size: width and height.  areas: of the classes that are there, in all frames together."""

    path: Path
    frames: int
    size: tuple[int, int]
    seconds: float
    areas: tuple[Area, ...]

    @property
    def frames_per_s(self) -> float:
        """Decoded, read, drawn and encoded."""
        return self.frames / self.seconds

    def json(self) -> dict[str, Any]:
        """out, frames, frames_per_s, size and classes, as those of a picture."""
        classes = [area.json() for area in self.areas]
        return {
            "out": str(self.path),
            "frames": self.frames,
            "frames_per_s": self.frames_per_s,
            "size": list(self.size),
            "classes": classes,
        }


def film(model: Model, source: Path, out: Path, *, paint: Paint | None = None, echo: Echo | None = None) -> Film:
    """Read every frame of a video and write a video of them with `paint` over each: by default the classes' colours and names.

    The new one is H.264 of the old one's size (a pixel more where a side is odd), rate and times of frames, upright, without
    sound. It is written beside `out` and renamed when it is complete. echo: is told frames done, frames in all, 0 if the file
    does not say, and frames per second.
    Raises DeviceError without PyAV, ConfigError if `out` cannot be written or is no .mp4, .mov or .mkv, DataError for what is no
    video or has no pictures in it, and, naming the frame, for one that breaks off.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"{out} is the video itself: name another file with -o")
    begun, counts, done = time.perf_counter(), torch.zeros(256, dtype=torch.int64), 0
    with opened(source) as video:
        batches = _batches(video.frames())
        first = next(batches)  # what is no video leaves nothing behind
        height, width = (length + length % 2 for length in first[0].pixels.shape[1:])  # H.264 wants even ones
        draw = paint or painter(model.card, (height, width))
        with written(out, video, (height, width)) as write:
            for batch in chain([first], batches):
                pixels = torch.stack([frame.pixels for frame in batch])
                pixels = F.pad(pixels, (0, pixels.shape[3] % 2, 0, pixels.shape[2] % 2), mode="replicate")
                if tuple(pixels.shape[2:]) != (height, width):
                    raise DataError(f"video {str(source)!r} changes its size at frame {done + 1:,}: convert it to one size")
                masks = model.masks(pixels)
                counts += count(masks)
                for frame, seen, mask in zip(batch, pixels, masks, strict=True):
                    write(draw(seen, mask), frame)
                done += len(batch)
                if echo:
                    echo(done, video.count, done / (time.perf_counter() - begun))
    seconds = time.perf_counter() - begun
    return Film(out, done, (width, height), seconds, tuple(areas(model.card.classes, counts)))


def painter(card: Card, size: tuple[int, int]) -> Paint:
    """Lays the classes' colours over frames of `size` (height, width), and their names over the lower edge.

    Frames of which the names would take more than a third go without.
    """
    (height, width), colours = size, class_colours(card.classes, card.colours)
    strip = as_pixels(legend(list(zip(card.classes, colours, strict=True)), width, max(11, height // 45)))
    fits = strip.shape[1] <= height // 3 and strip.shape[2] == width

    def paint(pixels: Tensor, mask: Tensor) -> Tensor:
        painted = overlay(pixels, mask, colours)
        if fits:
            painted[:, height - strip.shape[1] :] = strip
        return painted

    return paint


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in frames:
        if batch and frame.pixels.shape != batch[0].pixels.shape:
            yield batch
            batch = []
        batch.append(frame)
        if len(batch) == BATCH or (len(batch) + 1) * frame.pixels[0].numel() > BATCH_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch
