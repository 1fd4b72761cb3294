"""Pairs of an image and the file that belongs to it, by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gipi.data.entry import SPLITS, SUFFIXES, Entry, is_text, visible
from gipi.errors import DataError


class Search(NamedTuple):
    """What is found below `root` while looking. The entries are the images that have a partner, all of label 0.

    partners: the partner of each of them, by the image's name.  faults: sentences on files that have none, or more than one.
    left_out: what is not used, and why.  what, suffix: what a partner is, "mask" or "annotation", and how its file's name ends.
    """

    root: Path
    entries: list[Entry]
    partners: dict[str, Path]
    faults: list[str]
    left_out: list[str]
    what: str
    suffix: str

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def files(self, folder: Path, suffixes: Collection[str] = tuple(SUFFIXES)) -> dict[str, Path]:
        """Those of these suffixes that lie in a folder, by their stems; what else lies there is left out."""
        found: dict[str, Path] = {}
        for item in sorted(item for item in folder.iterdir() if visible(item.name)) if folder.is_dir() else ():
            if not item.is_file() or item.suffix.lower() not in suffixes:
                self.left_out.append(f"{self.name(item)}: no {'picture' if len(suffixes) > 1 else self.what} by its name")
            elif not is_text(item.name):
                raise DataError(f"{folder} holds {item.name!r}, a name that is no text in UTF-8: rename it")
            elif item.stem in found:
                self.faults.append(f"{self.name(item)}: {found[item.stem].name} has the same stem; rename or remove one")
            else:
                found[item.stem] = item
        return found

    def match(
        self, images: Mapping[str, Path], partners: Mapping[str, Path], split: str, stems: Iterable[str], where: str
    ) -> None:
        """Take the pairs of those stems. where: the folder of the partners, to be said of an image that has none."""
        for stem in stems:
            if stem in images and stem in partners:
                entry = Entry(images[stem], 0, split, self.name(images[stem]))
                self.entries.append(entry)
                self.partners[entry.name] = partners[stem]
            elif stem in images:
                missing = f"no {self.what} {where}/{stem}{self.suffix}"
                self.faults.append(f"{self.name(images[stem])}: {missing}; add it or remove the image")
            elif stem in partners:
                self.faults.append(f"{self.name(partners[stem])}: no image of this name; add it or remove the {self.what}")
            else:
                neither = f"listed for {split}, but neither image nor {self.what} is there"
                self.faults.append(f"{stem}: {neither}; take it off the list")

    def match_lists(self, images: Mapping[str, Path], partners: Mapping[str, Path], lists: Path, where: str) -> bool:
        """Take the pairs whose stems train.txt, val.txt and test.txt in the folder `lists` name; whether there is such a list.

        A test list of which no partner is there is left out: VOC keeps them.
        """
        files = {name: lists / f"{name}.txt" for name in SPLITS}
        there = {name: _names(file) for name, file in files.items() if file.is_file()}
        for name, names in there.items():
            if name == "test" and not any(stem in partners for stem in names):
                self.left_out.append(f"{self.name(files[name])}: none of its {self.what}s is there")
            else:
                self.match(images, partners, SPLITS[name], names, where)
        return bool(there)


def _names(file: Path) -> Sequence[str]:
    try:
        return file.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text in UTF-8: {error}") from error
