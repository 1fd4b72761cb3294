"""The classes of a set of masks: their names, the numbers and the colours by which masks name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gipi.data.entry import listed
from gipi.data.masks import Colour
from gipi.errors import DataError
from gipi.ops.segmentation import VOID

LIST = "classes.txt"
HIGHEST = 65535  # of 16 bits, the number of a class
FORMS = "a class a line: NAME, or NAME RED GREEN BLUE, or NUMBER NAME RED GREEN BLUE"
VOID_NAMES = ("void", "unlabelled", "unlabeled", "ignore")
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def palette_colour(number: int) -> Colour:
    """The colour of a class by the palette of PASCAL VOC: the bits of its number dealt out to red, green and blue.

    Bit 3 * i + c of the number is bit 7 - i of channel c, as in `VOClabelcolormap` of the VOC2012 development kit. 0 is black.
    """
    red, green, blue = (sum((number >> 3 * i + c & 1) << 7 - i for i in range(8)) for c in range(3))
    return red, green, blue


@dataclass(frozen=True)
class Legend:
    """classes, colours: of the masks as gipi has them, class 0 first.

    numbers: number in an index mask -> class, or VOID.  paints: colour in a colour mask -> class, or VOID; empty: such masks are
    not allowed, for nothing tells what their colours mean.
    """

    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    numbers: Mapping[int, int]
    paints: Mapping[Colour, int]


def voc_legend() -> Legend:
    """Background and the 20 classes of PASCAL VOC; 255, or the colour it has in the palette, is void."""
    colours = tuple(palette_colour(number) for number in range(len(VOC)))
    numbers = {number: number for number in (*range(len(VOC)), VOID)}
    paints = {palette_colour(number): number for number in numbers}
    return Legend(VOC, colours, numbers, paints)


class _Line(NamedTuple):
    number: int | None
    name: str
    colour: Colour | None


def read_legend(path: Path) -> Legend:
    """The classes that a text file lists, one a line, in any of `FORMS`; all lines must have the same.

    A class without a number has that of its line, from 0 on. A line named as in `VOID_NAMES` is no class: its number and its
    colour mean void; so does the number 255, unless the list gives it to a class. Classes without colours get those of
    `palette_colour`.
    Raises DataError, naming the lines, if the file cannot be read, lists fewer than two classes or more than 255, or if two lines
    have the same name, number or colour.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text in UTF-8: {error}") from error
    lines = [_line(line.split()) for line in text.splitlines() if line.strip()]
    if faults := _faults(lines):
        raise DataError(f"{path}, the list of classes, is wrong: {listed(faults, '; ')}; allowed is {FORMS}")
    classes, numbers, paints = list[_Line](), {VOID: VOID}, dict[Colour, int]()
    for place, line in enumerate(lines):
        number = VOID if line.name.lower() in VOID_NAMES else len(classes)
        numbers[place if line.number is None else line.number] = number
        if line.colour:
            paints[line.colour] = number
        if number != VOID:
            classes.append(line)
    colours = tuple(line.colour or palette_colour(number) for number, line in enumerate(classes))
    return Legend(tuple(line.name for line in classes), colours, numbers, paints)


def _line(words: Sequence[str]) -> _Line:
    colour, number = None, None
    if len(words) > 3 and all(word.isdecimal() for word in words[-3:]):
        red, green, blue = (int(word) for word in words[-3:])
        words, colour = words[:-3], (red, green, blue)
    if len(words) > 1 and words[0].isdecimal():
        number, words = int(words[0]), words[1:]
    return _Line(number, " ".join(words), colour)


def _faults(lines: Sequence[_Line]) -> list[str]:
    """What is wrong with the list; lines are counted from 1, without the empty ones."""
    faults = list[str]()
    for what in ("number", "name", "colour"):
        seen = dict[object, int]()
        values = [getattr(line, what) for line in lines]
        for place, value in enumerate(values, 1):
            if (value is None) != (values[0] is None):
                faults.append(f"line {place} {'has no' if value is None else 'has a'} {what}, unlike line 1")
            elif value is not None and seen.setdefault(value, place) != place:
                faults.append(f"lines {seen[value]} and {place} have the same {what}, {value}")
    for place, line in enumerate(lines, 1):
        if line.number and line.number > HIGHEST:
            faults.append(f"line {place} has number {line.number}: allowed are 0 to {HIGHEST}")
        if line.colour and max(line.colour) > 255:
            faults.append(f"line {place} has colour {line.colour}: allowed are 0 to 255")
    classes = sum(line.name.lower() not in VOID_NAMES for line in lines)
    if not 2 <= classes <= VOID:
        faults.append(f"it lists {classes} classes without void: allowed are 2 to {VOID}")
    return faults
