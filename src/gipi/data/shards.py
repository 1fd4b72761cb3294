"""Labelled pictures in tar files of the webdataset layout, read where they lie: nothing is ever unpacked.

Members that share a name up to the first dot are one sample: KEY.jpg (or another suffix of a picture) and its label in KEY.cls,
a number; else in KEY.json as "label", a number or the name of a class; else in KEY.txt, the name of a class. A file classes.txt
beside the tar files names the classes of the numbers from 0 on, one a line. train-000000.tar, val-... and test-... say the split.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gipi.data.entry import SPLITS, SUFFIXES, Entry, Found, is_text, visible
from gipi.errors import DataError

LABELS = ("cls", "json", "txt")
LONGEST = 1 << 20  # bytes of a label's file
END = bytes(512)  # at least one such block ends a tar file


class Sample(NamedTuple):
    """A picture in a tar file, with its label as it is written there. name: of the tar file and of the member."""

    path: Path
    name: str
    label: int | str
    offset: int
    size: int


def index(folder: Path) -> Found:
    """The pictures in the tar files of `folder`, of which only headers and labels are read. Left out are halves of samples.

    Without classes.txt the classes are the names or the numbers that occur, sorted.
    Raises DataError for a tar file that is cut off or broken, a label that is none or is not in classes.txt, and labels of which
    some are numbers and some names that no classes.txt joins; OSError for what cannot be read.
    """
    samples: list[Sample] = []
    left_out: list[str] = []
    for path in sorted(folder.glob("*.tar")):
        if visible(path.name):
            samples += _samples(path, left_out)
    listed = folder / "classes.txt"
    if listed.is_file():
        classes = _class_names(listed)
        places: dict[int | str, int] = {key: place for place, name in enumerate(classes) for key in (place, name)}
    else:
        numbers = sorted({label for _, _, label, _, _ in samples if isinstance(label, int)})
        names = sorted({label for _, _, label, _, _ in samples if isinstance(label, str)})
        if numbers and names:
            what = f"some labels are numbers ({numbers[0]}) and some are names ({names[0]})"
            raise DataError(f"{folder}: {what}; name the classes of the numbers in {listed}, from 0 on, one a line")
        classes, places = tuple(map(str, numbers or names)), {label: place for place, label in enumerate(numbers or names)}
    for sample in samples:
        if sample.label not in places:
            raise DataError(f"{sample.name} has the label {sample.label!r}; {listed} has {len(classes)} classes, from 0 on")
    entries = tuple(Entry(s.path, places[s.label], _split(s.path), s.name, s.offset, s.size) for s in samples)
    return Found(folder, classes, entries, tuple(left_out))


def _split(path: Path) -> str:
    return SPLITS.get(re.split("[^a-z]", path.name.lower(), maxsplit=1)[0], "")


def _class_names(path: Path) -> tuple[str, ...]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").strip().split("\n")]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    [(often, times)] = Counter(names).most_common(1)
    if "" in names or times > 1:
        raise DataError(f"{path} has " + ("an empty line" if "" in names else f"{often!r} {times} times") + "; allowed are names")
    return tuple(names)


def _samples(path: Path, left_out: list[str]) -> list[Sample]:
    """The samples of one tar file; adds to `left_out` what is none."""
    pictures: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, dict[str, int | str]] = {}
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.size < 0 or not is_text(member.name):
                    raise tarfile.ReadError(f"{member.name!r} has {member.size} bytes")
                inside = PurePosixPath(member.name)
                if not member.isreg() or member.issparse() or not all(map(visible, inside.parts)):
                    continue
                stem, _, kind = inside.name.partition(".")
                key, name = str(inside.with_name(stem)), f"{path.name}/{inside}"
                if f".{kind.lower()}" in SUFFIXES:
                    if key in pictures:
                        left_out.append(f"{name}: a second picture of its sample")
                    else:
                        pictures[key] = name, member.offset_data, member.size
                elif kind in LABELS:
                    label = _label(kind, tar.extractfile(member).read(LONGEST), name)  # pyright: ignore[reportOptionalMemberAccess]
                    if label is not None:
                        labels.setdefault(key, {})[kind] = label
            file.seek(tar.offset)
            if file.read(len(END)) != END:  # tarfile takes anything that is no header for the end
                raise tarfile.ReadError(f"no member and no end at byte {tar.offset:,}")
    except (DataError, OSError):
        raise
    except Exception as error:  # hostile bytes make tarfile fail in any way it likes
        raise DataError(f"{path} is cut off or broken: {error}; copy or download it again") from error
    left_out += [f"{pictures[key][0]}: has no label" for key in pictures if key not in labels]
    left_out += [f"{path.name}/{key}: a label without a picture" for key in labels if key not in pictures]
    return [
        Sample(path, name, next(labels[key][kind] for kind in LABELS if kind in labels[key]), offset, size)
        for key, (name, offset, size) in pictures.items()
        if key in labels
    ]


def _label(kind: str, text: bytes, name: str) -> int | str | None:
    """The label in a member of that kind; None for JSON without one. Raises DataError if it is none."""
    try:
        label = int(text) if kind == "cls" else text.decode().strip() if kind == "txt" else json.loads(text).get("label")
    except (ValueError, AttributeError, RecursionError):
        label = ""
    if label is None or (type(label) is int and label >= 0) or (isinstance(label, str) and label and is_text(label)):
        return label
    allowed = 'a number from 0 on in .cls, the name of a class in .txt, either of them as "label" in .json'
    raise DataError(f"{name} holds no label: allowed are {allowed}")
