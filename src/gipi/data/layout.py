"""Labelled pictures in folders, one a class, or listed in a CSV file."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from gipi.data.entry import SPLITS, SUFFIXES, Entry, Found, is_text, listed, visible
from gipi.errors import DataError, nearest

COLUMNS = ("path", "label", "split")


class Row(NamedTuple):
    """A picture with the name of its class."""

    name: str
    path: Path
    label: str
    split: str


def in_folders(root: Path) -> Found:
    """The pictures in class folders of `root`, or of its folders train, val (valid, validation) and test.

    What is below a class folder belongs to the class. Hidden files and those of systems are passed over. Left out are other files
    there that are no pictures by their name, links to folders, and pictures that lie in no class folder.
    Raises DataError if there are no such folders; OSError for what cannot be read.
    """
    left_out: list[str] = []
    classes: set[str] = set()
    rows: list[Row] = []
    for folder, split in _parts(root, left_out).items():
        folders, files, _ = _content(folder)
        loose = [file for file in files if file.suffix.lower() in SUFFIXES]
        if not folders:
            what = "has pictures, but no class folders" if loose else "has no class folders" if files else "is empty"
            mend = f"put the pictures of each class into a folder of its name, such as {folder / 'cat'} and {folder / 'dog'}"
            raise DataError(f"{folder} {what}: {mend}, or list them in a CSV file with the columns path,label")
        left_out += [f"{_name(file, root)}: lies in no class folder" for file in loose]
        classes.update(label.name for label in folders)
        for label in folders:
            rows += [Row(_name(file, root), file, label.name, split) for file in _pictures(label, root, left_out)]
    return _found(root, classes, rows, left_out)


def _parts(root: Path, left_out: list[str]) -> dict[Path, str]:
    """The folders in which class folders lie, and the split of each. One called "train" alone among others is a class."""
    folders = _content(root)[0]
    splits = {folder: SPLITS.get(folder.name.lower(), "") for folder in folders}
    named = Counter(split for split in splits.values() if split)
    if not folders or not (named.total() == len(folders) or ("train" in named and len(named) > 1)):
        return {root: ""}
    if "train" not in named or max(named.values()) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise DataError(f"{root} has the folders {names}: allowed are train and, once each, val (valid, validation) and test")
    left_out += [f"{folder.name}: stands beside train, and is neither val nor test" for folder in folders if not splits[folder]]
    return {folder: split for folder, split in splits.items() if split}


def _pictures(label: Path, root: Path, left_out: list[str]) -> list[Path]:
    """All pictures below a class folder."""
    found, waiting = [], [label]
    while waiting:
        folders, files, others = _content(waiting.pop())
        for folder in folders:
            (others if folder.is_symlink() else waiting).append(folder)
        found += [file for file in files if file.suffix.lower() in SUFFIXES]
        left_out += [f"{_name(file, root)}: no picture by its name" for file in files if file.suffix.lower() not in SUFFIXES]
        left_out += [f"{_name(other, root)}: a link to a folder, or no file" for other in others]
    return found


def _content(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """(folders, files, what is neither) in a folder, without what is hidden or a system's. Raises DataError for odd names."""
    with os.scandir(folder) as items:
        shown = [(item.is_dir(), item.is_file(), folder / item.name) for item in items if visible(item.name)]
    for *_, path in shown:
        if not is_text(path.name):
            raise DataError(f"{folder} holds {path.name!r}, a name that is no text in UTF-8: rename it")
    shown.sort(key=lambda item: item[2].name)
    return [p for d, _, p in shown if d], [p for _, f, p in shown if f], [p for d, f, p in shown if not d and not f]


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def in_csv(table: Path) -> Found:
    """The pictures in a CSV file of the columns path, seen from the file's folder, label and, where there are splits, split.

    Raises DataError, with the numbers of the faulty lines, for another header, an empty label, a file that is not there or is
    listed twice, and a split that is none; OSError for what cannot be read.
    """
    rows: dict[str, Row] = {}
    faults: list[str] = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            header = list(reader.fieldnames or ())
            if not {"path", "label"} <= set(header) <= set(COLUMNS) or len(set(header)) < len(header):
                got = ",".join(header) or "nothing"
                raise DataError(f"{table} must begin with the line path,label or path,label,split; it begins with {got[:100]}")
            for line in reader:
                if None in line or None in line.values():
                    faults.append(f"line {reader.line_num}: must have {len(header)} fields")
                    continue
                path, label = Path(line["path"].strip()), line["label"].strip()
                split = SPLITS.get(line["split"].strip().lower()) if "split" in header else ""
                row = Row(path.as_posix(), table.parent / path, label, split or "")
                if not label:
                    faults.append(f"line {reader.line_num}: its label is empty")
                elif split is None:
                    faults.append(f"line {reader.line_num}: no split {line['split']!r}{nearest(line['split'], SPLITS)}")
                elif row.name in rows:
                    faults.append(f"line {reader.line_num}: {row.name} is listed before")
                elif not row.path.is_file():
                    faults.append(f"line {reader.line_num}: {row.path} is no file")
                else:
                    rows[row.name] = row
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{table} is no CSV file in UTF-8: {error}") from error
    if faults:
        raise DataError(f"{table} has faulty lines, {len(faults):,} in all:\n  " + listed(faults, "\n  "))
    return _found(table, {row.label for row in rows.values()}, list(rows.values()), [])


def _found(path: Path, classes: set[str], rows: list[Row], left_out: list[str]) -> Found:
    names = tuple(sorted(classes))
    places = {name: place for place, name in enumerate(names)}
    entries = tuple(Entry(row.path, places[row.label], row.split, row.name) for row in sorted(rows))
    return Found(path, names, entries, tuple(left_out))
