"""The idx format and the two data sets in it."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gipi.data import mnist as module
from gipi.data.fetch import RemoteFile, data_folders
from gipi.data.mnist import FASHION, MNIST, fashion_mnist, mnist, read_idx
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, DataError

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def encode(values: Tensor) -> bytes:
    """The format's description, written down a second time."""
    header = b"\x00\x00\x08" + bytes([values.ndim])
    for size in values.shape:
        header += size.to_bytes(4, "big")
    return header + bytes(values.flatten().tolist())


def ramp(shape: list[int] | tuple[int, ...]) -> Tensor:
    return (torch.arange(math.prod(shape)) * 37 % 256).to(torch.uint8).view(*shape)


# The format


@given(SHAPES, st.booleans())
@settings(max_examples=40, deadline=None)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, shape: list[int], packed: bool) -> None:
    values = ramp(shape)
    path = tmp_path_factory.mktemp("idx") / ("values.gz" if packed else "values")
    path.write_bytes(gzip.compress(encode(values)) if packed else encode(values))
    got = read_idx(path)
    assert got.dtype == torch.uint8
    assert got.shape == values.shape
    assert torch.equal(got, values)
    got += 1  # it is the caller's own memory, writable


@given(SHAPES, st.booleans(), st.data())
@settings(max_examples=60, deadline=None)
def test_no_part_of_a_file_is_a_file(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], packed: bool, data: st.DataObject
) -> None:
    whole = gzip.compress(encode(ramp(shape))) if packed else encode(ramp(shape))
    path = tmp_path_factory.mktemp("idx") / ("values.gz" if packed else "values")
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DataError, match=r"expected .* got "):
        read_idx(path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_in_a_packed_file_is_seen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    values = ramp([4, 5, 6])
    whole = gzip.compress(encode(values))
    at = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.mktemp("idx") / "values.gz"
    path.write_bytes(whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :])
    try:
        got = read_idx(path)
    except DataError:
        return
    assert torch.equal(got, values), "only bytes of the gzip header that mean nothing may pass"


GOOD = encode(ramp([2, 3]))
CORRUPT = {
    "empty": (b"", "begins 00 00 08 .* got nothing"),
    "a page": (b"<html><body>404</body></html>", "begins 00 00 08 .* got 3c 68 74 6d"),
    "first byte": (b"\x01" + GOOD[1:], "got 01 00 08 02"),
    "second byte": (b"\x00\x01" + GOOD[2:], "got 00 01 08 02"),
    "no dimensions": (b"\x00\x00\x08\x00\x07", "got 00 00 08 00"),
    "five dimensions": (b"\x00\x00\x08\x05" + struct.pack(">5I", 1, 1, 1, 1, 1) + b"\x07", "got 00 00 08 05"),
    "signed bytes": (b"\x00\x00\x09" + GOOD[3:], "element type 08, unsigned byte, got 09"),
    "floats": (b"\x00\x00\x0d" + GOOD[3:], "element type 08, unsigned byte, got 0d"),
    "header cut": (GOOD[:10], "2 dimensions, got a file that ends after 10 bytes"),
    "one byte short": (GOOD[:-1], r"6 elements for shape \(2, 3\), got 5"),
    "one byte more": (GOOD + b"\x00", r"6 elements for shape \(2, 3\), got more"),
    "nothing in it": (encode(torch.empty(0, 3)), r"1 to 268,435,456 elements, got a header of shape \(0, 3\)"),
    "a giant": (b"\x00\x00\x08\x04" + b"\xff" * 16, "1 to 268,435,456 elements, got a header of shape"),
    "a claim": (b"\x00\x00\x08\x01" + struct.pack(">I", 1 << 28), "268,435,456 elements for shape .* got 0"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("content", "reason"), CORRUPT.values(), ids=CORRUPT)
def test_corruption(tmp_path: Path, content: bytes, reason: str, packed: bool) -> None:
    path = tmp_path / ("values.gz" if packed else "values")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=f"{path.name}: expected .*{reason}.*; delete it or replace it"):
        read_idx(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "plain.gz").write_bytes(GOOD)
    (tmp_path / "folder").mkdir()
    (tmp_path / "two.gz").write_bytes(gzip.compress(GOOD) + b"rubbish")
    for name in ("plain.gz", "folder", "two.gz", "absent"):
        with pytest.raises(DataError, match=f"{name}: expected a readable file, got "):
            read_idx(tmp_path / name)


