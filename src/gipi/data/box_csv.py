"""Boxes listed in a CSV file: a line for each."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gipi.data.box_files import BoxFiles, box_note
from gipi.data.entry import SPLITS, Entry, Found, listed
from gipi.errors import DataError, nearest

COLUMNS = ("path", "x0", "y0", "x1", "y1", "class")  # of a file without header, in this order
OTHERS = ("split", "width", "height")
ALIASES = {
    "filename": "path", "file": "path", "image": "path", "label": "class", "name": "class",
    "xmin": "x0", "ymin": "y0", "xmax": "x1", "ymax": "y1",
}  # fmt: skip
CORNERS = COLUMNS[1:5]
FORM = f"the columns {','.join(COLUMNS)} (or {','.join(ALIASES)}), and where they are known {', '.join(OTHERS)}"


def is_box_csv(path: Path) -> bool:
    """Whether it is a CSV file of boxes by its first line: a header that names corners, or six fields, four of them numbers."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        first = next(csv.reader(file), [])
    return bool({*_header(first)} & {*CORNERS}) or _is_row(first)


def _header(cells: Sequence[str]) -> list[str]:
    """What the columns are."""
    names = [cell.strip().lower() for cell in cells]
    return [ALIASES.get(name, name) for name in names]


def _is_row(cells: Sequence[str]) -> bool:
    return len(cells) == len(COLUMNS) and all(not cell.strip() or _number(cell) is not None for cell in cells[1:5])


def _number(text: str) -> float | None:
    """The finite number that is written, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


class _Image:
    """An image while its lines are gathered."""

    def __init__(self, split: str, stated: tuple[int, int] | None) -> None:
        self.split, self.stated = split, stated
        self.boxes, self.words = list[tuple[float, ...]](), list[str]()


def in_csv(table: Path) -> BoxFiles:
    """The images of a CSV file of boxes, in the order in which they are listed first. Paths are seen from the file's folder.

    Without a header the columns are `COLUMNS`. Of an image without boxes the four numbers and the class are empty. The classes
    are the sorted names. Raises DataError, with the numbers of the faulty lines, for what is not so.
    """
    images: dict[str, _Image] = {}
    faults: list[str] = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            first = next(reader, [])
            header = list(COLUMNS) if _is_row(first) else _header(first)
            if not {*COLUMNS} <= {*header} <= {*COLUMNS, *OTHERS} or len({*header}) < len(header):
                raise DataError(f"{table} must have {FORM}; it begins with {','.join(first)[:100] or 'nothing'}")
            rows = [(1, first)] if _is_row(first) else []
            for cells in (*rows, *((reader.line_num, cells) for cells in reader if cells)):
                if fault := _take(
                    dict(zip(header, map(str.strip, cells[1]), strict=False)), len(cells[1]) == len(header), images
                ):
                    faults.append(f"line {cells[0]}: {fault}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{table} is no CSV file in UTF-8: {error}") from error
    if faults:
        raise DataError(f"{table} has faulty lines, {len(faults):,} in all:\n  " + listed(faults, "\n  "))
    there = {name: image for name, image in images.items() if (table.parent / name).is_file()}
    entries = tuple(Entry(table.parent / name, 0, image.split, name) for name, image in there.items())
    notes = {name: box_note(table.name, image.stated, image.boxes, image.words) for name, image in there.items()}
    missing = tuple(
        f"{name}: listed in {table.name}, but not there; add it or take it off the list" for name in images if name not in there
    )
    classes = sorted({word for image in there.values() for word in image.words})
    return BoxFiles(Found(table, tuple(classes), entries), notes, missing, "xyxy")


def _take(row: Mapping[str, str], whole: bool, images: dict[str, _Image]) -> str:
    """Add a line to the images; what is wrong with it, or ""."""
    if not whole:
        return "must have as many fields as the first line"
    name, split = Path(row["path"]).as_posix(), SPLITS.get(row["split"].lower()) if "split" in row else ""
    if not row["path"]:
        return "its path is empty"
    if split is None:
        return f"no split {row['split']!r}{nearest(row['split'], SPLITS)}"
    sides = [_number(row.get(side) or "0") for side in ("height", "width")]
    if None in sides:
        return "its width or height is no number"
    height, width = (int(side or 0) for side in sides)
    image = images.setdefault(name, _Image(split, (height, width) if height > 0 and width > 0 else None))
    if image.split != split:
        return f"{name} is listed before for {image.split}"
    if not any(row[column] for column in (*CORNERS, "class")):
        return ""  # an image without boxes
    numbers = [number for number in (_number(row[corner]) for corner in CORNERS) if number is not None]
    if len(numbers) < 4 or not row["class"]:
        return "must have 4 numbers and a class, or, of an image without boxes, none of them"
    image.boxes.append(tuple(numbers))
    image.words.append(row["class"])
    return ""
