"""What is wrong with an image or with the file of masks or boxes that belongs to it, and when that is too much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gipi.data.entry import listed

Kind = Literal["unreadable", "size", "unknown", "form"]


class Fault(NamedTuple):
    """Why a pair cannot be used. file: its name in the data set.  values: unknown numbers or colours -> pixels that have them.

    kind: "unreadable": a file is missing, broken, cut off.  "size": the mask has not its image's size, or boxes are said to be of
    an image of another.  "unknown": it has a number, a colour or a name of no class.  "form": it is lossy, or has colours where
    the list of classes has none.
    """

    kind: Kind
    file: str
    what: str
    values: Mapping[str, int] = {}

    def text(self) -> str:
        return f"{self.file} {self.what}"


def named(faults: Sequence[Fault], kind: Kind) -> Mapping[str, str]:
    """What is wrong, of that kind, by the name of the file."""
    return {fault.file: fault.what for fault in faults if fault.kind == kind}


def refused(path: Path, total: int, faults: Sequence[Fault], broken: float, partners: str) -> str:
    """Why a split of `total` pairs is refused for the faults in it; "" if it is not.

    broken: share that may be unreadable.  partners: what the images come with, "masks" or "boxes".
    """
    if wrong := [fault.text() for fault in faults if fault.kind != "unreadable"]:
        return f"{partners} that are wrong: {len(wrong):,}; see gipi check {path}:\n  " + listed(wrong, "\n  ")
    if len(faults) == total:
        return f"{told(total, faults, partners)}\nNone is left: mend them"
    if len(faults) > broken * total:
        share = f"--data.broken {math.ceil(1000 * len(faults) / total) / 1000}"
        allowed = f"Allowed are {broken:.1%}: see gipi check {path}, mend or remove them, or allow {share}"
        return f"{told(total, faults, partners)}\n{allowed}"
    return ""


def told(total: int, faults: Sequence[Fault], partners: str) -> str:
    """How many pairs are unreadable, and of the first ten which file and why."""
    share = f"{len(faults):,} of {total:,} images or their {partners} ({len(faults) / total:.1%})"
    return f"{share} cannot be read:\n  " + listed([fault.text() for fault in faults], "\n  ")
