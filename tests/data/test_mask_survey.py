"""A set of images and masks with one of every fault, and what is said of it; what is refused is what training refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gipi.data.mask_findings import Count, MaskSurvey
from gipi.data.mask_folder import mask_folder
from gipi.data.mask_survey import mask_survey
from gipi.errors import DataError
from gipi.ops.segmentation import VOID
from oracle.mask_folders import mask, numbers, pairs, twins
from oracle.photos import photo

GOOD = {"train": 4, "val": 1, "test": 2}


def plain(number: int) -> np.ndarray:
    return np.full((9, 12), number, np.uint8)


def test_a_good_set(tmp_path: Path) -> None:
    found = mask_survey(twins(tmp_path, GOOD))
    assert found.trainable
    assert list(found.images.items()) == [("train", 4), ("validation", 1), ("test", 2)]
    assert found.sizes == {"12x9": 7}
    for split, folder in (("train", "train"), ("validation", "val"), ("test", "test")):
        masks = [np.array(Image.open(path)) for path in (tmp_path / "masks" / folder).iterdir()]
        for label, name in enumerate(("sky", "road", "car")):
            expected = Count(sum(int((m == label).sum()) for m in masks), sum(bool((m == label).any()) for m in masks))
            assert found.classes[split][name] == expected
        assert found.void[split] == (0, 0)
    assert found.verdicts() == ["ready to train"]
    empty = (found.error, found.partners, found.unreadable, found.mismatched, found.forms, found.unknown, found.empty)
    assert empty == ("", (), {}, {}, {}, (), ())
    assert (found.uniform, found.equal, found.left_out, found.refusals) == ({}, (), (), ())


def bad(root: Path) -> Path:
    """One of every fault, in train but where it is said."""
    twins(root, {"train": 12, "val": 1, "test": 2})
    masks, images = root / "masks" / "train", root / "images" / "train"
    pixels = plain(0)
    pixels[0, :4], pixels[1, 0] = 7, 9
    mask(masks / "0.png", pixels)
    mask(masks / "1.png", numbers(0, (10, 9)))
    mask(masks / "2.png", np.zeros((9, 12, 3), np.uint8))
    Image.fromarray(plain(1)).save(masks / "3.png", "JPEG")
    (images / "4.png").write_bytes(b"")
    (masks / "5.png").unlink()
    mask(masks / "lonely.png", plain(0))
    mask(masks / "6.png", plain(VOID))
    mask(masks / "7.png", plain(1))
    shutil.copy(images / "8.png", root / "images" / "test" / "0.png")
    shutil.copy(images / "8.png", images / "9.png")
    photo(images / "10.png", 5, (24, 9))
    mask(masks / "10.png", numbers(5, (24, 9)))
    (images / "notes.md").write_text("x")
    return root


def test_every_fault_is_told_by_its_file(tmp_path: Path) -> None:
    found = mask_survey(bad(tmp_path))
    assert not found.trainable
    assert found.images == {"train": 11, "validation": 1, "test": 2}
    assert found.unknown == (("masks/train/0.png", "7", 4), ("masks/train/0.png", "9", 1))
    assert list(found.mismatched) == ["masks/train/1.png"]
    assert found.mismatched["masks/train/1.png"].startswith("is 10x9 pixels, its image images/train/1.png 12x9")
    assert list(found.forms) == ["masks/train/2.png", "masks/train/3.png"]
    assert found.unreadable == {"images/train/4.png": "is empty (0 bytes); allowed are PNG, JPEG, WEBP, BMP, GIF, TIFF files"}
    assert [sentence.split(":")[0] for sentence in found.partners] == ["images/train/5.png", "masks/train/lonely.png"]
    assert found.empty == ("masks/train/6.png",)
    assert found.uniform == {"masks/train/7.png": "road"}
    assert found.equal == ((("images/train/8.png", "train"), ("images/train/9.png", "train"), ("images/test/0.png", "test")),)
    assert found.sizes == {"12x9": 8, "24x9": 1}, "of the pairs that can be used"
    assert found.left_out == ("images/train/notes.md: no picture by its name",)
    assert found.void["train"] == (108, 1)
    assert found.refusals == (
        "files without a partner: 2; add it or remove them",
        "masks of train that are wrong: 4; mend them, or remove them with their images",
    )


def test_what_the_faults_mean_is_said(tmp_path: Path) -> None:
    found = mask_survey(bad(tmp_path))
    said = "\n".join(found.verdicts())
    for sentence in (
        "not ready to train: files without a partner: 2",
        "masks that are all void: 1; nothing is learnt from them",
        "masks that are all of one class: 1",
        "test or validation images that are in train, too: 1; scores will be too good",
        "sizes of images: 2; those that differ are scaled to fit the commonest",
    ):
        assert sentence in said
    assert "cannot be read" not in said, "which hinders less than what refuses"
    text = found.text()
    for line in (
        "masks/train/0.png: 7, 4 pixels",
        "masks/train/1.png is 10x9 pixels",
        "masks/train/lonely.png: no image of this name",
        "images/train/8.png (train) = images/train/9.png (train) = images/test/0.png (test)",
        "without a partner: 2",
        "all of one class: 1\n  masks/train/7.png: road",
        "width x height  12x9 8, 24x9 1",
    ):
        assert line in text


def test_classes_that_are_not_there_and_that_are_rare(tmp_path: Path) -> None:
    twins(tmp_path, GOOD, "sky\nroad\ncar\nbus\n", size=(60, 40))
    for path in (tmp_path / "masks" / "train").iterdir():
        pixels = np.zeros((40, 60), np.uint8)
        pixels[0, 0], pixels[20:] = 1, 2
        mask(path, pixels)
    found = mask_survey(tmp_path)
    assert found.trainable
    assert found.absent() == ["bus"]
    assert any("classes in no mask of train: bus; a net cannot learn them" in said for said in found.verdicts())
    assert any("less than 0.1% of the labelled pixels of train: road; weigh" in said for said in found.verdicts())


def test_a_mask_of_0_and_255_is_told_how_to_be_meant(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 3, "test": 1}, "ground\nthing\n")
    for path in (tmp_path / "masks").rglob("*.png"):
        mask(path, np.where(numbers(0) > 1, 255, 0).astype(np.uint8))
    assert any(
        "in no mask of train: thing" in said and "255 in a mask is void" in said for said in mask_survey(tmp_path).verdicts()
    )
    (tmp_path / "classes.txt").write_text("0 ground\n255 thing\n")
    assert mask_survey(tmp_path).verdicts() == ["ready to train"]


def test_the_table_has_shares_and_masks(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 2, "test": 1}, "sky\nroad\n")
    for path, number in (("train/0", 0), ("train/1", 1), ("test/0", VOID)):
        pixels = plain(0)
        pixels[:3] = number
        mask(tmp_path / "masks" / f"{path}.png", pixels)
    assert mask_survey(tmp_path).text().splitlines()[1:6] == [
        "             train    masks        test    masks",
        "sky         83.33%        2      66.67%        1",
        "road        16.67%        1       0.00%        0",
        "(void)       0.00%        0      33.33%        1",
        "all                       2                    1",
    ]


def test_few_unreadable_ones_are_left_out_and_many_refused(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 120, "test": 1})
    (tmp_path / "images" / "train" / "0.png").write_bytes(b"x")
    found = mask_survey(tmp_path)
    assert found.trainable
    assert found.verdicts() == ["ready to train", "images or masks that cannot be read: 1; they are left out"]
    (tmp_path / "masks" / "train" / "1.png").write_bytes(b"x")
    found = mask_survey(tmp_path)
    assert not found.trainable
    assert found.refusals[0].startswith("2 of 120 images or masks of train cannot be read: training refuses above 1%")


def test_all_void(tmp_path: Path) -> None:
    for path in (twins(tmp_path, GOOD) / "masks" / "test").iterdir():
        mask(path, plain(VOID))
    assert mask_survey(tmp_path).refusals == ("every pixel of every mask of test is void: label some",)


def test_an_unknown_layout_is_told(tmp_path: Path) -> None:
    found = mask_survey(tmp_path)
    assert not found.trainable
    assert found.error.startswith(f"{tmp_path} has no images with masks in a layout that is known")
    assert found.text().splitlines()[0] == str(tmp_path)
    assert json.loads(json.dumps(found.json()))["trainable"] is False


def test_json_holds_everything(tmp_path: Path) -> None:
    found = json.loads(json.dumps(mask_survey(bad(tmp_path)).json()))
    assert set(found) == {*MaskSurvey.__dataclass_fields__, "trainable", "verdicts"} - {"void"}
    assert found["classes"]["train"]["(void)"] == {"pixels": 108, "masks": 1}
    assert found["unknown"][0] == {"file": "masks/train/0.png", "value": "7", "pixels": 4}
    assert found["equal"][0][2] == {"name": "images/test/0.png", "split": "test"}


FAULTS = {
    "none": lambda root: None,
    "unknown": lambda root: mask(root / "masks/train/0.png", plain(3)),
    "size": lambda root: mask(root / "masks/train/0.png", numbers(0, (9, 12))),
    "colours": lambda root: mask(root / "masks/train/0.png", np.zeros((9, 12, 3), np.uint8)),
    "lossy": lambda root: Image.fromarray(plain(0)).save(root / "masks/train/0.png", "JPEG"),
    "partner": lambda root: (root / "masks/train/0.png").unlink(),
    "image": lambda root: (root / "images/train/0.png").write_bytes(b""),
    "void": lambda root: mask(root / "masks/test/0.png", plain(VOID)),
    "list": lambda root: (root / "classes.txt").write_text("sky\nsky\n"),
    "no list": lambda root: (root / "classes.txt").unlink(),
    "one class": lambda root: mask(root / "masks/train/0.png", plain(1)),
    "sizes": lambda root: pairs(root, "images/train", "masks/train", ["wide"], (30, 9)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_ready_if_and_only_if_all_splits_can_be_had(fault: str, tmp_path: Path) -> None:
    FAULTS[fault](twins(tmp_path, {"train": 4, "test": 1}))
    try:
        for split in ("train", "test"):
            mask_folder(tmp_path, split)
        ready = True
    except DataError:
        ready = False
    assert mask_survey(tmp_path).trainable == ready
    assert ready == (fault in ("none", "one class", "sizes"))
