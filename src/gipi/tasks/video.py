"""A video in, a video out with what a net sees in each frame drawn over it. PyAV decodes and encodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi import showing
from gipi.data.frames import Frame, opened, written
from gipi.errors import ConfigError, DataError
from gipi.model import Card
from gipi.ops.overlay import Line, as_pixels, legend, overlay
from gipi.tasks.detection import Detection, Often, often, tally
from gipi.tasks.segmentation import Area, areas, class_colours, count

BATCH, BATCH_PIXELS = 8, 500_000  # frames read at once, at most; of so many pixels in all, but one at least

Paint = Callable[[Tensor, Tensor], Tensor]  # a frame uint8 (3, h, w), its mask uint8 (h, w) -> a frame of the same size
Echo = Callable[[int, int, float], None]  # frames done, frames in all or 0 if nobody knows, frames per second


class Frames(Protocol):
    """Draws what a net sees over frames, and sums it up."""

    def draw(self, pixels: Tensor) -> tuple[Iterable[Tensor], Tensor]:
        """Frames uint8 (n, 3, h, w), h and w even -> (those drawn over, of the same size, counts to be added up over all)"""
        ...

    def classes(self, counts: Tensor, frames: int) -> Sequence[Area | Often]:
        """What the sums of the counts say."""
        ...


@dataclass(frozen=True)
class Film:
    """What became of a video. size: width and height.  classes: those that are there, in all frames together: what they take
    of it, or how often they were found.
    """

    path: Path
    frames: int
    size: tuple[int, int]
    seconds: float
    classes: tuple[Area | Often, ...]

    @property
    def frames_per_s(self) -> float:
        """Decoded, read, drawn and encoded."""
        return self.frames / self.seconds

    def json(self) -> dict[str, Any]:
        """out, frames, frames_per_s, size and classes, as those of a picture."""
        return {
            "out": str(self.path),
            "frames": self.frames,
            "frames_per_s": self.frames_per_s,
            "size": list(self.size),
            "classes": [one.json() for one in self.classes],
        }

    def _repr_html_(self) -> str:
        rows = {**self.json(), "size": "x".join(map(str, self.size)), "classes": ", ".join(map(str, self.classes))}
        return showing.table(("video", ""), rows.items())


def film(frames: Frames, source: Path, out: Path, *, echo: Echo | None = None) -> Film:
    """Read every frame of a video and write a video of them as `frames` draws over each.

    The new one is H.264 of the old one's size (a pixel more where a side is odd), rate and times of frames, upright, without
    sound. It is written beside `out` and renamed when it is complete. echo: is told frames done, frames in all, 0 if the file
    does not say, and frames per second.
    Raises DeviceError without PyAV, ConfigError if `out` cannot be written or is no .mp4, .mov or .mkv, DataError for what is no
    video or has no pictures in it, and, naming the frame, for one that breaks off.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"{out} is the video itself: name another file with -o")
    begun, counts, done = time.perf_counter(), torch.zeros((), dtype=torch.int64), 0
    with opened(source) as video:
        batches = _batches(video.frames())
        first = next(batches)  # what is no video leaves nothing behind
        height, width = (length + length % 2 for length in first[0].pixels.shape[1:])  # H.264 wants even ones
        with written(out, video, (height, width)) as write:
            for batch in chain([first], batches):
                pixels = torch.stack([frame.pixels for frame in batch])
                pixels = F.pad(pixels, (0, pixels.shape[3] % 2, 0, pixels.shape[2] % 2), mode="replicate")
                if tuple(pixels.shape[2:]) != (height, width):
                    raise DataError(f"video {str(source)!r} changes its size at frame {done + 1:,}: convert it to one size")
                drawn, some = frames.draw(pixels)
                counts = counts + some
                for frame, picture in zip(batch, drawn, strict=True):
                    write(picture, frame)
                done += len(batch)
                if echo:
                    echo(done, video.count, done / (time.perf_counter() - begun))
    seconds = time.perf_counter() - begun
    return Film(out, done, (width, height), seconds, tuple(frames.classes(counts, done)))


class Masker(Protocol):
    """What is wanted of a Segmenter."""

    card: Card

    def masks(self, pixels: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class MaskFrames:
    """Frames as `paint` draws the masks over them, by default the classes' colours and names."""

    model: Masker
    paint: Paint | None = None

    def draw(self, pixels: Tensor) -> tuple[Iterable[Tensor], Tensor]:
        masks, paint = self.model.masks(pixels), self.paint or painter(self.model.card, (pixels.shape[2], pixels.shape[3]))
        return map(paint, pixels, masks), count(masks)

    def classes(self, counts: Tensor, frames: int) -> list[Area]:
        return areas(self.model.card.classes, counts)


class Boxer(Protocol):
    """What is wanted of a Detector."""

    card: Card

    def answer(self, framed: Sequence[Tensor]) -> Sequence[Detection]: ...


@dataclass(frozen=True)
class BoxFrames:
    """Frames with the boxes that are found in them, class and score beside each."""

    model: Boxer

    def draw(self, pixels: Tensor) -> tuple[Iterable[Tensor], Tensor]:
        found = self.model.answer(list(pixels))
        counts = tally(torch.cat([one.labels for one in found]), self.model.card.classes)
        return (one.painted() for one in found), counts

    def classes(self, counts: Tensor, frames: int) -> list[Often]:
        return often(self.model.card.classes, counts, frames)


def painter(card: Card, size: tuple[int, int]) -> Paint:
    """Lays the classes' colours over frames of `size` (height, width), and their names over the lower edge.

    Frames of which the names would take more than a third go without.
    """
    (height, width), colours = size, class_colours(card.classes, card.colours)
    strip = _names(tuple(zip(card.classes, colours, strict=True)), width, max(11, height // 45))
    fits = strip.shape[1] <= height // 3 and strip.shape[2] == width

    def paint(pixels: Tensor, mask: Tensor) -> Tensor:
        painted = overlay(pixels, mask, colours)
        if fits:
            painted[:, height - strip.shape[1] :] = strip
        return painted

    return paint


@lru_cache(1)
def _names(lines: tuple[Line, ...], width: int, size: int) -> Tensor:
    """Drawn once for all frames of a video."""
    return as_pixels(legend(lines, width, size))


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
