"""CIFAR-10: 32x32 colour pictures of ten things, 50,000 for training and 10,000 for test.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, 2009. No explicit licence.

Two forms are read. The canonical one is the binary archive of the author's page. The other is a copy in JPEG (quality 75), the
file `cifar10_SPLIT_jpeg.npz` with `jpeg` (all bytes), `offset` and `label`: its pixels differ a little, so scores on it are not
exactly comparable with published ones. Where both are found the canonical one is taken; the set's name says which it was.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from gipi.data.fetch import RemoteFile, data_folders, local_files
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, DataError, nearest

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = {"train": 50_000, "test": 10_000}
ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    200_000_000,
    as_is=True,
)
PARTS = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
RECORD = 1 + 3 * 32 * 32  # label, then the planes of red, green and blue
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the training pixels


def cifar10(split: str) -> ImageSet:
    """Pictures of ten things, images (n, 3, 32, 32).

    split: 'train', 5,000 images a class, or 'test', 1,000 a class.
    Raises ConfigError for another split, DataError if the files cannot be had or are broken.
    """
    if split not in COUNTS:
        raise ConfigError(f"data set 'cifar10' has no split {split!r}{nearest(split, COUNTS)}")
    folders = data_folders("cifar10")
    copies = [path for folder in folders if (path := folder / f"cifar10_{split}_jpeg.npz").is_file()]
    canonical = any((folder / ARCHIVE.name).is_file() for folder in folders)
    if copies and not canonical:
        name, (images, labels) = "cifar10-jpeg", _read_jpegs(copies[0])
    else:
        [archive] = local_files("cifar10", [ARCHIVE])
        name, (images, labels) = "cifar10", _read_archive(archive, PARTS[split])
    return ImageSet(name, split, CLASSES, images, labels, mean=MEAN, std=STD)


def _read_archive(path: Path, parts: list[str]) -> tuple[UInt8[Tensor, "n 3 32 32"], Tensor]:
    try:
        with tarfile.open(path) as archive:
            files = {Path(member.name).name: member for member in archive if member.isfile()}
            data = b"".join(archive.extractfile(files[part]).read() for part in parts)  # pyright: ignore[reportOptionalMemberAccess]
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise _broken(path, f"{', '.join(parts)} in it: {error}") from error
    if not data or len(data) % RECORD:
        raise _broken(path, f"records of {RECORD} bytes, got {len(data):,} in all")
    records = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32).contiguous(), records[:, 0].long()


def _read_jpegs(path: Path) -> tuple[UInt8[Tensor, "n 3 32 32"], Tensor]:
    try:
        with np.load(path) as file:
            data, offset, labels = file["jpeg"].tobytes(), file["offset"].astype(np.int64), file["label"]
        pictures = np.stack([_decode(data[start:end]) for start, end in pairwise(offset)])
    except (OSError, KeyError, ValueError, SyntaxError, EOFError, zipfile.BadZipFile) as error:
        raise _broken(path, f"32x32 JPEGs: {error}") from error
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long()


def _decode(data: bytes) -> UInt8[np.ndarray, "32 32 3"]:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        if image.size != (32, 32):
            raise ValueError(f"an image of {image.width}x{image.height}")
        return np.asarray(image.convert("RGB"))


def _broken(path: Path, expected: str) -> DataError:
    return DataError(f"{path}: expected {expected}; delete it or replace it with a whole copy")
