"""Finding pictures in every layout, dividing them, and making a data set of them."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gipi.data.entry import Entry, Found
from gipi.data.fetch import data_folders
from gipi.data.folder import find, folder, has_validation, hymenoptera, of_split, parts
from gipi.errors import ConfigError, DataError, GipiWarning
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD
from oracle.photos import photo, photos

PAIR = {"cat": 3, "dog": 2}


def names(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.name for entry in entries]


# Layouts


def test_class_folders(tmp_path: Path) -> None:
    photos(tmp_path, {"dog": 2, "cat": 1, "cat/indoors/black": 1, "ant": 2})
    found = find(tmp_path)
    assert found.classes == ("ant", "cat", "dog"), "sorted"
    assert names(found.entries) == ["ant/0.png", "ant/1.png", "cat/0.png", "cat/indoors/black/0.png", "dog/0.png", "dog/1.png"]
    assert [entry.label for entry in found.entries] == [0, 0, 1, 1, 2, 2]
    assert [entry.path for entry in found.entries] == [tmp_path / name for name in names(found.entries)]
    assert (found.splits, found.left_out) == (set(), ())


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_split_folders(validation: str, tmp_path: Path) -> None:
    photos(tmp_path, {f"{split}/{label}": 2 for split in ("train", validation, "test") for label in PAIR})
    found = find(tmp_path)
    assert (found.classes, found.splits) == (("cat", "dog"), {"train", "validation", "test"})
    for split, there in (("train", "train"), ("validation", validation), ("test", "test")):
        assert names(of_split(found, split)) == [f"{there}/{label}/{number}.png" for label in PAIR for number in (0, 1)]
    assert has_validation(found)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert find(photos(tmp_path, {"train": 2, "car": 2})).classes == ("car", "train")


def test_train_alone_is_divided(tmp_path: Path) -> None:
    found = find(photos(tmp_path, {"train/cat": 5, "train/dog": 5}))
    assert (found.classes, set(parts(found)), has_validation(found)) == (("cat", "dog"), {"train", "test"}, False)
    assert len(of_split(found, "test")) == 2


@pytest.mark.parametrize("header", ["path,label", "label,path"])
def test_csv(header: str, tmp_path: Path) -> None:
    for name in ("b/1.png", "b/2.png", "a 3.png", "4.png"):
        photo(tmp_path / name)
    rows = [("b/1.png", "dog"), ("./b/2.png", "cat"), ("a 3.png", " dog "), ('"4.png"', '"cat"')]
    lines = [header, *(f"{p},{label}" if header.startswith("path") else f"{label},{p}" for p, label in rows)]
    (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    found = find(tmp_path / "list.csv")
    assert found.classes == ("cat", "dog")
    assert {(entry.name, found.classes[entry.label]) for entry in found.entries} == {
        ("b/1.png", "dog"),
        ("b/2.png", "cat"),
        ("a 3.png", "dog"),
        ("4.png", "cat"),
    }
    assert all(entry.path.is_file() for entry in found.entries)


def test_csv_with_splits(tmp_path: Path) -> None:
    lines = ["path,label,split"]
    for split in ("train", "val", "validation", "test"):
        for label in PAIR:
            lines.append(f"{photo(tmp_path / f'{split}-{label}.png').name},{label},{split}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    found = find(tmp_path / "list.csv")
    assert {split: sorted(names(part)) for split, part in parts(found).items()} == {
        "train": ["train-cat.png", "train-dog.png"],
        "validation": ["val-cat.png", "val-dog.png", "validation-cat.png", "validation-dog.png"],
        "test": ["test-cat.png", "test-dog.png"],
    }


def test_what_is_passed_over_and_what_is_left_out(tmp_path: Path) -> None:
    photos(tmp_path, PAIR)
    for name in (".hidden.png", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    photo(tmp_path / "__MACOSX" / "cat" / "0.png")
    photo(tmp_path / ".cache" / "0.png")
    photo(tmp_path / "cat" / ".thumbnails" / "0.png")
    (tmp_path / "README.md").write_text("not in a class folder")
    photo(tmp_path / "loose.png")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "loop").symlink_to(tmp_path / "dog", target_is_directory=True)
    found = find(tmp_path)
    assert found.classes == ("cat", "dog")
    assert names(found.entries) == ["cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png"]
    assert sorted(found.left_out) == [
        "cat/notes.txt: no picture by its name",
        "dog/gone.png: a link to a folder, or no file",
        "dog/loop: a link to a folder, or no file",
        "loose.png: lies in no class folder",
    ]


def test_what_stands_beside_the_splits_is_left_out(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dog": 1, "more/cat": 1})
    assert find(tmp_path).left_out == ("more: stands beside train, and is neither val nor test",)


def test_links_to_pictures_and_class_folders_are_followed(tmp_path: Path) -> None:
    photos(tmp_path / "real", {"cat": 2})
    photos(tmp_path / "set", {"dog": 2})
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "real" / "cat", target_is_directory=True)
    (tmp_path / "set" / "dog" / "z.png").symlink_to(photo(tmp_path / "z.png"))
    assert names(find(tmp_path / "set").entries) == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png", "dog/z.png"]


def test_every_suffix_of_a_picture_counts_in_any_case(tmp_path: Path) -> None:
    photos(tmp_path, PAIR)
    suffixes = ["JPG", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "TIFF"]
    for suffix in suffixes:
        (tmp_path / "cat" / f"x.{suffix}").write_bytes(b"")
    assert len(find(tmp_path).entries) == 5 + len(suffixes)


def test_home_and_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path / "set", PAIR)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "set")
    assert names(find(Path("~/set")).entries) == names(find(Path()).entries) == names(find(tmp_path / "set").entries)


# What is wrong with a layout


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], r"is empty: put the pictures of each class into a folder"),
        ([".hidden"], r"is empty"),
        (["a.txt"], r"has no class folders"),
        (["1.png", "2.png"], r"has pictures, but no class folders: put the pictures of each class .*cat and .*dog.* or list them"),
        (["cat/1.png", "cat/2.png"], r"has one class only, 'cat'"),
        (["cat/1.png", "cat/2.png", "dog/a.txt"], r"has no picture in dog"),
        (["cat/a.txt", "dog/a.txt"], r"holds no pictures; left out: cat/a.txt"),
        (["cat/1.png", "cat/2.png", "dog/1.png"], r"has one picture, where training and test need one each, in dog"),
        (["train/cat/1.png", "train/dog/1.png", "val/1.png"], r"val has pictures, but no class folders"),
        (["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/pig/1.png"], r"in validation than in train; only in train: dog; only in validation: pig"),
        (["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"], r"in test than in train; only in train: dog; add"),
        (["train/cat/1.png", "val/cat/1.png", "valid/cat/1.png"], r"has the folders train, val, valid: allowed are train and, once each"),
        (["val/cat/1.png", "test/cat/1.png"], r"has the folders test, val: allowed are train and"),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_used(files: list[str], says: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=says) as caught:
        find(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_long_lists_are_cut(tmp_path: Path) -> None:
    for number in range(15):
        (tmp_path / f"class{number:02}").mkdir()
    photo(tmp_path / "class00" / "1.png")
    with pytest.raises(DataError, match=r"no picture in class01, .*, class10, and 4 more: add"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with nothing"),
        ("1.png,cat\n", "must begin with the line path,label or path,label,split; it begins with 1.png,cat"),
        ("path;label\n1.png;cat\n", "begins with path;label"),
        ("path,label,spilt\n1.png,cat,train\n", "begins with path,label,spilt"),
        ("path,label,label\n", "begins with path,label,label"),
        ("path,label\n1.png,\n", "faulty lines, 1 in all:\n  line 2: its label is empty"),
        ("path,label\n1.png,cat\n9.png,cat\n", "line 3: .*9.png is no file"),
        ("path,label\n,cat\n", "line 2: .* is no file"),
        ("path,label\n1.png,cat\n./1.png,dog\n", "line 3: 1.png is listed before"),
        ("path,label\n1.png\n2.png,a,b\n", "faulty lines, 2 in all:\n  line 2: must have 2 fields\n  line 3: must have 2 fields"),
        ("path,label,split\n1.png,cat,tran\n", "line 2: no split 'tran'; did you mean 'train'"),
        ("path,label,split\n1.png,cat,\n", "line 2: no split ''"),
        ("path,label,split\n1.png,cat,val\n2.png,dog,val\n", "has pictures for validation, but none for train"),
        ("path,label\n1.png,cat\n2.png,dog\n", "has one picture, where training and test need one each, in cat, dog"),
        ("path,label\n", "holds no pictures"),
        ('path,label\n"1.png,cat\n', "is no CSV file in UTF-8"),
        (b"path,label\n\xff\xfe,cat\n", "is no CSV file in UTF-8"),
        ("path,label\n" + "x.png,a\n" * 13, "faulty lines, 13 in all(.*\n){11}  and 3 more"),
    ],
)
def test_csv_files_that_cannot_be_used(text: str | bytes, says: str, tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        photo(tmp_path / name)
    table = tmp_path / "list.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=says) as caught:
        find(table)
    assert str(table) in str(caught.value)


@pytest.mark.parametrize("name", ["nothing", "nothing.csv", "x" * 300, "nul\0"])
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not there|cannot be read"):
        find(tmp_path / name)


@pytest.mark.parametrize("name", ["pictures.zip", "train.tar", "one.jpg"])
def test_a_file_that_is_no_list(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"is neither a folder nor a \.csv file"):
        find(tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such names cannot be written")
@pytest.mark.parametrize("name", [b"\xff", b"cat/\xff.png"])
def test_a_name_that_is_no_text(name: bytes, tmp_path: Path) -> None:
    photos(tmp_path, PAIR)
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    path.mkdir() if path.suffix == "" else path.write_bytes(b"")
    with pytest.raises(DataError, match=r"holds '\\udcff(.png)?', a name that is no text in UTF-8: rename it"):
        find(tmp_path)


@pytest.mark.parametrize("closed", ["", "cat", "cat/below"])
def test_an_unreadable_folder_is_named(closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path, {**PAIR, "cat/below": 1})
    scandir = os.scandir

    def refusing(path: object):
        if Path(str(path)) == tmp_path / closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError) as caught:
        find(tmp_path)
    assert str(caught.value) == f"{tmp_path / closed} cannot be read: Permission denied"


# Splits


def listed(counts: dict[str, int], offset: int = 0) -> Found:
    """A set of so many pictures of each class, without files."""
    classes = tuple(sorted(counts))
    entries = [
        Entry(Path(f"{label}/{n}.png"), classes.index(label), "", f"{label}/{n}.png")
        for label in classes
        for n in range(offset, offset + counts[label])
    ]
    return Found(Path("set"), classes, tuple(entries))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(2, 40), min_size=2, max_size=4))
def test_a_fifth_of_each_class_is_for_the_test(counts: dict[str, int]) -> None:
    found = listed(counts)
    train, test = of_split(found, "train"), of_split(found, "test")
    assert sorted([*train, *test]) == sorted(found.entries)
    assert not set(train) & set(test)
    for label, name in enumerate(found.classes):
        held = sum(entry.label == label for entry in test)
        assert held == -(-counts[name] // 5)
        assert 1 <= held < counts[name]


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.data())
def test_another_picture_moves_one_at_most(count: int, data: st.DataObject) -> None:
    before = listed({"a": count, "b": 5})
    added = data.draw(st.integers(1000, 9999))
    after = Found(before.path, before.classes, (*before.entries, Entry(Path("x"), 0, "", f"a/{added}.png")))
    tests = [set(names(of_split(found, "test"))) - {f"a/{added}.png"} for found in (before, after)]
    assert len(tests[0] ^ tests[1]) <= 1


def test_the_division_is_for_ever_and_mixed() -> None:
    """The order of files, their place on disk and the machine play no part; nor do accents that a system takes apart."""
    found = listed({"a": 20, "b": 5})
    again = Found(Path("/elsewhere"), found.classes, found.entries[::-1])
    assert set(names(of_split(found, "test"))) == set(names(of_split(again, "test")))
    order = sorted((f"a/{n}.png" for n in range(20)), key=lambda name: sha256(name.encode()).digest())
    assert {name for name in names(of_split(found, "test")) if name[0] == "a"} == set(order[:4])
    whole, apart = (
        Found(Path("s"), ("a", "b"), tuple(Entry(Path("x"), n % 2, "", f"{accent}/{n}.png") for n in range(20)))
        for accent in ("\u00e9", "e\u0301")
    )
    assert [n[-6:] for n in names(of_split(whole, "test"))] == [n[-6:] for n in names(of_split(apart, "test"))]


def test_train_and_val_only(tmp_path: Path) -> None:
    found = find(photos(tmp_path, {"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dog": 1}))
    assert names(of_split(found, "test")) == ["val/cat/0.png", "val/dog/0.png"]
    assert not has_validation(found)
    with pytest.raises(ConfigError, match=r"has no split 'validation' \(allowed: test, train\)"):
        of_split(found, "validation")


def test_train_and_test_only(tmp_path: Path) -> None:
    found = find(photos(tmp_path, {"train/cat": 1, "train/dog": 1, "test/cat": 1, "test/dog": 1}))
    assert {split: names(part) for split, part in parts(found).items()} == {
        "train": ["train/cat/0.png", "train/dog/0.png"],
        "test": ["test/cat/0.png", "test/dog/0.png"],
    }
    assert not has_validation(found)


def test_an_unknown_split() -> None:
    with pytest.raises(ConfigError, match="set has no split 'tset'; did you mean 'test'"):
        of_split(listed({"a": 2, "b": 2}), "tset")


# The data set


def test_a_data_set_of_pictures(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    data = folder(tmp_path, "train", short=8, broken=0)
    assert (data.name, data.split, data.classes, data.framing) == (str(tmp_path), "train", ("cat", "dog"), "crop")
    assert (data.mean, data.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert data.images.shape == (5, 3, 8, 8)
    assert data.labels.tolist() == [0, 0, 0, 1, 1]
    with Image.open(tmp_path / "train" / "dog" / "1.png") as image:
        expected = np.asarray(image.resize((10, 8), Image.Resampling.BILINEAR))[:, 1:9].transpose(2, 0, 1)
    assert np.array_equal(data.images[4].numpy(), expected)
    assert folder(tmp_path, "test", short=8, broken=0).labels.tolist() == [0, 1]


def spoil(*paths: Path) -> None:
    for path in paths:
        path.write_bytes(b"")


def test_unreadable_pictures_are_left_out_with_their_labels_and_listed(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 15, "train/dog": 15, "val/cat": 1, "val/dog": 1})
    whole = folder(tmp_path, "train", short=4, broken=0)
    spoil(*(tmp_path / "train" / "cat" / f"{number}.png" for number in range(12)))
    with pytest.warns(GipiWarning) as caught:
        data = folder(tmp_path, "train", short=4, broken=0.4)
    lines = str(caught[0].message).splitlines()
    assert lines[0] == f"{tmp_path} (train): 12 of 30 pictures (40.0%) cannot be read:"
    assert lines[1].startswith("  train/cat/0.png is empty (0 bytes)")
    assert lines[-2:] == ["  and 2 more", "they are left out"]
    assert len(lines) == 13
    order = [entry.name for entry in of_split(find(tmp_path), "train")]
    kept = [n for n, name in enumerate(order) if name not in {f"train/cat/{number}.png" for number in range(12)}]
    assert torch.equal(data.images, whole.images[kept])
    assert torch.equal(data.labels, whole.labels[kept])


def test_too_many_unreadable_pictures(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 4, "train/dog": 4, "val/cat": 1, "val/dog": 1})
    spoil(tmp_path / "train" / "cat" / "0.png")
    with pytest.raises(DataError, match=r"1 of 8 pictures \(12.5%\) cannot be read:\n  train/cat/0.png is empty") as caught:
        folder(tmp_path, "train", short=4, broken=0.1)
    says = str(caught.value).splitlines()[-1]
    assert says == f"Allowed are 10.0%: see gipi check {tmp_path}, mend or remove them, or allow --data.broken 0.125"
    with pytest.warns(GipiWarning):
        folder(tmp_path, "train", short=4, broken=float(says.split()[-1]))
    folder(tmp_path, "test", short=4, broken=0)  # the split that is whole


def test_a_class_that_cannot_be_read(tmp_path: Path) -> None:
    photos(tmp_path, {"train/cat": 4, "train/dog": 1, "val/cat": 1, "val/dog": 1})
    spoil(tmp_path / "train" / "dog" / "0.png")
    with pytest.raises(DataError, match="None is left of dog: mend them"):
        folder(tmp_path, "train", short=4, broken=1)


def test_other_files_are_told(tmp_path: Path) -> None:
    photos(tmp_path, PAIR)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    with pytest.warns(GipiWarning, match="files left out: 1: cat/notes.txt: no picture by its name"):
        folder(tmp_path, "train", short=4, broken=0)


# Sets with a name


def test_a_named_folder_is_found_where_data_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    photos(tmp_path / "hymenoptera", {"train/ants": 1, "train/bees": 1, "val/ants": 1, "val/bees": 1})
    data = hymenoptera("test", short=4)
    assert (data.name, data.split, len(data)) == ("hymenoptera", "test", 2)


def test_a_named_folder_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    monkeypatch.setattr("gipi.data.fetch.CHECKOUT", tmp_path)
    with pytest.raises(DataError) as caught:
        hymenoptera("train", short=4)
    for word in (*map(str, data_folders("hymenoptera")), "hymenoptera_data.zip", "https://download.pytorch.org/"):
        assert word in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        hymenoptera("trian", short=4)


@pytest.mark.skipif(not data_folders("hymenoptera")[0].is_dir(), reason="needs hymenoptera in GIPI_DATA")
def test_hymenoptera_counts() -> None:
    """123 ants and 121 bees, and 70 and 83: as the set's SOURCE.md says. One file of the original is a picture that says so."""
    for split, counts in (("train", [123, 121]), ("test", [70, 83])):
        assert hymenoptera(split, short=8).labels.bincount().tolist() == counts
