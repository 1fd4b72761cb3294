"""Whether another runtime answers instead of PyTorch: where it is installed, and saves time for as many images as there are.

A net is compiled once PyTorch would be at work on it for more than `PAYS_S`, and kept with a note of how fast both are. From then
on the note decides: the runtime is taken for so many images that it saves more time than it needs to get ready.
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

from gipi.engine.compiled import Compiled
from gipi.engine.kept import SIZES, Speed, keep, load, read_note, write_note
from gipi.engine.place import Place
from gipi.errors import GipiWarning, RunError
from gipi.runs import claim

PAYS_S = 10.0  # seconds of PyTorch's work for which compiling, which takes a few, is worth it
SAMPLE = 8  # images by which they are estimated
FEW = 32  # images, for which nothing is compiled
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
    runtime: type[Compiled]

    def get(self, count: int) -> Compiled | None:
        """The net compiled, if that saves time for `count` images; else None. Warns if a conversion fails."""
        if self.place.device.type != "cpu" or not self.runtime.installed():
            return None
        for folder in self.folders:
            if (note := read_note(folder, self.name, self.runtime)) and (speed := note.speeds.get(self._way)):
                if not speed.pays(count):
                    return None
                if compiled := load(self.net, folder, note, self.place.dtype, self.runtime):
                    compiled.gain = speed.gain(count)
                    return compiled
        if count < FEW or not self._is_work(count):
            return None
        for folder in self.folders:
            with suppress(RunError), claim(folder) as mine:  # where a folder cannot be written, the next one is tried
                return self._make(folder, count) if mine else None  # else another process is at it
        return None

    def _is_work(self, count: int) -> bool:
        """Whether PyTorch needs more than `PAYS_S` for so many images; a first call, which is slow, may tell that it does not."""
        return all(count * _timed(self._pytorch, self._images(some)) / some > PAYS_S for some in (1, SAMPLE))

    def _make(self, folder: Path, count: int) -> Compiled | None:
        start, old = time.perf_counter(), read_note(folder, self.name, self.runtime)
        try:
            self.runtime.package()
            imported_s = time.perf_counter() - start
            note = keep(self.net, self.name, self.image, folder, self.runtime)
            kept = time.perf_counter()
            if not (compiled := load(self.net, folder, note, self.place.dtype, self.runtime)):
                raise OSError(f"what was written to {folder} cannot be read")
            speed = self._measure(compiled, imported_s + time.perf_counter() - kept)
            others = old.speeds if old and old.digest == note.digest else {}
            write_note(folder, replace(note, speeds={**others, self._way: speed}))
        except Exception as error:  # a runtime raises what it likes, and PyTorch can always answer
            said = str(error).partition("\n")[0]
            warnings.warn(GipiWarning(f"{self.runtime.NAME} cannot take over this net: {said}"), stacklevel=2)
            return None
        compiled.gain = speed.gain(count)
        LOG.info("compiled and measured in %.1f s, kept in %s: %s", time.perf_counter() - start, folder, compiled)
        return compiled if compiled.gain > 1 else None

    def _measure(self, compiled: Run, load_s: float) -> Speed:
        most = max(2, int(1 / _seconds(self._pytorch, self._images(1))))  # images at once, for which PyTorch needs a second
        parts = [self._images(min(size, most)) for size in SIZES]
        pytorch, runtime = ([_seconds(run, part) / len(part) for part in parts] for run in (self._pytorch, compiled))
        return Speed(tuple(pytorch), tuple(runtime), load_s)

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
