"""Looking through a data set of one's own before training on it: every picture is opened once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from gipi.config import DataConfig
from gipi.data.alike import Member, alike
from gipi.data.any_folder import find_classes
from gipi.data.entry import SUFFIXES, Entry, Found
from gipi.data.findings import Survey
from gipi.data.folder import parts
from gipi.data.look import SMALL, Look, look
from gipi.data.pictures import refused
from gipi.data.telling import too_many
from gipi.data.threads import in_threads
from gipi.errors import DataError


def survey(path: Path) -> Survey:
    """What is in a data set and what hinders training on it. Wrong layouts and unreadable pictures are told, not raised.

    Pictures are looked for among each other, too: those whose bytes are equal, and those of at least `SMALL` pixels that look
    nearly equal, see `groups`.
    """
    try:
        found = find_classes(path)
    except DataError as error:
        return Survey(str(path), error=str(error))
    entries = [entry._replace(split=split) for split, part in parts(found).items() for entry in part]
    looks: list[Look] = []
    in_threads(look, entries, lambda _, got: looks.append(got), "looking at pictures")
    seen = [(entry, got) for entry, got in zip(entries, looks, strict=True) if not got.fault]
    sides = sorted(min(got.size) for _, got in seen)
    members = [Member(entry.name, entry.split, found.classes[entry.label]) for entry, _ in seen]
    return Survey(
        str(path),
        counts=_counts(found, entries),
        shorter=(sides[0], sides[len(sides) // 2], sides[-1]) if sides else (),
        small=sum(side < SMALL for side in sides),
        formats=dict(Counter(got.format for _, got in seen).most_common()),
        modes=dict(Counter(got.mode for _, got in seen).most_common()),
        broken={entry.name: got.fault for entry, got in zip(entries, looks, strict=True) if got.fault},
        misnamed={entry.name: f"is a {got.format} file" for entry, got in seen if _suffix_format(entry) not in ("", got.format)},
        left_out=found.left_out,
        alike=alike(members, [got.digest for _, got in seen], [got.grey for _, got in seen]),
        refusals=_refusals(found, entries, looks),
    )


def _suffix_format(entry: Entry) -> str:
    return SUFFIXES.get(PurePosixPath(entry.name).suffix.lower(), "")


def _counts(found: Found, entries: Sequence[Entry]) -> Mapping[str, Mapping[str, int]]:
    counts = Counter((entry.split, entry.label) for entry in entries)
    splits = dict.fromkeys(entry.split for entry in entries)
    return {split: {name: counts[split, label] for label, name in enumerate(found.classes)} for split in splits}


def _refusals(found: Found, entries: Sequence[Entry], looks: Sequence[Look]) -> tuple[str, ...]:
    """A sentence for each split that a training refuses."""
    allowed, said = DataConfig().broken, []
    for split in dict.fromkeys(entry.split for entry in entries):
        part = [(entry, got.fault) for entry, got in zip(entries, looks, strict=True) if entry.split == split]
        faults = {number: fault for number, (_, fault) in enumerate(part) if fault}
        share = f"{len(faults):,} of {len(part):,} pictures of {split} ({len(faults) / len(part):.1%})"
        if refused(found, [entry for entry, _ in part], faults, 1):
            said.append(f"{share} cannot be read, and with them all of a class")
        elif refused(found, [entry for entry, _ in part], faults, allowed):
            said.append(too_many(share, allowed))
    return tuple(said)
