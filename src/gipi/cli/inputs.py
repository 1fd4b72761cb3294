"""The files that `gipi predict` reads, and those that it writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gipi.errors import ConfigError, DataError

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm")


def is_video(file: Path) -> bool:
    return file.suffix.lower() in VIDEOS


def inputs(words: Sequence[str]) -> Iterator[Path]:
    """The files that are named, and all pictures in the folders that are, sorted; not those in folders within."""
    for path in map(Path, words):
        if not path.is_dir():
            yield path
            continue
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith("."))
        if not found:
            raise DataError(f"{path} holds neither a model.safetensors nor pictures ({', '.join(PICTURES)})")
        yield from found


def outputs(files: Sequence[Path], folder: Path, endings: Iterable[str]) -> dict[Path, tuple[Path, ...]]:
    """Where what is drawn of each picture goes: its name with each of the endings, as PNG.

    Raises ConfigError before any would take the place of another file.
    """
    outs = {file: tuple(folder / f"{file.stem}{ending}.png" for ending in endings) for file in files}
    inputs, taken = {_key(file) for file in files}, dict[str, Path]()
    for file, paths in outs.items():
        for path in paths:
            if _key(path) in inputs:
                raise ConfigError(f"what is drawn of {file} would overwrite the picture {path}: choose another folder with --out")
            if taken.setdefault(_key(path), file) is not file:
                both = f"{taken[_key(path)]} and {file}"
                raise ConfigError(f"{both} would both be drawn to {path}: read them one by one, with two folders as --out")
    return outs


def _key(path: Path) -> str:
    """The same for names that some file systems take for one."""
    return str(path.resolve()).casefold()
