"""Boxes in the layout of PASCAL VOC: an XML file for each image."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from gipi.data.box_files import BoxFiles, Note, box_note
from gipi.data.entry import Found
from gipi.data.faults import Fault
from gipi.data.search import Search

IMAGES, ANNOTATIONS = "JPEGImages", "Annotations"
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def in_voc(root: Path) -> BoxFiles:
    """The images in JPEGImages/ that have a file in Annotations/, of the splits that ImageSets/Main/ lists, or of none.

    The classes are the sorted names in those files.
    """
    search = Search(root, [], {}, [], [], "annotation", ".xml")
    images, annotations = search.files(root / IMAGES), search.files(root / ANNOTATIONS, (".xml",))
    if not search.match_lists(images, annotations, root / "ImageSets" / "Main", ANNOTATIONS):
        search.match(images, annotations, "", sorted({*images, *annotations}), ANNOTATIONS)
    notes = {name: voc_note(file, search.name(file)) for name, file in search.partners.items()}
    words = {word for note in notes.values() if isinstance(note, Note) for word in note.words}
    found = Found(root, tuple(sorted(words - {""})), tuple(search.entries), tuple(search.left_out))
    return BoxFiles(found, notes, tuple(search.faults), "xyxy")


def voc_note(file: Path, name: str) -> Note | Fault:
    """What an XML file says of its image.

    VOC counts pixels from 1 and names the last one inside, so xmin and ymin are lowered by 1 to become edges; xmax, too, where it
    is not above xmin: tools write such a box, which is of no size, for a mere click.
    """
    try:
        return _note(_tree(file.read_bytes()), name)
    except OSError as error:
        return Fault("unreadable", name, f"cannot be read: {error.strerror}")
    except (expat.ExpatError, LookupError, UnicodeError) as error:
        return Fault("unreadable", name, f"is no XML: {error}")
    except ValueError as error:
        return Fault("unreadable", name, str(error))


def _note(root: Element, name: str) -> Note:
    if root.tag != "annotation":
        raise ValueError(f"begins with <{root.tag}>, where VOC's files begin with <annotation>")
    boxes, words, difficult = list[tuple[float, ...]](), list[str](), list[bool]()
    for number, thing in enumerate(root.iter("object"), 1):
        x0, y0, x1, y1 = (_number(thing.findtext(f"bndbox/{corner}"), f"{corner} of object {number}") for corner in CORNERS)
        boxes.append((x0 - 1, y0 - 1, x1 - (x1 <= x0), y1 - (y1 <= y0)))
        words.append((thing.findtext("name") or "").strip())
        difficult.append((thing.findtext("difficult") or "").strip() == "1")
    height, width = (int(_number(root.findtext(f"size/{side}") or "0", side)) for side in ("height", "width"))
    return box_note(name, (height, width) if height > 0 and width > 0 else None, boxes, words, difficult)


def _number(text: str | None, what: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"has no number for {what}: {text!r}")
    return number


def _tree(data: bytes) -> Element:
    """The elements of an XML file, of one without a DOCTYPE only: so nothing in it can name other files or grow without end."""
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, _refuse
    parser.Parse(data, True)
    return builder.close()


def _refuse(*_: object) -> None:
    raise ValueError("has a DOCTYPE, which may name other files: take it out")
