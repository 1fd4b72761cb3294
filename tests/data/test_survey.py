"""A data set with one of every fault, and what is said of it."""

from __future__ import annotations

import json
import tarfile
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gipi.data.alike import Alike, Member
from gipi.data.findings import Survey
from gipi.data.folder import folder
from gipi.data.survey import survey
from gipi.errors import DataError
from oracle.photos import photo, photos

PAIR = {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1}


def header(width: int, height: int) -> bytes:
    """A BMP of a few bytes that claims a size."""
    file = BytesIO()
    Image.new("L", (1, 1)).save(file, "BMP")
    data = bytearray(file.getvalue())
    data[18:26] = np.array([width, height], "<i4").tobytes()
    return bytes(data)


def test_a_good_set(tmp_path: Path) -> None:
    found = survey(photos(tmp_path, PAIR))
    assert found.trainable
    assert found.counts == {"train": {"cat": 3, "dog": 2}, "test": {"cat": 1, "dog": 1}}
    assert (found.shorter, found.small) == ((9, 9, 9), 7)
    assert (found.formats, found.modes) == ({"PNG": 7}, {"RGB": 7})
    assert (found.error, found.broken, found.misnamed, found.left_out, found.alike, found.refusals) == ("", {}, {}, (), (), ())
    assert found.verdicts()[0] == "ready to train"


def test_sizes_formats_and_modes(tmp_path: Path) -> None:
    photos(tmp_path, {"cat": 2, "dog": 2})
    photo(tmp_path / "cat" / "large.jpg", 1, (200, 300))
    photo(tmp_path / "dog" / "wide.bmp", 2, (900, 64))
    Image.new("L", (63, 70), 9).save(tmp_path / "dog" / "grey.gif")
    Image.new("CMYK", (65, 70)).save(tmp_path / "dog" / "inks.tif")
    Image.new("L", (66, 80)).save(tmp_path / "dog" / "two.jpg", "MPO", save_all=True, append_images=[Image.new("L", (66, 80))])
    found = survey(tmp_path)
    assert found.shorter == (9, 63, 200), "of 9 9 9 9 63 64 65 66 200"
    assert found.small == 5
    assert found.formats == {"PNG": 4, "JPEG": 2, "BMP": 1, "GIF": 1, "TIFF": 1}, "a camera's several JPEGs in one are JPEG"
    assert found.modes == {"RGB": 6, "L": 1, "P": 1, "CMYK": 1}
    assert found.misnamed == {}


def test_each_kind_of_broken_file_is_told_with_its_reason(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 6, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    cat = tmp_path / "train" / "cat"
    (cat / "0.png").write_bytes(b"")
    (cat / "1.png").write_text("no picture")
    (cat / "2.png").write_bytes((cat / "3.png").read_bytes()[:-30])
    (cat / "huge.bmp").write_bytes(header(10_000, 5_001))
    (cat / "notes.txt").write_text("x")
    (cat / "4.jpg").write_bytes((cat / "4.png").read_bytes())
    found = survey(tmp_path)
    assert {name: what.split(";")[0][:24] for name, what in found.broken.items()} == {
        "train/cat/0.png": "is empty (0 bytes)",
        "train/cat/1.png": "(10 bytes) is not a PNG,",
        "train/cat/2.png": "is broken or cut off: im"[:24],
        "train/cat/huge.bmp": "has 10000 x 5001 pixels",
    }
    assert found.misnamed == {"train/cat/4.jpg": "is a PNG file"}
    assert found.left_out == ("train/cat/notes.txt: no picture by its name",)
    assert not found.trainable
    [refusal] = found.refusals
    assert refusal.startswith("4 of 10 pictures of train (40.0%) cannot be read: training refuses above 1%")
    assert found.counts["train"] == {"cat": 8, "dog": 2}


@pytest.mark.parametrize(("broken", "total"), [(0, 100), (1, 100), (1, 99), (2, 200), (3, 200), (2, 100)])
def test_it_refuses_what_training_refuses(broken: int, total: int, tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": total - 10, "train/dog": 10, "val/cat": 1, "val/dog": 1})
    for number in range(broken):
        (tmp_path / "train" / "cat" / f"{number}.png").write_bytes(b"")
    found = survey(tmp_path)
    assert found.trainable == (broken / total <= 0.01)
    if found.trainable:
        with pytest.warns() if broken else nullcontext():
            folder(tmp_path, "train", short=4, broken=0.01)
        share = f"{broken} of {total + 2} pictures ({broken / (total + 2):.1%}) cannot be read: left out"
        assert (share in found.verdicts()) == bool(broken)
    else:
        with pytest.raises(DataError):
            folder(tmp_path, "train", short=4, broken=0.01)
        assert found.verdicts()[0].startswith(f"not ready to train: {broken} of {total} pictures of train ")


def test_a_class_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 200, "train/dog": 1, "val/cat": 1, "val/dog": 1})
    (tmp_path / "train" / "dog" / "0.png").write_bytes(b"")
    found = survey(tmp_path)
    assert found.refusals == ("1 of 201 pictures of train (0.5%) cannot be read, and with them all of a class",)
    with pytest.raises(DataError):
        folder(tmp_path, "train", short=4, broken=0.01)


