"""Pictures that follow each other, written as an animated GIF or as a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Protocol

from PIL import Image, UnidentifiedImageError
from torch.nn import functional as F

from gipi import showing
from gipi.data.frames import OUT_SUFFIXES, Frame, written
from gipi.errors import ConfigError, RunError
from gipi.ops.lettering import with_text
from gipi.ops.overlay import as_pixels

SUFFIXES = (".gif", *OUT_SUFFIXES)
SLOWEST_MS, FASTEST_MS, WHOLE_MS = 200, 40, 10_000  # of a picture of an epoch; of all of them, if that leaves each its time
LAST_MS = 2_000
SHOWN, SHOWN_BYTES = 240, 4_000_000  # frames, and bytes of a GIF in a notebook


class Pictures(Protocol):
    """Some pictures in order: a tuple of them, or what draws each when it is asked for."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Image.Image]: ...
    def __getitem__(self, number: int, /) -> Image.Image: ...


@dataclass(frozen=True)
class Reel:
    """Pictures of one size. each_ms: how long each is shown, the last one longer if `last_ms` is above.  asked: for JSON."""

    SUFFIX: ClassVar[str] = ".gif"  # of its file if none is named
    frames: Pictures = field(repr=False)
    each_ms: int
    last_ms: int = 0
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def times_ms(self) -> list[int]:
        return [self.each_ms] * (len(self.frames) - 1) + [max(self.each_ms, self.last_ms)]

    @property
    def seconds(self) -> float:
        return sum(self.times_ms) / 1000

    def __str__(self) -> str:
        return f"{len(self.frames)} frames, {self.seconds:.1f} s"

    def draw(self) -> Image.Image:
        """The last picture."""
        return self.frames[-1]

    def _repr_html_(self) -> str:
        """A GIF of all frames, or of every other, third, ... so that a notebook does not burst."""
        step = -(-len(self.frames) // SHOWN)
        while len(data := self._gif(step)) > SHOWN_BYTES and step < len(self.frames):
            step *= 2
        told = f"{self}; one of {step} frames is shown, .save() writes all" if step > 1 else str(self)
        return f"<div>{showing.embedded(data, 'image/gif', 'a film')}<p>{told}</p></div>"

    def _gif(self, step: int) -> bytes:
        """The file of each `step`-th frame and the last one."""
        numbers = sorted({*range(0, len(self.frames), step), len(self.frames) - 1})
        with TemporaryDirectory() as folder:
            file = Path(folder) / "film.gif"
            replace(self, frames=tuple(self.frames[number] for number in numbers))._write_gif(file)
            return file.read_bytes()

    def save(self, out: Path | str) -> None:
        """An endless GIF, or H.264 as .mp4, .mov or .mkv, in which the last picture is repeated for as long as it is shown.

        Raises ConfigError for another suffix and for a file that cannot be written, DeviceError for a video without PyAV.
        """
        out = Path(out)
        if out.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"cannot write a film {out}: allowed are {', '.join(SUFFIXES)}")
        self._save_gif(out) if out.suffix.lower() == ".gif" else self._save_video(out)

    def _save_gif(self, out: Path) -> None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            self._write_gif(out)
        except OSError as error:
            raise ConfigError(f"cannot write the film {out}: {error.strerror}; choose another file with --out") from error

    def _write_gif(self, out: Path) -> None:
        first, *others = self.frames
        first.save(out, save_all=True, append_images=others, duration=self.times_ms, loop=0)

    def _save_video(self, out: Path) -> None:
        height, width = (side + side % 2 for side in reversed(self.frames[0].size))  # H.264 wants even ones
        more = self.times_ms[-1] // self.each_ms - 1
        with written(out, Fraction(1000, self.each_ms), (height, width)) as write:
            for picture in chain(self.frames, repeat(self.frames[-1], more)):
                pixels = as_pixels(picture)
                edge = (0, width - pixels.shape[2], 0, height - pixels.shape[1])
                write(F.pad(pixels[None], edge, mode="replicate")[0], Frame(pixels, None, 1))

    def json(self) -> dict[str, Any]:
        """frames, seconds, and what was asked for."""
        return {"frames": len(self.frames), "seconds": self.seconds, **self.asked}


def film_of_epochs(run: Path) -> Reel:
    """What a generator made of the same noise after each epoch of its training, by the pictures in its run folder.

    Raises ConfigError for what is no run folder, RunError for one without such pictures or with broken ones.
    """
    if not run.is_dir():
        raise ConfigError(f"--epochs wants the run folder of a training, such as runs/dcgan-mnist-001, and {str(run)!r} is none")
    pictures = ((re.fullmatch(r"epoch-(\d+)", path.stem), path) for path in (run / "samples").glob("*.png"))
    found = {int(match[1]): path for match, path in pictures if match}
    if not found:
        raise RunError(
            f"{run / 'samples'} holds no pictures epoch-0001.png, ...: the training of a generator writes one each epoch"
        )
    frames = tuple(_titled(path, epoch) for epoch, path in sorted(found.items()))
    if len({frame.size for frame in frames}) > 1:
        raise RunError(f"the pictures in {run / 'samples'} are of several sizes: one training writes all of one size")
    each = min(SLOWEST_MS, max(FASTEST_MS, WHOLE_MS // len(frames) // 10 * 10))  # a GIF counts in 10 ms
    return Reel(frames, each, LAST_MS, {"run": str(run), "epochs": sorted(found)})


def _titled(path: Path, epoch: int) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return with_text(as_pixels(picture), [f"epoch {epoch}"], least=1)
    except (OSError, UnidentifiedImageError) as error:
        raise RunError(f"{path} cannot be read as a picture: delete it for a film without it") from error
