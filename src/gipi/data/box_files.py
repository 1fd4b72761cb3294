"""Images with boxes as they are found on disk: what any of the layouts comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from gipi.data.box_format import Written
from gipi.data.entry import Entry, Found
from gipi.data.faults import Fault
from gipi.data.folder import parts
from gipi.errors import ConfigError, nearest


class Note(NamedTuple):
    """What is written of one image, in the file of that name inside the data set.

    stated: height and width that the image is said to have, None if they are not.
    boxes: x0, y0, x1, y1 in pixels, x1 and y1 being edges, as they are written: some may have no size, lie outside, or repeat.
    words: the name of each one's class.  difficult: VOC's mark.  crowd: COCO's, of a box around many things.
    """

    file: str
    stated: tuple[int, int] | None
    boxes: Float[ndarray, "m 4"]
    words: tuple[str, ...]
    difficult: Bool[ndarray, " m"]
    crowd: Bool[ndarray, " m"]


class Pair(NamedTuple):
    """An image and its note, or why that cannot be read. labels: class of each box, -1 where it is none of the known ones."""

    image: Entry
    note: Note | Fault
    labels: tuple[int, ...]


@dataclass(frozen=True)
class BoxFiles:
    """What was found. The entries of `found` are the images that have a note, perhaps one without boxes, all of label 0.

    notes: by the image's name.  faults: sentences on files that have no partner, or more than one.  written: how the files give
    a box, by corners or by corner and size.
    """

    found: Found
    notes: Mapping[str, Note | Fault]
    faults: tuple[str, ...]
    written: Written

    def pairs(self) -> dict[str, tuple[Pair, ...]]:
        """Those of each split: train, test and, where the source has all three, validation.

        Where the source has a validation part but no test part, that is the test. Where it has neither, a fifth of the images is:
        the first in the order of a hash of their names; see `folder.parts`.
        """
        places = {name: place for place, name in enumerate(self.found.classes)}
        return {split: tuple(self._pair(entry, places) for entry in part) for split, part in parts(self.found).items()}

    def _pair(self, entry: Entry, places: Mapping[str, int]) -> Pair:
        note = self.notes[entry.name]
        return Pair(entry, note, () if isinstance(note, Fault) else tuple(places.get(word, -1) for word in note.words))

    def of_split(self, split: str) -> tuple[Pair, ...]:
        """The pairs of a split. Raises ConfigError for one that there is not."""
        if split not in (divided := self.pairs()):
            raise ConfigError(f"{self.found.path} has no split {split!r}{nearest(split, divided)}")
        return divided[split]


def box_note(
    file: str,
    stated: tuple[int, int] | None,
    boxes: list[tuple[float, ...]],
    words: list[str],
    difficult: list[bool] | None = None,
    crowd: list[bool] | None = None,
) -> Note:
    """A note from lists of what it holds; a mark that is left out, no box has."""
    marks = (np.array(mark or [False] * len(boxes), bool) for mark in (difficult, crowd))
    return Note(file, stated, np.array(boxes, np.float64).reshape(-1, 4), tuple(words), *marks)
