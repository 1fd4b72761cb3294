"""Folders of images and masks as data sets, and every fault of theirs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gipi.data.mask_folder import mask_folder
from gipi.data.mask_legend import palette_colour
from gipi.data.masks import MaskSet
from gipi.errors import ConfigError, DataError, GipiWarning
from gipi.ops.image import scale_masks, scale_short, scale_short_masks
from gipi.ops.segmentation import VOID
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD
from oracle.mask_folders import mask, numbers, pairs, twins
from oracle.photos import photo


def image_at(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def mask_at(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path)))


def test_images_masks_and_all_that_is_said_of_them(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 3, "val": 1, "test": 2})
    for split, folder, count in (("train", "train", 3), ("validation", "val", 1), ("test", "test", 2)):
        data = mask_folder(tmp_path, split)
        assert (data.name, data.split, len(data)) == (str(tmp_path), split, count)
        assert data.names == tuple(f"images/{folder}/{number}.png" for number in range(count))
        for number in range(count):
            assert torch.equal(data.images[number], image_at(tmp_path / "images" / folder / f"{number}.png"))
            assert torch.equal(data.labels[number], mask_at(tmp_path / "masks" / folder / f"{number}.png"))
    assert data.classes == ("sky", "road", "car")
    assert data.colours == tuple(palette_colour(number) for number in range(3))
    assert (data.mean, data.std) == (IMAGENET_MEAN, IMAGENET_STD)


def test_all_are_brought_to_a_shorter_side(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 2}, size=(40, 30))
    whole, small = (mask_folder(tmp_path, "train", short=short) for short in (0, 15))
    assert small.images.shape == (len(small), 3, 15, 20)
    assert torch.equal(small.images, scale_short(whole.images, 15))
    assert torch.equal(small.labels, scale_short_masks(whole.labels, 15))


def test_the_commonest_size_is_taken_and_others_are_filled_up(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 3, "test": 1})
    pairs(tmp_path, "images/train", "masks/train", ["tall"], (18, 36))
    data = mask_folder(tmp_path, "train")
    assert data.images.shape == (4, 3, 9, 12)
    tall = data.names.index("images/train/tall.png")
    assert torch.equal(data.labels[tall, :, :4], scale_masks(mask_at(tmp_path / "masks/train/tall.png"), (9, 4)))
    assert (data.labels[tall, :, 4:] == VOID).all()
    assert (data.images[tall, :, :, 4:] == 0).all()
    assert (data.images[tall, :, :, :4] > 0).any()
    assert (data.pixel_counts()[tall].sum(), data.pixel_counts()[0].sum()) == (36, 108)


def test_colour_masks_become_numbers(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 2, "test": 1}, "void 0 0 0\nroad 128 64 128\ncar 0 0 142\n")
    colours, meaning = np.array([[0, 0, 0], [128, 64, 128], [0, 0, 142]], np.uint8), np.array([VOID, 0, 1], np.uint8)
    expected = mask_folder(tmp_path, "train")
    for split in ("train", "test"):
        for path in (tmp_path / "masks" / split).iterdir():
            mask(path, colours[np.array(Image.open(path))])
    data = mask_folder(tmp_path, "train")
    assert data.digest() == expected.digest()
    assert np.array_equal(data.labels[0], meaning[numbers(sum(b"images/train0"))])
    assert data.colours == ((128, 64, 128), (0, 0, 142)), "as the list says, for drawing"


# What is wrong


def faulty(folder: Path) -> Path:
    return twins(folder, {"train": 4, "test": 1})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: mask(p, np.full((9, 12), 3, np.uint8)), r"has values of no class: 3 \(108 pixels\); allowed are 0, 1, 2, 255"),
        (lambda p: mask(p, numbers(0, (12, 10))), "is 12x10 pixels, its image images/train/1.png 12x9"),
        (lambda p: mask(p, np.zeros((9, 12, 3), np.uint8)), "has colours, but classes.txt does not say of which classes"),
        (lambda p: Image.fromarray(numbers(0)).save(p, "JPEG"), "is a JPEG file, which may change the numbers of pixels"),
    ],
    ids=["unknown", "size", "colours", "lossy"],
)
def test_a_wrong_mask_is_named_and_never_left_out(spoil, says: str, tmp_path: Path) -> None:
    spoil(faulty(tmp_path) / "masks" / "train" / "1.png")
    with pytest.raises(DataError, match=rf"\(train\): masks that are wrong: 1; see gipi check .*\n  masks/train/1.png {says}"):
        mask_folder(tmp_path, "train", broken=1)
    assert len(mask_folder(tmp_path, "test")) == 1, "the other split is not looked at"


def test_files_without_a_partner(tmp_path: Path) -> None:
    (faulty(tmp_path) / "masks" / "train" / "2.png").unlink()
    with pytest.raises(DataError, match=r"files without a partner: 1:\n  images/train/2.png: no mask masks/train/2.png"):
        mask_folder(tmp_path, "train")


@pytest.mark.parametrize("side", ["images", "masks"])
def test_some_may_be_unreadable_and_are_left_out_with_a_warning(side: str, tmp_path: Path) -> None:
    whole = mask_folder(faulty(tmp_path), "train")
    (tmp_path / side / "train" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 4 images or their masks \(25.0%\) cannot be read:(.|\n)*allow --data.broken 0.25"):
        mask_folder(tmp_path, "train")
    with pytest.warns(GipiWarning, match=rf"{side}/train/1.png is empty(.|\n)*they are left out"):
        data = mask_folder(tmp_path, "train", broken=0.25)
    assert data.digest() == whole.subset(torch.tensor([0, 2, 3]), "train").digest()
    assert data.names == tuple(f"images/train/{number}.png" for number in (0, 2, 3))


def test_all_unreadable(tmp_path: Path) -> None:
    for path in (faulty(tmp_path) / "images" / "train").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="None is left"):
        mask_folder(tmp_path, "train", broken=1)


def test_a_set_without_a_label(tmp_path: Path) -> None:
    for path in (faulty(tmp_path) / "masks" / "train").iterdir():
        mask(path, np.full((9, 12), VOID, np.uint8))
    with pytest.raises(DataError, match=r"every pixel of every mask is void \(255\)"):
        mask_folder(tmp_path, "train")


def test_one_image_without_a_label_is_kept(tmp_path: Path) -> None:
    mask(faulty(tmp_path) / "masks" / "train" / "1.png", np.full((9, 12), VOID, np.uint8))
    assert mask_folder(tmp_path, "train").pixel_counts().sum(1).tolist() == [108, 0, 108, 108]


def test_a_split_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no split 'tests'; did you mean 'test'"):
        mask_folder(faulty(tmp_path), "tests")


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    (faulty(tmp_path) / "images" / "train" / "notes.md").write_text("x")
    with pytest.warns(GipiWarning, match=r"files left out: 1: images/train/notes.md: no picture by its name"):
        mask_folder(tmp_path, "train")


def test_more_than_fits_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 10, raising=False)
    with pytest.raises(DataError, match=r"\(train\): 4 images of 9x12 need .* scale them down by --data.size"):
        mask_folder(faulty(tmp_path), "train")


def test_a_home_folder_and_no_warning_for_a_clean_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty(tmp_path / "set")
    photo(tmp_path / "set" / "cover.jpg")  # beside the folders, where anything may lie
    monkeypatch.setenv("HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = mask_folder(Path("~/set"), "train")
    assert isinstance(data, MaskSet)
    assert len(data) == 4
