"""An image and its boxes: what is wrong with them, and what of them can be learnt from."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from numpy import ndarray

from gipi.data.box_files import Note, Pair
from gipi.data.entry import listed, reason
from gipi.data.faults import Fault
from gipi.errors import DataError
from gipi.ops.image import decode

LEAST = 0.01  # pixels of a side; what is thinner, or nearer to the image's edge, float32 may not tell from nothing


class Raw(NamedTuple):
    """An image, upright, and its boxes exactly as they are written. name: of the image.  labels: -1 for no known class."""

    name: str
    image: UInt8[ndarray, "h w 3"]
    note: Note
    labels: Int64[ndarray, " m"]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[0], self.image.shape[1]


class Clean(NamedTuple):
    """Boxes inside their image, each with a size and none twice. dropped: why others were left out -> how many."""

    boxes: Float32[ndarray, "k 4"]
    labels: Int64[ndarray, " k"]
    ignored: Bool[ndarray, " k"]
    dropped: Counter[str]


def read(pair: Pair) -> Raw | Fault:
    """The image and boxes of a pair, or which of its files cannot be read; in several threads at once, as `decode` does."""
    if isinstance(pair.note, Fault):
        return pair.note
    try:
        image = np.array(decode(pair.image.read()).convert("RGB"))
    except DataError as error:
        return Fault("unreadable", pair.image.name, reason(error))
    return Raw(pair.image.name, image, pair.note, np.array(pair.labels, np.int64))


def mistake(raw: Raw, classes: tuple[str, ...]) -> Fault | None:
    """Why the boxes of an image must not be trained on: they are of no class, or of an image of another size."""
    height, width = raw.size
    if unknown := Counter(word for word, label in zip(raw.note.words, raw.labels, strict=True) if label < 0):
        got = listed([f"{word!r} ({count:,})" for word, count in unknown.items()])
        return Fault("unknown", raw.name, f"has boxes of no class: {got}; allowed are {listed(classes)}", unknown)
    if raw.note.stated not in (None, raw.size):
        stated = "{1}x{0}".format(*raw.note.stated)
        what = f"is {width}x{height} pixels, but its boxes are for {stated} as {raw.note.file} says"
        return Fault("size", raw.name, f"{what}: scale the image or the boxes, or mend the numbers")
    return None


def empty(boxes: Float[ndarray, "m 4"]) -> Bool[ndarray, " m"]:
    """Boxes of no or of negative width or height."""
    return np.any(boxes[:, 2:] - boxes[:, :2] < LEAST, axis=1)


def outside(boxes: Float[ndarray, "m 4"], size: tuple[int, int]) -> Bool[ndarray, " m"]:
    """Boxes with a size of which nothing is in an image of `size` (height, width)."""
    return ~empty(boxes) & empty(_clipped(boxes, size))


def beyond(boxes: Float[ndarray, "m 4"], size: tuple[int, int]) -> Bool[ndarray, " m"]:
    """Boxes of which a part is in the image, and more than a pixel outside: by one, tools that count pixels from 0 miss it."""
    far = np.any(abs(boxes - _clipped(boxes, size)) > 1, axis=1)
    return far & ~empty(boxes) & ~outside(boxes, size)


def repeated(boxes: Float[ndarray, "m 4"], labels: Int64[ndarray, " m"]) -> Bool[ndarray, " m"]:
    """Boxes that are the same, and of the same class, as one before them."""
    first = dict[tuple[float, ...], int]()
    rows = [(*box, label) for box, label in zip(boxes.tolist(), labels.tolist(), strict=True)]
    return np.array([first.setdefault(row, place) != place for place, row in enumerate(rows)], bool)


def cleaned(raw: Raw) -> Clean:
    """The boxes of an image to learn from: those with no size, outside or repeated are left out, others clipped to the image.

    Those that are difficult or of a crowd are ignored: neither to be found nor a mistake to find.
    """
    note, left = raw.note, np.ones(len(raw.labels), bool)
    dropped = Counter[str]()
    for why, wrong in (
        ("without a size", empty(note.boxes)),
        ("outside of their image", outside(note.boxes, raw.size)),
        ("twice in their image", repeated(note.boxes, raw.labels)),
    ):
        dropped[why] = int((left & wrong).sum())
        left &= ~wrong
    boxes = _clipped(note.boxes[left], raw.size).astype(np.float32)
    return Clean(boxes, raw.labels[left], (note.difficult | note.crowd)[left], +dropped)


def _clipped(boxes: Float[ndarray, "m 4"], size: tuple[int, int]) -> Float[ndarray, "m 4"]:
    return boxes.clip(0, (*size[::-1], *size[::-1]))