# A data set of small files of our own


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    return tmp_path / "mnist"


def put(folder: Path, images: Tensor, labels: Tensor, split: str = "train") -> None:
    (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(encode(images)))
    (folder / f"{split}-labels-idx1-ubyte").write_bytes(encode(labels))


def test_splits_images_and_labels(folder: Path) -> None:
    train, test = ramp([3, 28, 28]), ramp([2, 28, 28]).flip(2)
    put(folder, train, torch.tensor([9, 0, 4]))
    put(folder, test, torch.tensor([1, 2]), split="t10k")
    for split, images, labels in (("train", train, [9, 0, 4]), ("test", test, [1, 2])):
        got = mnist(split)
        assert (got.name, got.split, got.classes) == ("mnist", split, tuple("0123456789"))
        assert torch.equal(got.images, images[:, None])
        assert got.labels.tolist() == labels
        assert got.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ([3, 28, 28], [1, 2], r"train-labels.*: expected labels of shape \(3,\) as in .*train-images.*, got \(2,\)"),
        ([3, 28, 28], [[1], [2], [3]], r"train-labels.*: expected labels of shape \(3,\).*, got \(3, 1\)"),
        ([3, 28, 27], [1, 2, 3], r"train-images.*: expected images of shape \(n, 28, 28\), got \(3, 28, 27\)"),
        ([3, 784], [1, 2, 3], r"train-images.*: expected images of shape \(n, 28, 28\), got \(3, 784\)"),
        ([3, 28, 28], [1, 10, 3], "labels run from 1 to 10, allowed are 0 to 9"),
    ],
)
def test_files_that_do_not_fit(folder: Path, images: list[int], labels: list[int], message: str) -> None:
    put(folder, ramp(images), torch.tensor(labels))
    with pytest.raises(DataError, match=message):
        mnist("train")


@pytest.mark.parametrize("dataset", [mnist, fashion_mnist])
def test_unknown_split(dataset: Callable[[str], ImageSet]) -> None:
    with pytest.raises(ConfigError, match=r"no split 'tests'; did you mean 'test'\? \(allowed: test, train\)"):
        dataset("tests")


def test_mirrors() -> None:
    files = [file for splits in (MNIST, FASHION) for split in splits.values() for file in split]
    assert len({file.sha256 for file in files}) == 8
    for file in files:
        assert len(set(file.urls)) >= 2
        assert all(url.startswith(("http://", "https://")) and url.endswith("/" + file.name) for url in file.urls)
    assert [file.name for split in MNIST.values() for file in split] == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]


# The real files, where this machine has them


def local(name: str, file: RemoteFile) -> Path | None:
    paths = [folder / spelling for folder in data_folders(name) for spelling in (file.name, file.name[:-3])]
    return next((path for path in paths if path.is_file()), None)


def real(name: str) -> list[Path]:
    files = [file for split in {"mnist": MNIST, "fashion-mnist": FASHION}[name].values() for file in split]
    found = [local(name, file) for file in files]
    if None in found:
        pytest.skip(f"the files of {name} are not on this machine")
    return [path for path in found if path]


MD5 = {
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion-mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}


@pytest.mark.parametrize("name", MD5)
def test_the_standard_files_and_our_constants(name: str) -> None:
    files = [file for split in {"mnist": MNIST, "fashion-mnist": FASHION}[name].values() for file in split]
    for path, md5, file in zip(real(name), MD5[name], files, strict=True):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert hashlib.md5(content).hexdigest() == md5
        assert hashlib.sha256(content).hexdigest() == file.sha256
        assert len(content) == file.limit


def test_real_mnist() -> None:
    real("mnist")
    train, test = mnist("train"), mnist("test")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert train.images.float().mean() / 255 == pytest.approx(0.1307, abs=5e-5)  # the mean everyone normalises with


def test_real_fashion_mnist() -> None:
    real("fashion-mnist")
    train, test = fashion_mnist("train"), fashion_mnist("test")
    assert train.name == "fashion-mnist"
    assert train.labels.bincount().tolist() == [6000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    assert train.classes[9] == module.GARMENTS[train.labels[0]] == "Ankle boot"
    assert train.images.float().mean() / 255 == pytest.approx(0.2860, abs=5e-5)
