"""The folder in which a compiled net is kept: net-DIGEST in the runtime's files, and note.json: of what, and how fast."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from gipi.decode import read
from gipi.engine.compiled import Compiled
from gipi.errors import ConfigError
from gipi.runs import write_atomic

SIZES = (1, 32, 64)  # images at once, of which speeds are measured


@dataclass(frozen=True)
class Speed:
    """Seconds an image at each of `SIZES`, by PyTorch and by another runtime; load_s: until that is ready to start."""

    pytorch: tuple[float, ...]
    runtime: tuple[float, ...]
    load_s: float

    def gain(self, count: int) -> float:
        """How many times as fast as PyTorch the runtime is, with so many images at hand."""
        which = _size(count)
        return self.pytorch[which] / self.runtime[which]

    def pays(self, count: int) -> bool:
        """Whether the runtime, not yet ready, answers sooner for so many images, given all at once."""
        which = _size(count)
        return count * (self.pytorch[which] - self.runtime[which]) > self.load_s


def _size(count: int) -> int:
    """Which of `SIZES` tells most about so many images: the largest that they fill, of more than one the second at least."""
    return 0 if count == 1 else max(1, sum(size <= count for size in SIZES) - 1)


@dataclass(frozen=True)
class Note:
    """net: what was compiled, as `Fast.name` says it.  digest: of its weights.  version: of the runtime.  files: SHA-256 of each.

    speeds: by what they depend on beside the net: number format, threads, instruction set.
    """

    net: str
    digest: str
    version: str
    files: dict[str, str]
    speeds: dict[str, Speed] = field(default_factory=dict)


def read_note(folder: Path, net: str, runtime: type[Compiled]) -> Note | None:
    """The note in a folder, if it is readable, of that net and of the version of the runtime that is installed."""
    try:
        note = read(Note, json.loads((folder / "note.json").read_text(encoding="utf-8")), "note")
    except (OSError, ValueError, TypeError, RecursionError, ConfigError):
        return None
    return note if (note.net, note.version) == (net, runtime.version()) else None


def write_note(folder: Path, note: Note) -> None:
    write_atomic(folder / "note.json", (json.dumps(asdict(note), indent=2) + "\n").encode())


def keep(net: nn.Module, name: str, image: tuple[int, int, int], folder: Path, runtime: type[Compiled]) -> Note:
    """Convert a net into the files of a folder; what lay there of other weights is taken away. The note is not yet written."""
    digest = weights_digest(net)
    names = [f"net-{digest[:16]}{ending}" for ending in runtime.ENDINGS]
    runtime.convert(net, image, folder / f"part-{names[0]}")
    for file in names:
        os.replace(folder / f"part-{file}", folder / file)
    for old in {path for ending in runtime.ENDINGS for path in folder.glob(f"*{ending}")} - {folder / file for file in names}:
        old.unlink()
    return Note(name, digest, runtime.version(), {file: _sha256(folder / file) for file in names})


def load(net: nn.Module, folder: Path, note: Note, dtype: torch.dtype, runtime: type[Compiled]) -> Compiled | None:
    """The files of a folder compiled for this CPU; None if they are broken, or made of other weights than the net's."""
    if note.digest != weights_digest(net):
        return None
    try:
        if note.files != {file: _sha256(folder / file) for file in note.files}:
            return None
        return runtime(folder / next(iter(note.files)), dtype)
    except (OSError, RuntimeError):
        return None


def weights_digest(net: nn.Module) -> str:
    """SHA-256 over the names and values of the weights, in their order."""
    sha = hashlib.sha256()
    for name, value in net.state_dict().items():
        sha.update(name.encode())
        sha.update(value.contiguous().reshape(-1).numpy().data)
    return sha.hexdigest()


def _sha256(path: Path) -> str:
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
