"""Images and masks of several sizes brought to one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gipi.data.entry import Entry
from gipi.data.mask_read import Pixels
from gipi.data.mask_size import fitted
from gipi.data.sizes import check_memory, common_size
from gipi.errors import DataError
from gipi.ops.image import scale, scale_masks
from oracle.mask_folders import numbers
from oracle.photos import photo


def entries(folder: Path, sizes: list[tuple[int, int]]) -> list[Entry]:
    files = [photo(folder / f"{number}.png", number, size) for number, size in enumerate(sizes)]
    return [Entry(file, 0, "", file.name) for file in files]


def test_the_commonest_size_by_the_heads_of_files(tmp_path: Path) -> None:
    made = entries(tmp_path, [(12, 9), (24, 18), (20, 10), (20, 10), (9, 12)])
    assert common_size(made, 0) == (10, 20)
    assert common_size(made, 6) == (6, 8), "two that are scaled to the same come first"
    assert common_size(made[:2], 0) == (9, 12), "the first of several as frequent"
    made[2].path.write_bytes(b"broken")
    made[3].path.unlink()
    assert common_size(made[2:], 0) == (12, 9)
    assert common_size(made[2:4], 0) == (1, 1)


def test_a_camera_on_its_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 9)).save(tmp_path / "0.png", exif=exif)
    assert common_size([Entry(tmp_path / "0.png", 0, "", "0")], 0) == (12, 9)


@pytest.mark.parametrize(
    ("size", "short", "common", "made"),
    [
        ((9, 12), 0, (9, 12), (9, 12)),
        ((9, 12), 6, (6, 8), (6, 8)),
        ((9, 12), 6, (6, 9), (6, 8)),
        ((12, 9), 6, (6, 8), (6, 4)),  # rounded from 4.5
        ((100, 10), 0, (9, 12), (9, 1)),
        ((1, 300), 0, (9, 12), (1, 12)),
        ((3, 4), 0, (9, 12), (9, 12)),
    ],
)
def test_others_are_scaled_to_fit(size, short, common, made) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    mask = numbers(0, size[::-1])
    got_image, got_mask = fitted(Pixels(image, mask), short, common)
    assert torch.equal(got_image, scale(torch.from_numpy(image).permute(2, 0, 1), made))
    assert torch.equal(got_mask, scale_masks(torch.from_numpy(mask), made))


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="the system does not tell its memory")
def test_more_than_the_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    check_memory("set", 1000, (32, 32), channels=4)
    with pytest.raises(DataError, match=r"set: 1,001 images of 32x32 need 0.0 GB, .* scale them down by --data.size"):
        check_memory("set", 1001, (32, 32), channels=4)