def test_nothing_can_be_read(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = survey(tmp_path)
    assert (found.trainable, len(found.refusals), found.shorter) == (False, 2, ())
    assert "shorter side  none can be read" in found.text()


def test_equal_and_nearly_equal_pictures(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 3, "train/dog": 3, "val/cat": 2, "val/dog": 2})
    train, val = tmp_path / "train", tmp_path / "val"
    (train / "dog" / "copy.png").write_bytes((train / "cat" / "0.png").read_bytes())  # small: by its bytes
    (val / "dog" / "copy.png").write_bytes((train / "dog" / "1.png").read_bytes())
    photo(train / "cat" / "large.png", 77, (160, 120))
    with Image.open(train / "cat" / "large.png") as image:
        image.resize((120, 90)).save(val / "cat" / "smaller.jpg", quality=70)
        image.resize((30, 22)).save(val / "cat" / "tiny.png")  # too small to be compared by its looks
    found = survey(tmp_path)
    assert {(group.near, tuple(sorted(group.members))) for group in found.alike} == {
        (False, (Member("train/cat/0.png", "train", "cat"), Member("train/dog/copy.png", "train", "dog"))),
        (False, (Member("train/dog/1.png", "train", "dog"), Member("val/dog/copy.png", "test", "dog"))),
        (True, (Member("train/cat/large.png", "train", "cat"), Member("val/cat/smaller.jpg", "test", "cat"))),
    }
    assert "test or validation pictures that are in train, too, or nearly so: 2; scores will be too good" in found.verdicts()
    assert "groups of equal or nearly equal pictures with more than one label: 1; correct them" in found.verdicts()
    assert found.trainable
    assert "train/cat/0.png (train, cat) = train/dog/copy.png (train, dog)" in found.text()
    assert "train/cat/large.png (train, cat) ~ val/cat/smaller.jpg (test, cat)" in found.text()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["train", "test", "validation"]), st.sampled_from("ab")), min_size=2, max_size=6))
def test_what_a_group_says(members: list[tuple[str, str]]) -> None:
    group = Alike(False, tuple(Member(str(n), split, label) for n, (split, label) in enumerate(members)))
    splits = [split for split, _ in members]
    assert group.leaks == (sum(split != "train" for split in splits) if "train" in splits else 0)
    assert group.ambiguous == any(a[1] != b[1] for a in members for b in members)
    assert group.json()["leaks"] == group.leaks


@pytest.mark.parametrize(("cats", "said"), [(6, False), (7, True)])
def test_uneven_classes(cats: int, said: bool, tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": cats, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    sentences = [line for line in survey(tmp_path).verdicts() if "times the training pictures" in line]
    assert len(sentences) == said
    if said:
        assert sentences[0].startswith("cat has 3.5 times the training pictures of dog")


@pytest.mark.parametrize(("make", "says"), [(lambda p: p / "none", "is not there"), (lambda p: p, "is empty"), (lambda p: photo(p / "cat" / "1.png").parents[1], "one class only, 'cat'")])  # fmt: skip
def test_a_layout_in_error_is_told(make, says: str, tmp_path: Path) -> None:
    found = survey(make(tmp_path))
    assert not found.trainable
    assert says in found.error
    assert found.verdicts() == [f"not ready to train: {found.error}"]
    assert found.text().endswith(found.verdicts()[0])
    assert json.loads(json.dumps(found.json()))["trainable"] is False


def test_without_splits_the_division_of_training_is_shown(tmp_path: Path) -> None:
    assert survey(photos(tmp_path, {"cat": 10, "dog": 5})).counts == {"train": {"cat": 8, "dog": 4}, "test": {"cat": 2, "dog": 1}}


def test_shards(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        for n in range(4):
            for suffix, data in (("jpg", photo(tmp_path / "p.png", n).read_bytes()), ("cls", str(n % 2).encode())):
                info = tarfile.TarInfo(f"{n}.{suffix}")
                info.size = len(data)
                archive.addfile(info, BytesIO(data))
    found = survey(tmp_path)
    assert found.counts == {"train": {"0": 1, "1": 1}, "test": {"0": 1, "1": 1}}
    assert found.misnamed == {f"data.tar/{n}.jpg": "is a PNG file" for n in range(4)}


def test_text_and_json_say_all(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 30, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    for number in range(12):
        (tmp_path / "train" / "cat" / f"{number}.png").write_bytes(b"")
    found = survey(tmp_path)
    text = found.text().splitlines()
    assert text[:5] == [
        str(tmp_path),
        "class       train        test",
        "cat            30           1",
        "dog             2           1",
        "all            32           2",
    ]
    at = text.index("cannot be read: 12")
    assert text[at + 1].startswith("  train/cat/0.png is empty")
    assert text[at + 11] == "  and 2 more"
    assert text[-len(found.verdicts()) :] == found.verdicts()
    told = json.loads(json.dumps(found.json()))
    assert set(told) == set(Survey.__dataclass_fields__) | {"trainable", "verdicts"}
    assert len(told["broken"]) == 12


def test_many_classes_are_cut_in_text(tmp_path: Path) -> None:
    photos(tmp_path, {f"{n:02}": 2 for n in range(12)})
    assert "\nand 2 more\nall" in survey(tmp_path).text()
