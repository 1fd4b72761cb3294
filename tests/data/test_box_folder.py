"""Images with boxes as a data set: brought to one size, cleaned, and refused where they are wrong; BCCD where it is at hand."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi import catalog
from gipi.data.box_files import Note, Pair, box_note
from gipi.data.box_folder import bccd, box_folder
from gipi.data.box_layout import find_boxes
from gipi.data.box_read import Raw, beyond, cleaned, empty, mistake, outside, read, repeated
from gipi.data.boxes import NO_BOX, BoxSet
from gipi.data.entry import Entry
from gipi.data.faults import Fault
from gipi.errors import ConfigError, DataError, GipiWarning
from gipi.ops.image import open_image, scale
from oracle.box_folders import Box, boxes, coco, table, voc, xml
from oracle.photos import photo

REAL = Path(os.environ.get("GIPI_DATA", "")) / "bccd" / "BCCD"
MADE = {**boxes("abcd"), "e": list[Box]()}
PARTS = {"train": "abe", "val": "c", "test": "d"}
SIZE = (30, 40)


def held(data: BoxSet, image: int) -> list[tuple]:
    """Class and box of those that an image has."""
    rows = zip(data.labels[image].tolist(), data.boxes[image].tolist(), strict=True)
    return [(data.classes[label], *box) for label, box in rows if label != NO_BOX]


def raw(written: list[tuple[float, ...]], labels: list[int], difficult: list[bool] | None = None) -> Raw:
    note = box_note("note.xml", SIZE, written, ["cat"] * len(written), difficult)
    return Raw("a.png", np.zeros((*SIZE, 3), np.uint8), note, np.array(labels))


# Cleaning

WRITTEN = [(1.0, 2.0, 3.0, 4.0), (5.0, 5.0, 5.0, 9.0), (9.0, 5.0, 6.0, 8.0), (40.0, 0.0, 50.0, 9.0), (-3.0, 25.0, 9.0, 31.0),
           (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.0), (-1.0, -1.0, 8.0, 8.0), (5.0, 5.0, 5.0, 9.0)]  # fmt: skip
LABELS = [0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_each_kind_of_wrong_box_is_seen() -> None:
    wrong, labels = np.array(WRITTEN), np.array(LABELS)
    assert empty(wrong).nonzero()[0].tolist() == [1, 2, 8]
    assert outside(wrong, SIZE).nonzero()[0].tolist() == [3]
    assert beyond(wrong, SIZE).nonzero()[0].tolist() == [4], "one pixel is what counting from 0 makes"
    assert repeated(wrong, labels).nonzero()[0].tolist() == [6, 8]


def test_what_is_left_to_learn_from() -> None:
    got = cleaned(raw(WRITTEN, LABELS, [number == 4 for number in range(9)]))
    assert got.boxes.tolist() == [[1, 2, 3, 4], [0, 25, 9, 30], [1, 2, 3, 4], [0, 0, 8, 8]]
    assert (got.labels.tolist(), got.ignored.tolist()) == ([0, 0, 1, 0], [False, True, False, False])
    assert got.dropped == {"without a size": 3, "outside of their image": 1, "twice in their image": 1}
    assert cleaned(raw([], [])).boxes.shape == (0, 4)


SIDE = st.floats(-60, 90, width=32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), max_size=6))
def test_what_is_left_is_inside_and_has_a_size(written: list[tuple[float, ...]]) -> None:
    got = cleaned(raw(written, [0] * len(written)))
    assert len(got.boxes) + got.dropped.total() == len(written)
    for x0, y0, x1, y1 in got.boxes.tolist():
        assert 0 <= x0 < x1 <= 40
        assert 0 <= y0 < y1 <= 30
    seen = [
        box
        for box in dict.fromkeys(written)
        if min(box[2], 40) - max(box[0], 0) > 0.02 and min(box[3], 30) - max(box[1], 0) > 0.02
    ]
    assert len(got.boxes) >= len(seen), "nothing that can be seen is lost"


def test_mistakes_that_are_not_trained_on() -> None:
    right = raw([(1, 2, 3, 4)], [0])
    assert mistake(right, ("cat",)) is None
    assert mistake(right._replace(note=right.note._replace(stated=None)), ("cat",)) is None
    unknown = mistake(right._replace(labels=np.array([-1])), ("dog",))
    assert unknown is not None
    assert (unknown.kind, unknown.values) == ("unknown", {"cat": 1})
    assert unknown.text() == "a.png has boxes of no class: 'cat' (1); allowed are dog"
    other = mistake(right._replace(note=right.note._replace(stated=(40, 30))), ("cat",))
    assert other is not None
    assert other.kind == "size"
    assert "is 40x30 pixels, but its boxes are for 30x40 as note.xml says" in other.what


def test_reading_a_pair(tmp_path: Path) -> None:
    entry, note = Entry(photo(tmp_path / "a.png", 1, (40, 30)), 0, "", "a.png"), raw([(1, 2, 3, 4)], [0]).note
    got = read(Pair(entry, note, (0,)))
    assert isinstance(got, Raw)
    assert (got.name, got.size, got.labels.tolist()) == ("a.png", SIZE, [0])
    assert np.array_equal(got.image, np.array(open_image(entry.path)))
    fault = Fault("unreadable", "a.xml", "is no XML")
    assert read(Pair(entry, fault, ())) is fault
    entry.path.write_bytes(b"broken")
    broken = read(Pair(entry, note, (0,)))
    assert isinstance(broken, Fault)
    assert (broken.kind, broken.file) == ("unreadable", "a.png")


# Folders


def test_a_folder_with_its_splits(tmp_path: Path) -> None:
    voc(tmp_path, MADE, PARTS)
    data = box_folder(tmp_path, "train")
    assert (data.name, data.split, len(data)) == (str(tmp_path), "train", 3)
    assert data.names == tuple(f"JPEGImages/{stem}.png" for stem in "abe")
    assert data.images.shape == (3, 3, *SIZE)
    assert [held(data, image) for image in range(3)] == [[(c, *map(float, b)) for c, *b in dict.fromkeys(MADE[s])] for s in "abe"]
    assert (data.sizes.tolist(), data.scales.tolist()) == ([[*SIZE]] * 3, [1, 1, 1])
    for image, stem in enumerate("abe"):
        pixels = np.array(open_image(tmp_path / "JPEGImages" / f"{stem}.png"))
        assert torch.equal(data.images[image], torch.from_numpy(pixels).permute(2, 0, 1))
    assert len(box_folder(tmp_path, "validation")) == 1
    with pytest.raises(ConfigError, match="no split 'val'"):
        box_folder(tmp_path, "val")


def test_the_same_set_from_every_layout(tmp_path: Path) -> None:
    sets = [
        box_folder(voc(tmp_path / "voc", MADE, {"train": MADE}), "train"),
        box_folder(
            coco(tmp_path / "coco" / "train" / "_annotations.coco.json", tmp_path / "coco" / "train", MADE).parents[1], "train"
        ),
        box_folder(table(tmp_path / "csv" / "boxes.csv", MADE), "train"),
    ]
    for data in sets:
        for image, name in enumerate(data.names):
            assert held(data, image) == [(c, *map(float, b)) for c, *b in dict.fromkeys(MADE[Path(name).stem])]


def test_other_sizes_are_scaled_to_fit_with_their_boxes(tmp_path: Path) -> None:
    voc(tmp_path, {stem: [("cat", 10, 6, 20, 30)] for stem in "abcdz"}, {"train": "abcd", "test": "z"})
    for stem, size in (("c", (20, 60)), ("d", (400, 300))):
        photo(tmp_path / "JPEGImages" / f"{stem}.png", 5, size)
        (tmp_path / "Annotations" / f"{stem}.xml").write_text(xml([("cat", 10, 6, 20, 30)], size))
    data = box_folder(tmp_path, "train")
    assert data.sizes.tolist() == [[30, 40], [30, 40], [30, 10], [30, 40]]
    assert data.scales.tolist() == [1, 1, 0.5, torch.tensor(0.1).item()]
    wanted = torch.tensor([[10, 6, 20, 30], [10, 6, 20, 30], [5, 3, 10, 15], [1, 0.6, 2, 3]])
    assert torch.allclose(data.boxes[:, 0], wanted, atol=1e-5)
    narrow = torch.from_numpy(np.array(open_image(tmp_path / "JPEGImages" / "c.png"))).permute(2, 0, 1)
    assert torch.equal(data.images[2, :, :, :10], scale(narrow, (30, 10)))
    assert not data.images[2, :, :, 10:].any()
    half = box_folder(tmp_path, "train", short=15)
    assert (half.images.shape[2:], half.sizes[2].tolist()) == ((15, 20), [15, 5])
    assert torch.allclose(half.boxes, data.boxes / 2, atol=1e-5)


def test_boxes_that_are_left_out_are_told(tmp_path: Path) -> None:
    voc(
        tmp_path,
        {"a": [("cat", 1, 2, 3, 4), ("dog", 5, 5, 5, 9), ("eel", 41, 5, 50, 9)], "b": [("eel", 30, 20, 50, 60)], "z": []},
        {"train": "ab", "test": "z"},
    )
    with pytest.warns(
        GipiWarning, match=r"\(train\): boxes left out: 1 without a size, 1 outside of their image; see gipi check"
    ):
        data = box_folder(tmp_path, "train")
    assert [held(data, image) for image in range(2)] == [[("cat", 1, 2, 3, 4)], [("eel", 30, 20, 40, 30)]]


def test_some_unreadable_files_are_left_out(tmp_path: Path) -> None:
    voc(tmp_path, boxes("abcdefz"), {"train": "abcdef", "test": "z"})
    (tmp_path / "JPEGImages" / "b.png").write_bytes(b"broken")
    (tmp_path / "Annotations" / "d.xml").write_text("<annotation>")
    with pytest.raises(DataError, match=r"2 of 6 images or their boxes .33.3%. cannot be read:\n  JPEGImages/b.png .*\n  Annotations/d.xml is no XML.*\nAllowed are 1.0%.*--data.broken 0.334"):  # fmt: skip
        box_folder(tmp_path, "train")
    with pytest.warns(GipiWarning, match=r"2 of 6 images or their boxes (.*\n)+they are left out"):
        data = box_folder(tmp_path, "train", broken=0.34)
    assert [Path(name).stem for name in data.names] == ["a", "c", "e", "f"]
    assert all(held(data, image) for image in range(4))


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = voc(tmp_path / "voc", boxes("ab"), {"train": "a", "test": "b"})
    annotation = root / "Annotations" / "a.xml"
    for text, says in (
        (
            xml([("cat", 1, 2, 3, 4)], (80, 60)),
            r"boxes that are wrong: 1; see gipi check .*:\n  JPEGImages/a.png is 40x30 pixels",
        ),
        (xml([("", 1, 2, 3, 4)]), "JPEGImages/a.png has boxes of no class: '' .1."),
        (
            xml([("cat", 1, 2, 3, 4)], difficult=[0]),
            "has no box to train on in any image: it needs one at least that is not difficult",
        ),
        (xml([]), "has no box to train on"),
    ):
        annotation.write_text(text)
        with pytest.raises(DataError, match=says):
            box_folder(root, "train")
    annotation.write_text(xml([("cat", 1, 2, 3, 4)]))
    (root / "Annotations" / "b.xml").write_text(xml([("cat", 1, 2, 3, 4)], difficult=[0]))
    assert box_folder(root, "test").ignored.tolist() == [[True]], "a test set may have nothing to find"
    monkeypatch.setattr("os.sysconf", lambda name: 10, raising=False)
    with pytest.raises(DataError, match=r"\(train\): 1 images of 30x40 need .* scale them down by --data.size"):
        box_folder(root, "train")
    (root / "JPEGImages" / "b.png").unlink()
    with pytest.raises(DataError, match=r"files without a partner: 1:\n  Annotations/b.xml: no image of this name"):
        box_folder(root, "train")


def test_corner_and_size_in_a_csv_of_corners(tmp_path: Path) -> None:
    file = table(tmp_path / "boxes.csv", {stem: [("cat", 20, 15, 9, 8), ("dog", 25, 3, 10, 12)] for stem in "abcd"})
    with pytest.raises(DataError, match=r"\(train\): its boxes seem to be x, y, width, height, where x0, y0, x1, y1 is expected"):
        box_folder(file, "train")


# BCCD


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    monkeypatch.setattr("gipi.data.fetch.CHECKOUT", tmp_path / "nowhere")
    return tmp_path / "bccd" / "BCCD"


def test_where_bccd_is_looked_for_and_how_to_get_it(folder: Path) -> None:
    with pytest.raises(DataError, match=rf"'bccd' is in none of {folder}, .*get the folder BCCD of .*BCCD_Dataset and put it at"):
        bccd("train")
    with pytest.raises(ConfigError, match=r"data set 'bccd' has no split 'val' .allowed: test, train, validation"):
        bccd("val")


def test_bccd_made_small(folder: Path) -> None:
    voc(folder, {**MADE, "a": [("cat", 1, 2, 9, 9), ("cat", 5, 5, 5, 5)]}, PARTS)
    data = [bccd(split, short=15) for split in ("train", "validation", "test")]  # its boxes without a size are no news
    assert [(each.name, each.split, len(each)) for each in data] == [
        ("bccd", "train", 3),
        ("bccd", "validation", 1),
        ("bccd", "test", 1),
    ]
    assert held(data[0], 0) == [("cat", 0.5, 1, 4.5, 4.5)]


@pytest.mark.skipif(not REAL.is_dir(), reason="no bccd in $GIPI_DATA")
def test_the_lists_and_boxes_of_bccd() -> None:
    files = find_boxes(REAL)
    assert {split: len(part) for split, part in files.pairs().items()} == {"train": 205, "validation": 87, "test": 72}
    notes = [note for note in files.notes.values() if isinstance(note, Note)]
    assert Counter(word for note in notes for word in note.words) == {"RBC": 4155, "WBC": 372, "Platelets": 361}
    without = {note.file: note.boxes[empty(note.boxes)].tolist() for note in notes if empty(note.boxes).any()}
    assert without == {
        "Annotations/BloodImage_00338.xml": [[503, 336, 503, 336]],
        "Annotations/BloodImage_00343.xml": [[180, 328, 180, 328]],
    }


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no bccd in $GIPI_DATA")
def test_the_counts_that_bccd_is_known_for() -> None:
    sets, entry = [bccd(split, short=60) for split in ("train", "validation", "test")], catalog.DATASETS["bccd"]
    assert [len(data) for data in sets] == [205, 87, 72]
    assert (len(sets[0]), len(sets[2])) == (entry.train, entry.test)
    assert len({name for data in sets for name in data.names}) == 364
    counts = sum((Counter(name for image in range(len(data)) for name, *_ in held(data, image)) for data in sets), Counter[str]())
    assert counts == {"RBC": 4155 - 2, "WBC": 372, "Platelets": 361}, "two boxes are of no size"
    assert not any(data.ignored.any() for data in sets)
