"""Small copies of pictures, made once by all cores and kept in a folder, from where they are mapped into memory."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from gipi.data.entry import Entry, Found, listed, reason
from gipi.data.fetch import lock
from gipi.data.threads import in_threads
from gipi.errors import DataError
from gipi.ops.image import decode, shrink
from gipi.runs import write_atomic

FORMAT = 1  # of the copies; with another one all are made anew


def copies(entries: Sequence[Entry], *, short: int, folder: Path) -> tuple[UInt8[Tensor, "n 3 short short"], dict[int, str]]:
    """(copies of the readable pictures in their order, number of an entry -> what is wrong with it: "is empty", ...).

    A copy is the middle square of a picture, its shorter side scaled to `short` pixels: `shrink`. All are in one file of `folder`
    named by a digest of the paths, sizes and times of the pictures, and are mapped: a second call costs nothing, and there may be
    more of them than fit into memory. In that case they must not be changed; no change ever reaches the file.
    Raises DataError if the folder cannot be written or its disk has too little room.
    """
    path = folder / f"{_digest(entries, short)}.uint8"
    try:
        broken = _broken(path, len(entries), short)
        if broken is None:
            folder.mkdir(parents=True, exist_ok=True)
            with lock(path.with_suffix(".lock")):
                broken = _broken(path, len(entries), short)  # another process may have been faster
                if broken is None:
                    broken = _make(entries, short, path)
        return _mapped(path, (len(entries) - len(broken), 3, short, short)), broken
    except OSError as error:
        where = f"{folder}: {error.strerror}; set GIPI_CACHE to a folder that can be written and read"
        raise DataError(f"small copies of the pictures cannot be kept in {where}") from error


def _digest(entries: Sequence[Entry], short: int) -> str:
    stamps = {path: _stamp(path) for path in {entry.path for entry in entries}}
    sha = hashlib.sha256(repr((FORMAT, short)).encode())
    for entry in entries:
        sha.update(repr((os.path.abspath(entry.path), stamps[entry.path], entry.offset, entry.size)).encode())
    return sha.hexdigest()


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_size, stat.st_mtime_ns, stat.st_mode  # the mode, for a file may be unreadable for its sake alone


def _broken(path: Path, total: int, short: int) -> dict[int, str] | None:
    """The second part of what `copies` gives for `total` entries; None if there is no complete file of copies."""
    try:
        notes = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        whole = path.stat().st_size == (total - len(notes)) * 3 * short * short
        return {int(number): reason for number, reason in notes.items()} if whole else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _make(entries: Sequence[Entry], short: int, path: Path) -> dict[int, str]:
    """Write the copies, renamed once they are on disk, and then the notes without which they do not count."""
    need, free = round(1.05 * len(entries) * 3 * short * short), shutil.disk_usage(path.parent).free
    if need > free:
        raise DataError(
            f"small copies of {len(entries):,} pictures need {need / 1e9:,.2f} GB, but the disk of {path.parent} has "
            f"{free / 1e9:,.2f} GB left; set GIPI_CACHE to a folder on a larger disk, or make room"
        )
    for leftover in path.parent.glob(f"{path.stem}.*.part"):  # of a process that was killed
        with suppress(OSError):
            leftover.unlink()
    part, broken = path.with_suffix(f".{os.getpid()}.part"), dict[int, str]()
    try:
        with part.open("wb") as file:

            def take(number: int, copy: Tensor | str) -> None:
                if isinstance(copy, str):
                    broken[number] = copy
                else:
                    file.write(copy.numpy().data)

            in_threads(lambda entry: _copy(entry, short), entries, take, "reading pictures")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    write_atomic(path.with_suffix(".json"), json.dumps(broken).encode())
    return broken


def _copy(entry: Entry, short: int) -> Tensor | str:
    try:
        return shrink(decode(entry.read(), least=short), short)
    except DataError as error:
        return reason(error)


def _mapped(path: Path, shape: tuple[int, ...]) -> Tensor:
    if not shape[0]:
        return torch.empty(shape, dtype=torch.uint8)
    try:
        pixels = np.memmap(path, np.uint8, "c", shape=shape)  # a change stays in memory
    except OSError:  # which promises memory for it, more than there is
        pixels = np.memmap(path, np.uint8, "r", shape=shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pixels that cannot be written
        return torch.from_numpy(pixels)


def refused(found: Found, entries: Sequence[Entry], faults: Mapping[int, str], broken: float) -> str:
    """Why a split is refused for its unreadable pictures, given by number with what is wrong with them; "" if it is not.

    broken: share of the split's pictures that may be unreadable.
    """
    left = {entry.label for number, entry in enumerate(entries) if number not in faults}
    lost = [name for label, name in enumerate(found.classes) if label not in left]
    if lost:
        return f"{told(entries, faults)}\nNone is left of {listed(lost)}: mend them, or take the classes out"
    if len(faults) <= broken * len(entries):
        return ""
    share = f"--data.broken {math.ceil(1000 * len(faults) / len(entries)) / 1000}"
    return (
        f"{told(entries, faults)}\nAllowed are {broken:.1%}: see gipi check {found.path}, mend or remove them, or allow {share}"
    )


def told(entries: Sequence[Entry], faults: Mapping[int, str]) -> str:
    """How many pictures are unreadable, and of the first ten which and why."""
    lines = [f"{entries[number].name} {what}" for number, what in faults.items()]
    share = f"{len(faults):,} of {len(entries):,} pictures ({len(faults) / len(entries):.1%})"
    return f"{share} cannot be read:\n  " + listed(lines, "\n  ")
