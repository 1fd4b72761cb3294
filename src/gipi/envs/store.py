"""Arrays that are too large for a saved state: in memory, or in the files of a folder, mapped into it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gipi.errors import ConfigError, RunError


class Store:
    """shapes: of each array by name, with its number format.  arrays: zeros at first; none before `open` or `fill`.

    found: whether `open` has found what was kept earlier on.
    """

    def __init__(self, shapes: Mapping[str, tuple[tuple[int, ...], Any]]) -> None:
        self._shapes, self._maps = shapes, dict[str, np.memmap]()
        self.arrays, self.found = dict[str, np.ndarray](), False

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def bytes(self) -> int:
        return sum(map(self._size, self._shapes))

    def fill(self) -> None:
        """Take memory, unless there is something already."""
        if not self.arrays:
            self.arrays = {name: np.zeros(*kind) for name, kind in self._shapes.items()}

    def open(self, folder: Path) -> None:
        """Take what files of that folder hold, or make them, in place of memory; `arrays` are others from here on.

        Raises ConfigError if the disk has no room for them, RunError if the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            there = sum(file.stat().st_blocks * 512 for file in folder.iterdir())
            if (room := shutil.disk_usage(folder).free + there) < self.bytes:
                raise ConfigError(
                    f"{folder} has room for {room / 1e9:.1f} GB, but the replay takes {self.bytes / 1e9:.1f}: "
                    "lower --act.replay, or choose another disk with --out"
                )
            files = {name: folder / f"{name}.bin" for name in self._shapes}
            self.found = all(path.exists() and path.stat().st_size == self._size(name) for name, path in files.items())
            mode = "r+" if self.found else "w+"
            self._maps = {name: np.memmap(files[name], kind, mode, shape=shape) for name, (shape, kind) in self._shapes.items()}
        except (OSError, ValueError) as error:
            raise RunError(f"cannot keep the replay in {folder}: {error}") from error
        self.arrays = {name: np.asarray(array) for name, array in self._maps.items()}

    def _size(self, name: str) -> int:
        shape, kind = self._shapes[name]
        return int(np.prod(shape)) * np.dtype(kind).itemsize

    def state_dict(self) -> dict[str, Any]:
        """Nothing if it lies in files, which are on disk then; else all."""
        for array in self._maps.values():
            array.flush()
        return {} if self._maps else {name: torch.from_numpy(array.copy()) for name, array in self.arrays.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.fill()
        for name, kept in state.items():
            self.arrays[name][...] = kept.numpy()
