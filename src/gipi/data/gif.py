"""An animated GIF that is written frame by frame, for long films: PIL keeps all frames in memory until the last one is there.

Source: Graphics Interchange Format, Version 89a, CompuServe, 1990. All frames share one palette; of a frame only the part that
has changed is written, and in it only the pixels that have.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import getdata

COLOURS, EXACT = 255, 128  # of the palette; of these the commonest as they are
SAME = 255  # the number that means: as it was
ENDLESS = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
END = b";"


def write_gif(out: Path, frames: Iterable[Image.Image], times_ms: Sequence[float], sample: Sequence[Image.Image]) -> None:
    """Write RGB frames of one size, repeated without an end.

    times_ms: how long each is shown; a GIF counts in 10 ms, so what is rounded off of one frame is made up by the next ones.
    sample: some of the frames, whose colours all are painted in: exactly, if these are no more than 255, else the commonest
    128 are. Raises OSError.
    """
    palette = Palette(sample)
    before, passed, shown = None, 0.0, 0
    with out.open("wb") as file:
        file.write(b"GIF89a" + struct.pack("<HHBBB", *sample[0].size, 0xF7, 0, 0) + palette.table() + ENDLESS)
        for frame, time in zip(frames, times_ms, strict=True):
            passed += time
            length, shown = round(passed / 10) - shown, round(passed / 10)
            places = palette.places(frame)
            left, top, part = _changed(before, places)
            image = Image.fromarray(part).convert("P")
            file.writelines(getdata(image, (left, top), duration=10 * length, transparency=SAME, disposal=1))
            before = places
        file.write(END)


class Palette:
    """The colours of a film. numbers: of each colour that there is, that of the nearest one of the palette, as far as known."""

    def __init__(self, sample: Sequence[Image.Image]) -> None:
        found, counts = np.unique(np.concatenate([_packed(frame).ravel() for frame in sample]), return_counts=True)
        colours = _levels(found[np.argsort(-counts, kind="stable")])
        if len(colours) > COLOURS:
            others = Image.fromarray(colours[None, EXACT:]).quantize(COLOURS - EXACT, Image.Quantize.MEDIANCUT).getpalette()
            colours = np.concatenate([colours[:EXACT], np.array(others, np.uint8).reshape(-1, 3)])
        self.colours = colours
        self.numbers = np.full(2**24, SAME, np.uint8)

    def table(self) -> bytes:
        return self.colours.tobytes().ljust(768, b"\0")

    def places(self, frame: Image.Image) -> np.ndarray:
        """The number of each pixel's colour, uint8 (h, w)."""
        packed = _packed(frame)
        places = self.numbers[packed]
        if (new := places == SAME).any():
            colours = np.unique(packed[new])
            apart = np.square(_levels(colours)[:, None].astype(np.int32) - self.colours).sum(2)
            self.numbers[colours] = apart.argmin(1)
            places = self.numbers[packed]
        return places


def _packed(frame: Image.Image) -> np.ndarray:
    """Each pixel's colour as one number."""
    return np.asarray(frame.convert("RGBX")).view("<u4")[..., 0] & 0xFFFFFF


def _levels(packed: np.ndarray) -> np.ndarray:
    """Red, green and blue of such numbers, uint8 (n, 3)."""
    return np.stack([packed & 255, packed >> 8 & 255, packed >> 16], 1).astype(np.uint8)


def _changed(before: np.ndarray | None, places: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Left, top and pixels of what is to be written."""
    if before is None:
        return 0, 0, places
    same = before == places
    rows, columns = (np.flatnonzero(~same.all(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, np.full((1, 1), SAME, np.uint8)
    area = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return int(columns[0]), int(rows[0]), np.where(same[area], np.uint8(SAME), places[area])
