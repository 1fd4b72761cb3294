"""A look at one image with boxes, before training on it."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt8
from numpy import ndarray
from PIL import Image

from gipi.data.box_files import Pair
from gipi.data.box_read import Raw, beyond, cleaned, empty, mistake, outside, read, repeated
from gipi.data.faults import Fault
from gipi.data.twins import grey_copy

TROUBLES = {  # of a box -> what training does with it
    "of no size": "left out",
    "outside their image": "left out",
    "given twice": "taken once",
    "reaching out of their image": "clipped",
}


class Wrong(NamedTuple):
    """A box that is left out or clipped. trouble: one of `TROUBLES`.  box: x0, y0, x1, y1 in pixels of the image `file`."""

    trouble: str
    file: str
    label: str
    box: tuple[float, ...]

    def text(self) -> str:
        return f"{self.file}: {self.label} from {self.box[0]:g}, {self.box[1]:g} to {self.box[2]:g}, {self.box[3]:g}"


class Good(NamedTuple):
    """What a pair without faults is. digest: of the bytes of the image.  size: its height and width.  written: all its boxes.

    boxes, labels: those that are to be found.  marked: how many are difficult, and crowds.  wrong: those left out or clipped.
    """

    digest: bytes
    grey: UInt8[ndarray, "8 9"] | None
    size: tuple[int, int]
    written: Float[ndarray, "w 4"]
    boxes: Float[ndarray, "m 4"]
    labels: Int64[ndarray, " m"]
    marked: tuple[int, int]
    wrong: tuple[Wrong, ...]


def examine(pair: Pair, classes: tuple[str, ...]) -> Good | Fault:
    """What a pair is, or what is wrong with it; in several threads at once, as `read` does."""
    raw = read(pair)
    if isinstance(raw, Fault):
        return raw
    if fault := mistake(raw, classes):
        return fault
    clean, note = cleaned(raw), raw.note
    learnt, digest = ~clean.ignored, sha256(pair.image.read()).digest()
    marked, grey = (int(note.difficult.sum()), int(note.crowd.sum())), grey_copy(Image.fromarray(raw.image))
    boxes, labels = clean.boxes[learnt].astype(np.float64), clean.labels[learnt]
    return Good(digest, grey, raw.size, note.boxes, boxes, labels, marked, _wrong(pair.image.name, raw))


def _wrong(file: str, raw: Raw) -> tuple[Wrong, ...]:
    """The boxes that are not taken as they are, each with the first trouble that it has."""
    boxes = raw.note.boxes
    has = (empty(boxes), outside(boxes, raw.size), repeated(boxes, raw.labels), beyond(boxes, raw.size))
    first = {n: trouble for trouble, some in reversed([*zip(TROUBLES, has, strict=True)]) for n in np.flatnonzero(some).tolist()}
    return tuple(Wrong(first[n], file, raw.note.words[n], tuple(boxes[n].tolist())) for n in sorted(first))
