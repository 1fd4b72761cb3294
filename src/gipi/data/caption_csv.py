"""Captions listed in a CSV file: a line for each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gipi.data.caption_files import CaptionFiles, Listing, finder, image_folders
from gipi.data.entry import SPLITS
from gipi.errors import DataError, nearest

COLUMNS = ("image", "caption")
ALIASES = {"path": "image", "file": "image", "filename": "image", "text": "caption"}
FORM = f"the columns {','.join(COLUMNS)} (or {','.join(ALIASES)}), and where there are splits split"


def is_caption_csv(path: Path) -> bool:
    """Whether it is a CSV file of captions: whether its first line names both columns."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return {*COLUMNS} <= {*_header(next(csv.reader(file), []))}


def _header(cells: Sequence[str]) -> list[str]:
    """What the columns are."""
    names = [cell.strip().lower() for cell in cells]
    return [ALIASES.get(name, name) for name in names]


def in_csv(table: Path) -> CaptionFiles:
    """The images of a CSV file of captions, in the order in which they are listed first.

    They lie in one of `FOLDERS` beside the file. Raises DataError for a file that is no such table.
    """
    listing = Listing(table.parent)
    read_csv(table, listing, finder(image_folders(table.parent)))
    return listing.files(table)


def read_csv(table: Path, listing: Listing, find: Callable[[str], Path]) -> None:
    """Add the lines of a table to a listing. find: where an image of a name lies.

    Blank lines are passed over. Raises DataError if it is no CSV file in UTF-8, or has not the columns image and caption.
    """
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = _header(first := next(reader, []))
            if not {*COLUMNS} <= {*header} <= {*COLUMNS, "split"} or len({*header}) < len(header):
                raise DataError(f"{table} must have {FORM}; it begins with {','.join(first)[:100] or 'nothing'}")
            for cells in filter(None, reader):
                where, row = f"{table.name}, line {reader.line_num}", dict(zip(header, map(str.strip, cells), strict=False))
                if fault := _fault(row, len(cells), len(header)):
                    listing.faults.append(f"{where}: {fault}")
                    continue
                listing.add(where, image := find(row["image"]), row["caption"])
                if "split" in row:
                    listing.divide(where, image, SPLITS[row["split"].lower()])
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{table} is no CSV file in UTF-8, line {reader.line_num}: {error}") from error


def _fault(row: Mapping[str, str], count: int, wanted: int) -> str:
    """What is wrong with a line of `count` fields; "" if nothing is."""
    if count != wanted:
        mend = "; put quotes around a caption with commas" if count > wanted else ""
        return f"must have {wanted} fields, it has {count}{mend}"
    if not row["image"]:
        return "names no image"
    if "split" in row and row["split"].lower() not in SPLITS:
        return f"no split {row['split']!r}{nearest(row['split'], SPLITS)}"
    return ""
