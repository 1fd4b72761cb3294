"""Whether OpenVINO answers instead of PyTorch: where it is installed, and saves time for as many images as there are.

A net is compiled once PyTorch would be at work on it for more than `PAYS_S`, and kept with a note of how fast both are. From then
on the note decides: OpenVINO is taken for so many images that it saves more time than it needs to get ready.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gipi.engine.compiled import Compiled, installed, openvino
from gipi.engine.kept import Speed, keep, load, read_note, write_note
from gipi.engine.place import Place
from gipi.errors import GipiWarning, RunError
from gipi.runs import claim

PAYS_S = 10.0  # seconds of PyTorch's work for which compiling, which takes a few, is worth it
SAMPLE = 8  # images by which they are estimated
FEW = 32  # images, for which nothing is compiled
MANY = 32  # images at once of which speeds are measured; fewer where PyTorch needs more than a second for them
LONG_S = 0.5  # a call that takes longer is timed once
LOG = logging.getLogger("gipi")
Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Fast:
    """A net in evaluation mode that is not changed any more, and the folders in which its compiled form may lie, the best first.

    name: which net with which arguments, by which version of our code.  image: channels, height, width.
    """

    net: nn.Module
    name: str
    image: tuple[int, int, int]
    place: Place
    folders: Sequence[Path]

    def get(self, count: int) -> Compiled | None:
        """The net compiled by OpenVINO, if that saves time for `count` images; else None. Warns if a conversion fails."""
        if self.place.device.type != "cpu" or not installed():
            return None
        for folder in self.folders:
            if (note := read_note(folder, self.name)) and (speed := note.speeds.get(self._way)):
                if not speed.pays(count):
                    return None
                if compiled := load(self.net, folder, note, self.place.dtype):
                    return compiled
        if count < FEW or not self._is_work(count):
            return None
        for folder in self.folders:
            with suppress(RunError), claim(folder) as mine:  # where a folder cannot be written, the next one is tried
                return self._make(folder) if mine else None  # else another process is at it
        return None

    def _is_work(self, count: int) -> bool:
        """Whether PyTorch needs more than `PAYS_S` for so many images; a first call, which is slow, may tell that it does not."""
        return all(count * _timed(self._pytorch, self._images(some)) / some > PAYS_S for some in (1, SAMPLE))

    def _make(self, folder: Path) -> Compiled | None:
        start, old = time.perf_counter(), read_note(folder, self.name)
        try:
            openvino()
            imported_s = time.perf_counter() - start
            note = keep(self.net, self.name, self.image, folder)
            kept = time.perf_counter()
            compiled = load(self.net, folder, note, self.place.dtype)
            if not compiled:
                raise OSError(f"what was written to {folder} cannot be read")
            end = time.perf_counter()
            speed = self._measure(compiled, imported_s + end - kept)
            speeds = old.speeds if old and old.digest == note.digest else {}
            write_note(folder, replace(note, speeds={**speeds, self._way: speed}))
        except Exception as error:  # OpenVINO raises what it likes, and PyTorch can always answer
            warnings.warn(GipiWarning(f"OpenVINO cannot take over this net, so PyTorch runs it: {error}"), stacklevel=2)
            return None
        gain = speed.pytorch[1] / speed.openvino[1]
        LOG.info("compiled for OpenVINO in %.1f s, kept in %s: %.1f x as fast as PyTorch", end - start, folder, gain)
        return compiled if speed.faster else None

    def _measure(self, compiled: Run, load_s: float) -> Speed:
        one = self._images(1)
        many = self._images(min(MANY, max(2, int(1 / _seconds(self._pytorch, one)))))
        pytorch, openvino = ((_seconds(run, one), _seconds(run, many) / len(many)) for run in (self._pytorch, compiled))
        return Speed(pytorch, openvino, load_s)

    @property
    def _way(self) -> str:
        """What speeds depend on beside the net."""
        return f"{self.place.precision}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"

    def _images(self, count: int) -> Tensor:
        return torch.rand(count, *self.image, generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def _pytorch(self, images: Tensor) -> Tensor:
        with self.place.autocast():
            return self.net(self.place.put_images(images))


def _seconds(run: Run, images: Tensor) -> float:
    """Of a call: the best of three after a first one, or that first one if it is long."""
    if (first := _timed(run, images)) > LONG_S:
        return first
    return min(_timed(run, images) for _ in range(3))


def _timed(run: Run, images: Tensor) -> float:
    start = time.perf_counter()
    run(images)
    return time.perf_counter() - start
