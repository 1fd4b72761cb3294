"""MNIST and Fashion-MNIST: 28x28 grey pictures of ten classes, 60,000 for training and 10,000 for test.

MNIST: handwritten digits. Y. LeCun, C. Cortes, C. Burges; in LeCun, Bottou, Bengio, Haffner, "Gradient-based learning
applied to document recognition", Proceedings of the IEEE 86(11), 1998. Licence CC BY-SA 3.0.
Fashion-MNIST: clothing. H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", arXiv:1708.07747, 2017. Licence MIT.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from gipi.data.fetch import RemoteFile, local_files
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, DataError, nearest

LARGEST = 1 << 28  # bytes; the training images are 47 MB
GARMENTS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FILES = (  # name, bytes when unpacked
    ("train-images-idx3-ubyte.gz", 16 + 60_000 * 28 * 28),
    ("train-labels-idx1-ubyte.gz", 8 + 60_000),
    ("t10k-images-idx3-ubyte.gz", 16 + 10_000 * 28 * 28),
    ("t10k-labels-idx1-ubyte.gz", 8 + 10_000),
)


def _splits(mirrors: tuple[str, ...], digests: tuple[str, ...]) -> dict[str, list[RemoteFile]]:
    """Images and labels of each split; `digests` in the order of FILES."""
    files = [
        RemoteFile(name, tuple(mirror + name for mirror in mirrors), sha256, size)
        for (name, size), sha256 in zip(FILES, digests, strict=True)
    ]
    return {"train": files[:2], "test": files[2:]}


MNIST = _splits(
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
FASHION = _splits(
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def mnist(split: str) -> ImageSet:
    """Handwritten digits, white on black, images (n, 1, 28, 28).

    split: 'train', 60,000 images, or 'test', 10,000 images by other writers.
    Raises ConfigError for another split, DataError if the files cannot be had or are broken.
    """
    return replace(_load("mnist", tuple("0123456789"), MNIST, split), framing="digit")


def fashion_mnist(split: str) -> ImageSet:
    """Clothing, bright on black, images (n, 1, 28, 28).

    split: 'train', 60,000 images, 6,000 a class, or 'test', 10,000 images, 1,000 a class.
    Raises ConfigError for another split, DataError if the files cannot be had or are broken.
    """
    return _load("fashion-mnist", GARMENTS, FASHION, split)


def _load(name: str, classes: tuple[str, ...], files: dict[str, list[RemoteFile]], split: str) -> ImageSet:
    if split not in files:
        raise ConfigError(f"data set {name!r} has no split {split!r}{nearest(split, files)}")
    image_path, label_path = local_files(name, files[split])
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3 or images.shape[1:] != (28, 28):
        raise _broken(image_path, "images of shape (n, 28, 28)", str(tuple(images.shape)))
    if labels.shape != images.shape[:1]:
        raise _broken(label_path, f"labels of shape ({len(images)},) as in {image_path}", str(tuple(labels.shape)))
    return ImageSet(name, split, classes, images.unsqueeze(1), labels.long())


def read_idx(path: Path) -> UInt8[Tensor, "*shape"]:
    """The array of unsigned bytes in an idx file, which is packed with gzip if its name ends in `.gz`.

    The format: two zero bytes, the element type (8 is unsigned byte), the number of dimensions (here 1 to 4), each
    dimension as a big-endian 32-bit number, then the elements, last dimension fastest.
    Raises DataError if the file cannot be read or is anything else, down to one byte too few or too many.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, "a readable file", str(error)) from error


def _parse(file: io.BufferedIOBase, path: Path) -> UInt8[Tensor, "*shape"]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= 4:
        raise _broken(path, "an idx file, which begins 00 00 08 and 01 to 04", magic.hex(" ") or "nothing")
    if magic[2] != 8:
        raise _broken(path, "element type 08, unsigned byte", f"{magic[2]:02x}")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise _broken(path, f"{magic[3]} dimensions", f"a file that ends after {4 + len(sizes)} bytes")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    count = math.prod(shape)
    if not 0 < count <= LARGEST:
        raise _broken(path, f"1 to {LARGEST:,} elements", f"a header of shape {shape}")
    content = torch.empty(shape, dtype=torch.uint8)
    got = file.readinto(content.view(-1).numpy().data)
    if got < count:
        raise _broken(path, f"{count:,} elements for shape {shape}", f"{got:,}")
    if file.read(1):  # reaching the end also makes gzip compare its checksum
        raise _broken(path, f"{count:,} elements for shape {shape}", "more")
    return content


def _broken(path: Path, expected: str, got: str) -> DataError:
    return DataError(f"{path}: expected {expected}, got {got}; delete it or replace it with a whole copy")
