"""Looking through a data set of one's own before training on it: every picture is opened once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from gipi.config import DataConfig
from gipi.data.entry import SUFFIXES, Entry, Found, reason
from gipi.data.findings import SMALL, Alike, Member, Survey
from gipi.data.folder import find, parts
from gipi.data.pictures import refused
from gipi.data.threads import in_threads
from gipi.data.twins import grey_copy, groups
from gipi.errors import DataError
from gipi.ops.image import FORMATS, decode


class Look(NamedTuple):
    """What one picture is. digest: of its bytes.  fault: what is wrong with it; then no more is known."""

    digest: bytes
    fault: str = ""
    format: str = ""
    mode: str = ""
    shorter: int = 0
    grey: UInt8[ndarray, "8 9"] | None = None


def survey(path: Path) -> Survey:
    """What is in a data set and what hinders training on it. Wrong layouts and unreadable pictures are told, not raised.

    Pictures are looked for among each other, too: those whose bytes are equal, and those of at least `SMALL` pixels that look
    nearly equal, see `groups`.
    """
    try:
        found = find(path)
    except DataError as error:
        return Survey(str(path), error=str(error))
    entries = [entry._replace(split=split) for split, part in parts(found).items() for entry in part]
    looks: list[Look] = []
    in_threads(_look, entries, lambda _, look: looks.append(look), "looking at pictures")
    seen = [(entry, look) for entry, look in zip(entries, looks, strict=True) if not look.fault]
    sides = sorted(look.shorter for _, look in seen)
    return Survey(
        str(path),
        counts=_counts(found, entries),
        shorter=(sides[0], sides[len(sides) // 2], sides[-1]) if sides else (),
        small=sum(side < SMALL for side in sides),
        formats=dict(Counter(look.format for _, look in seen).most_common()),
        modes=dict(Counter(look.mode for _, look in seen).most_common()),
        broken={entry.name: look.fault for entry, look in zip(entries, looks, strict=True) if look.fault},
        misnamed={
            entry.name: f"is a {look.format} file" for entry, look in seen if _suffix_format(entry) not in ("", look.format)
        },
        left_out=found.left_out,
        alike=_alike(found, seen),
        refusals=_refusals(found, entries, looks),
    )


def _look(entry: Entry) -> Look:
    try:
        data = entry.read()
    except DataError as error:
        return Look(b"", reason(error))
    digest = sha256(data).digest()
    try:
        image = decode(data, least=SMALL)
    except DataError as error:
        return Look(digest, reason(error))
    with Image.open(BytesIO(data), formats=FORMATS) as opened:
        form, mode, shorter = opened.format or "", opened.mode, min(opened.size)
    form = "JPEG" if form == "MPO" else form  # several JPEGs in one, by some cameras
    return Look(digest, "", form, mode, shorter, grey_copy(image) if shorter >= SMALL else None)


def _suffix_format(entry: Entry) -> str:
    return SUFFIXES.get(PurePosixPath(entry.name).suffix.lower(), "")


def _counts(found: Found, entries: Sequence[Entry]) -> Mapping[str, Mapping[str, int]]:
    counts = Counter((entry.split, entry.label) for entry in entries)
    splits = dict.fromkeys(entry.split for entry in entries)
    return {split: {name: counts[split, label] for label, name in enumerate(found.classes)} for split in splits}


def _alike(found: Found, seen: Sequence[tuple[Entry, Look]]) -> tuple[Alike, ...]:
    alike = []
    for numbers in groups([look.digest for _, look in seen], [look.grey for _, look in seen]):
        members = tuple(Member(e.name, e.split, found.classes[e.label]) for e in (seen[number][0] for number in numbers))
        alike.append(Alike(len({seen[number][1].digest for number in numbers}) > 1, members))
    return tuple(alike)


def _refusals(found: Found, entries: Sequence[Entry], looks: Sequence[Look]) -> tuple[str, ...]:
    """A sentence for each split that a training refuses."""
    allowed, said = DataConfig().broken, []
    for split in dict.fromkeys(entry.split for entry in entries):
        part = [(entry, look.fault) for entry, look in zip(entries, looks, strict=True) if entry.split == split]
        faults = {number: fault for number, (_, fault) in enumerate(part) if fault}
        share = f"{len(faults):,} of {len(part):,} pictures of {split} ({len(faults) / len(part):.1%}) cannot be read"
        if refused(found, [entry for entry, _ in part], faults, 1):
            said.append(f"{share}, and with them all of a class")
        elif refused(found, [entry for entry, _ in part], faults, allowed):
            said.append(f"{share}: training refuses above {allowed:.0%}; mend or remove them, or allow more by --data.broken")
    return tuple(said)
