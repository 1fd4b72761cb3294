"""Tar shards: written by the standard library, read where their pictures lie."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from gipi.data.entry import Found
from gipi.data.folder import find, folder, parts
from gipi.data.shards import index
from gipi.errors import DataError, GipiWarning

Members = list[tuple[str, bytes]]


def picture(seed: int, form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def tar(members: Members, form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def numbered(*labels: int, first: int = 0) -> Members:
    """A sample for each label: a picture and its .cls."""
    pairs = [((f"{n:04}.png", picture(n)), (f"{n:04}.cls", str(label).encode())) for n, label in enumerate(labels, first)]
    return [member for pair in pairs for member in pair]


def write(folder: Path, **shards: Members) -> Path:
    for name, members in shards.items():
        (folder / f"{name.replace('_', '-')}.tar").write_bytes(tar(members))
    return folder


def told(found: Found) -> list[tuple[str, str, str]]:
    return [(entry.name, found.classes[entry.label], entry.split) for entry in found.entries]


def says(path: Path, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        index(path)
    assert str(path) in str(caught.value) or ".tar/" in str(caught.value)


# What is found


def test_numbers_without_names(tmp_path: Path) -> None:
    found = index(write(tmp_path, train_000000=numbered(3, 10), train_000001=numbered(3, first=2), val_0=numbered(10)))
    assert found.classes == ("3", "10"), "those that occur, as numbers are sorted"
    assert told(found) == [
        ("train-000000.tar/0000.png", "3", "train"),
        ("train-000000.tar/0001.png", "10", "train"),
        ("train-000001.tar/0002.png", "3", "train"),
        ("val-0.tar/0000.png", "10", "validation"),
    ]
    assert found.left_out == ()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_pictures_are_read_where_they_lie(form: int, tmp_path: Path) -> None:
    long = "folder/" * 12 + "n" * 60
    data = tar([*numbered(0, 1), (f"{long}.png", picture(7)), (f"{long}.cls", b"1")], form)
    (tmp_path / "data.tar").write_bytes(data)
    entries = index(tmp_path).entries
    assert [entry.read() for entry in entries] == [picture(0), picture(1), picture(7)]
    assert all(data[entry.offset :][: entry.size] == entry.read() for entry in entries)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[
            ("train-000000", "train"),
            ("val-000000", "validation"),
            ("valid_1", "validation"),
            ("validation-01-of-08", "validation"),
        ],
        *[
            ("test.0", "test"),
            ("Train-0", "train"),
            ("imagenet-train-0", ""),
            ("trains-0", ""),
            ("000000", ""),
            ("testing-0", ""),
        ],
    ],
)
def test_the_split_in_a_name(name: str, split: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.tar").write_bytes(tar(numbered(0)))
    assert [entry.split for entry in index(tmp_path).entries] == [split]


def test_classes_txt_names_the_numbers(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbftench\r\ngreat white shark\r\n\r\n")
    found = index(write(tmp_path, data=[*numbered(1, 0), ("x.png", picture(9)), ("x.txt", b" tench\n")]))
    assert found.classes == ("tench", "great white shark"), "in the order of the numbers"
    assert [label for _, label, _ in told(found)] == ["great white shark", "tench", "tench"]


def test_labels_in_json_and_names_in_text(tmp_path: Path) -> None:
    members = [
        ("a.jpg", picture(1, "JPEG")),
        ("a.json", json.dumps({"label": "dog", "width": 8}).encode()),
        ("b.json", json.dumps({"caption": "no label here"}).encode()),
        ("b.txt", "katze, groß".encode()),
        ("b.webp", picture(2, "WEBP")),
    ]
    found = index(write(tmp_path, data=members))
    assert told(found) == [("data.tar/a.jpg", "dog", ""), ("data.tar/b.webp", "katze, groß", "")]
    numbers = [
        ("a.jpeg", picture(1, "JPEG")),
        ("a.json", b'{"label": 4}'),
        ("b.PNG", picture(2)),
        ("b.cls", b" 2\n"),
        ("b.txt", b"a caption"),
    ]
    [path] = tmp_path.glob("*.tar")
    path.write_bytes(tar(numbers))
    assert [label for _, label, _ in told(index(tmp_path))] == ["4", "2"], "a number comes before a text"


def test_samples_end_at_the_first_dot_and_at_their_folder(tmp_path: Path) -> None:
    members = [
        ("./a/1.png", picture(1)),
        ("./a/1.cls", b"0"),
        ("b/1.png", picture(2)),
        ("b/1.cls", b"1"),
        ("b/1.seg.png", picture(3)),
    ]
    assert told(index(write(tmp_path, data=members))) == [("data.tar/a/1.png", "0", ""), ("data.tar/b/1.png", "1", "")]


def test_halves_of_samples_are_left_out(tmp_path: Path) -> None:
    members = [*numbered(0, 1), ("alone.png", picture(3)), ("words.cls", b"1"), ("0000.jpg", picture(4, "JPEG"))]
    found = index(write(tmp_path, data=members))
    assert len(found.entries) == 2
    assert sorted(found.left_out) == [
        "data.tar/0000.jpg: a second picture of its sample",
        "data.tar/alone.png: has no label",
        "data.tar/words: a label without a picture",
    ]


def test_names_that_would_escape_and_what_is_no_file_are_harmless(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind in (("link.png", tarfile.SYMTYPE), ("pipe.png", tarfile.FIFOTYPE), ("folder.png", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, data in [("link.cls", b"0"), ("pipe.cls", b"0"), ("folder.cls", b"0"), ("../../evil.png", picture(1)), ("../../evil.cls", b"0"), ("/root.png", picture(2)), ("/root.cls", b"1"),
                           ("._hidden.png", b"x"), ("__MACOSX/0000.png", b"x"), *numbered(0)]:  # fmt: skip
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.tar").write_bytes(file.getvalue())
    found = index(tmp_path / "in")
    assert [name for name, _, _ in told(found)] == ["data.tar//root.png", "data.tar/0000.png"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data.tar", "in"], "nothing is unpacked"


# What is wrong


@pytest.mark.parametrize("cut", [1, 100, 512, 700, 1024, 1100, 1536, 2000])
def test_a_shard_that_is_cut_off(cut: int, tmp_path: Path) -> None:
    """Anywhere: in a header, in a picture, and just behind a member, where the tar format itself would not notice."""
    whole = tar(numbered(0, 1))
    end = whole.rindex(b"0001.cls") + 1024  # the last member is over
    (tmp_path / "data.tar").write_bytes(whole[: end - 1024 + cut] if cut < 1024 else whole[: end - cut])
    says(tmp_path, r"data.tar is cut off or broken: .*; copy or download it again")
    (tmp_path / "data.tar").write_bytes(whole[: end + 512])
    assert len(index(tmp_path).entries) == 2, "one block of zeros is an end"


def test_a_shard_whose_middle_is_garbage(tmp_path: Path) -> None:
    whole = bytearray(tar(numbered(0, 1, 2)))
    at = whole.rindex(b"0001.png")
    whole[at : at + 512] = b"\x55" * 512
    (tmp_path / "data.tar").write_bytes(whole)
    says(tmp_path, rf"cut off or broken: no member and no end at byte {at:,}")


@pytest.mark.parametrize("data", [b"", b"x", b"no tar" * 500, tar(numbered(0))[:0] + b"\x1f\x8b\x08" + bytes(1000)])
def test_what_is_no_tar(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "data.tar").write_bytes(data)
    says(tmp_path, "cut off or broken")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[("x.cls", b""), ("x.cls", b"cat"), ("x.cls", b"-1"), ("x.cls", b"1.5"), ("x.cls", b"\xff"), ("x.txt", b" \n"), ("x.txt", b"\xff\xfe")],
        *[("x.json", b"{"), ("x.json", b"[1]"), ("x.json", b'{"label": -1}'), ("x.json", b'{"label": true}'), ("x.json", b'{"label": [1]}'), ("x.json", rb'{"label": "\ud800"}')],
        *[("x.json", b'{"label": ""}'), ("x.json", b'{"label": 1.0}'), ("x.json", b"[" * 100_000), ("x.cls", b"9" * 5000)],
    ],
)  # fmt: skip
def test_a_label_that_is_none(name: str, text: bytes, tmp_path: Path) -> None:
    write(tmp_path, data=[*numbered(0, 1), ("x.png", picture(5)), (name, text)])
    says(tmp_path, f"data.tar/{name} holds no label: allowed are a number from 0 on")


@pytest.mark.parametrize(("label", "shown"), [(b"2", "2"), (b"1000000000000", "1000000000000")])
def test_a_label_out_of_range(label: bytes, shown: str, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    write(tmp_path, data=[*numbered(0, 1), ("x.png", picture(5)), ("x.cls", label)])
    says(tmp_path, rf"data.tar/x.png has the label {shown}; .*classes.txt has 2 classes, from 0 on")


def test_a_name_that_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    says(write(tmp_path, data=[("x.png", picture(5)), ("x.txt", b"pig")]), "has the label 'pig'")


def test_numbers_and_names_that_nothing_joins(tmp_path: Path) -> None:
    says(
        write(tmp_path, data=[*numbered(0), ("x.png", picture(5)), ("x.txt", b"pig")]),
        r"numbers \(0\) and some are names \(pig\)",
    )


@pytest.mark.parametrize(("text", "what"), [(b"cat\n\ndog", "an empty line"), (b"cat\ndog\ncat", "'cat' 2 times"), (b"", "an empty line"), (b"\xff", "not UTF-8")])  # fmt: skip
def test_classes_that_are_no_list_of_names(text: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(text)
    says(write(tmp_path, data=numbered(0, 1)), what)


SHARD = tar(numbered(0, 1))


@settings(max_examples=150, deadline=None)
@given(st.one_of(
    st.binary(max_size=2000),
    st.builds(
        lambda at, patch, cut: (SHARD[: int(at * len(SHARD))] + patch + SHARD[int(at * len(SHARD)) + len(patch) :])[:cut],
        st.floats(0, 1), st.binary(min_size=1, max_size=12), st.integers(0, len(SHARD)),
    ),
))  # fmt: skip
@example(SHARD[:124] + b"\xff" * 12 + SHARD[136:])  # a size below zero
def test_any_bytes_are_indexed_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("shards")
    (folder / "data.tar").write_bytes(data)
    try:
        found = index(folder)
    except DataError:
        return
    for entry in found.entries:
        assert 512 <= entry.offset <= entry.offset + entry.size <= len(data)


def test_a_size_below_zero(tmp_path: Path) -> None:
    """Its header is right, checksum and all; it would lead back to the beginning for ever."""
    header = bytearray(SHARD[:512])
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1024 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "data.tar").write_bytes(header + SHARD[512:])
    says(tmp_path, "cut off or broken: '0000.png' has -1024 bytes")


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    says(write(tmp_path, data=[*numbered(0, 1), ("\udcff.png", picture(1))]), r"cut off or broken: '\\udcff.png' has")


# As a data set


def test_a_data_set_of_shards(tmp_path: Path) -> None:
    write(tmp_path, train_0=numbered(0, 1, 0), train_1=numbered(1), val_0=numbered(0, 1))
    (tmp_path / "classes.txt").write_text("cat\ndog")
    (tmp_path / ".hidden.tar").write_bytes(b"x")
    data = folder(tmp_path, "train", short=6, broken=0)
    assert (data.classes, data.labels.tolist()) == (("cat", "dog"), [0, 1, 0, 1])
    for image, seed in zip(data.images, (0, 1, 2, 0), strict=True):
        assert np.array_equal(image.numpy(), np.asarray(Image.open(io.BytesIO(picture(seed))))[:, 1:7].transpose(2, 0, 1))
    assert folder(tmp_path, "test", short=6, broken=0).labels.tolist() == [0, 1]


def test_shards_without_split_are_divided(tmp_path: Path) -> None:
    found = find(write(tmp_path, a=numbered(*[0, 1] * 10)))
    assert {split: len(part) for split, part in parts(found).items()} == {"train": 16, "test": 4}


def test_some_shards_say_their_split_and_some_do_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"says train, val or test of some pictures but not of 'more.tar/0000.png'"):
        find(write(tmp_path, train_0=numbered(0, 1), val_0=numbered(0, 1), more=numbered(0, 1)))


def test_class_folders_come_before_archives_that_lie_beside_them(tmp_path: Path) -> None:
    write(tmp_path, original=numbered(0, 1))
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for n in range(2):
            (tmp_path / label / f"{n}.png").write_bytes(picture(n))
    assert find(tmp_path).classes == ("cat", "dog")


def test_a_broken_picture_in_a_shard_is_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        train_0=[*numbered(0, 1), ("x.png", b"no picture"), ("x.cls", b"0"), ("y.png", b""), ("y.cls", b"0")],
        val_0=numbered(0, 1),
    )
    with pytest.warns(GipiWarning, match=r"train-0.tar/x.png \(10 bytes\) is not a PNG(.*\n)* *train-0.tar/y.png is empty"):
        assert len(folder(tmp_path, "train", short=6, broken=0.5)) == 2
