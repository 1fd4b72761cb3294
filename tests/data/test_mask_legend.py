"""The list of classes in all its forms, and the palette."""

from __future__ import annotations

from pathlib import Path

import pytest

from gipi.data.mask_legend import VOC, palette_colour, read_legend, voc_legend
from gipi.errors import DataError
from gipi.ops.segmentation import VOID

# As the VOC2012 development kit prints them, classes 0 to 20.
PALETTE = [
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128), (64, 0, 0),
    (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128), (64, 128, 128), (192, 128, 128), (0, 64, 0),
    (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
]  # fmt: skip


def legend(folder: Path, text: str | bytes):
    path = folder / "classes.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_legend(path)


def test_the_palette_is_that_of_voc() -> None:
    assert [palette_colour(number) for number in range(21)] == PALETTE
    assert palette_colour(VOID) == (224, 224, 192)
    assert len({palette_colour(number) for number in range(256)}) == 256


def test_voc_knows_its_classes() -> None:
    known = voc_legend()
    assert (known.classes, list(known.colours), len(VOC)) == (VOC, PALETTE, 21)
    assert known.numbers == {**{number: number for number in range(21)}, VOID: VOID}
    assert known.paints[192, 128, 128] == VOC.index("person")
    assert known.paints[224, 224, 192] == VOID


def test_names_alone(tmp_path: Path) -> None:
    found = legend(tmp_path, "\ufeffsky\r\n\r\n traffic  light\nroad\n")
    assert found.classes == ("sky", "traffic light", "road")
    assert list(found.colours) == PALETTE[:3]
    assert (found.numbers, found.paints) == ({0: 0, 1: 1, 2: 2, 255: VOID}, {})


def test_a_void_line_is_no_class_and_its_place_means_void(tmp_path: Path) -> None:
    found = legend(tmp_path, "Void\nsky\nroad\nIgnore\n")
    assert (found.classes, list(found.colours)) == (("sky", "road"), PALETTE[:2])
    assert found.numbers == {0: VOID, 1: 0, 2: 1, 3: VOID, 255: VOID}


def test_names_with_colours(tmp_path: Path) -> None:
    found = legend(tmp_path, "unlabeled 0 0 0\nsky 70 130 180\ntraffic light 250 170 30\n")
    assert (found.classes, found.colours) == (("sky", "traffic light"), ((70, 130, 180), (250, 170, 30)))
    assert found.paints == {(0, 0, 0): VOID, (70, 130, 180): 0, (250, 170, 30): 1}
    assert found.numbers == {0: VOID, 1: 0, 2: 1, 255: VOID}


def test_numbers_names_and_colours(tmp_path: Path) -> None:
    found = legend(tmp_path, "7 road 128 64 128\n300 Unlabelled 0 0 0\n24 person 220 20 60\n")
    assert found.classes == ("road", "person")
    assert found.numbers == {7: 0, 300: VOID, 24: 1, 255: VOID}


def test_a_list_may_take_255_for_a_class(tmp_path: Path) -> None:
    assert legend(tmp_path, "0 ground\n255 thing\n").numbers == {0: 0, 255: 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it lists 0 classes without void: allowed are 2 to 255"),
        ("sky\nvoid\n", "it lists 1 classes without void"),
        ("\n".join(f"c{number}" for number in range(256)), "it lists 256 classes"),
        ("sky\nroad\nsky\n", "lines 1 and 3 have the same name, sky"),
        ("sky 1 2 3\nroad 1 2 3\n", r"lines 1 and 2 have the same colour, \(1, 2, 3\)"),
        ("4 sky\n4 road\n", "lines 1 and 2 have the same number, 4"),
        ("sky 1 2 3\nroad\n", "line 2 has no colour, unlike line 1"),
        ("sky\nroad 1 2 3\n", "line 2 has a colour, unlike line 1"),
        ("0 sky\nroad\n", "line 2 has no number, unlike line 1"),
        ("sky 1 2 256\nroad 1 2 3\n", r"line 1 has colour \(1, 2, 256\): allowed are 0 to 255"),
        ("0 sky\n65536 road\n", "line 2 has number 65536: allowed are 0 to 65535"),
        (b"sk\xff\nroad\n", "cannot be read as text in UTF-8"),
    ],
)
def test_a_list_that_is_wrong_is_told_by_its_lines(text: str | bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"classes.txt.*{says}"):
        legend(tmp_path, text)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.txt cannot be read"):
        read_legend(tmp_path / "none.txt")
