"""Images and masks found in every layout, and what has no partner."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gipi.data.mask_layout import find_masks, is_mask_folder
from gipi.data.mask_legend import VOC
from gipi.errors import ConfigError, DataError
from oracle.mask_folders import CLASSES, pairs, twins
from oracle.photos import photo, photos


def names(root: Path) -> dict[str, list[tuple[str, str]]]:
    return {split: [(p.image.name, p.mask_name) for p in part] for split, part in find_masks(root).pairs().items()}


def voc(root: Path, lists: dict[str, list[str]], stems: str = "abcdef") -> Path:
    pairs(root, "JPEGImages", "SegmentationClass", stems)
    for name, named in lists.items():
        (root / "ImageSets" / "Segmentation").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("\n".join(named) + "\n")
    return root


def annotated(root: Path, splits: dict[str, str]) -> Path:
    for split, stems in splits.items():
        pairs(root, split, f"{split}annot", stems)
    (root / "classes.txt").write_text(CLASSES)
    return root


# Layouts


def test_twin_folders_with_splits(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 2, "val": 1, "Test": 1})
    assert is_mask_folder(tmp_path)
    assert names(tmp_path) == {
        "train": [("images/train/0.png", "masks/train/0.png"), ("images/train/1.png", "masks/train/1.png")],
        "validation": [("images/val/0.png", "masks/val/0.png")],
        "test": [("images/Test/0.png", "masks/Test/0.png")],
    }
    found = find_masks(tmp_path)
    assert found.legend.classes == ("sky", "road", "car")
    assert all(pair.image.path.is_file() and pair.mask.is_file() for part in found.pairs().values() for pair in part)
    assert (found.faults, found.found.left_out) == ((), ())


def test_twin_folders_alone_are_divided_the_same_way_everywhere(tmp_path: Path) -> None:
    twins(tmp_path / "here", {"": 20})
    twins(tmp_path / "there", {"": 21})
    here, there = (find_masks(tmp_path / place).pairs() for place in ("here", "there"))
    assert {split: len(part) for split, part in here.items()} == {"train": 16, "test": 4}
    test, more = ({pair.image.name for pair in part["test"]} for part in (here, there))
    assert len(test - more) <= 1, "a new image moves one other at most"


def test_partners_may_have_other_suffixes(tmp_path: Path) -> None:
    twins(tmp_path, {"": 4})
    for number in range(4):
        photo(tmp_path / "images" / f"{number}.jpg", number)
        (tmp_path / "images" / f"{number}.png").unlink()
    assert {(p.image.name, p.mask_name) for part in find_masks(tmp_path).pairs().values() for p in part} == {
        (f"images/{number}.jpg", f"masks/{number}.png") for number in range(4)
    }


def test_segnets_folders(tmp_path: Path) -> None:
    annotated(tmp_path, {"train": "ab", "val": "c", "test": "d"})
    assert names(tmp_path) == {
        "train": [("train/a.png", "trainannot/a.png"), ("train/b.png", "trainannot/b.png")],
        "validation": [("val/c.png", "valannot/c.png")],
        "test": [("test/d.png", "testannot/d.png")],
    }


def test_without_a_test_part_validation_is_the_test(tmp_path: Path) -> None:
    annotated(tmp_path, {"train": "ab", "val": "c"})
    assert set(names(tmp_path)) == {"train", "test"}
    with pytest.raises(ConfigError, match=r"has no split 'validation'.*allowed: test, train"):
        find_masks(tmp_path).of_split("validation")


def test_voc_takes_its_lists_and_knows_its_classes(tmp_path: Path) -> None:
    voc(tmp_path, {"train": ["b", "a"], "val": ["c"], "trainval": ["a", "b", "c"]})
    assert find_masks(tmp_path).legend.classes == VOC
    assert names(tmp_path) == {
        "train": [("JPEGImages/b.png", "SegmentationClass/b.png"), ("JPEGImages/a.png", "SegmentationClass/a.png")],
        "test": [("JPEGImages/c.png", "SegmentationClass/c.png")],
    }
    assert find_masks(tmp_path).faults == (), "images that are in no list are there for other tasks"
    (tmp_path / "classes.txt").write_text(CLASSES)
    assert find_masks(tmp_path).legend.classes == ("sky", "road", "car")


def test_voc_keeps_the_masks_of_its_test_list_back(tmp_path: Path) -> None:
    voc(tmp_path, {"train": ["a"], "val": ["c"], "test": ["x", "y"]})
    assert set(names(tmp_path)) == {"train", "test"}
    assert names(tmp_path)["test"][0][0] == "JPEGImages/c.png"
    assert find_masks(tmp_path).found.left_out == ("ImageSets/Segmentation/test.txt: none of its masks is there",)
    voc(tmp_path, {"test": ["e", "f"]})
    assert len(names(tmp_path)["test"]) == 2
    assert len(names(tmp_path)["validation"]) == 1


def test_voc_without_lists_takes_what_has_a_mask(tmp_path: Path) -> None:
    voc(tmp_path, {}, "abcde")
    photo(tmp_path / "JPEGImages" / "other.png")
    found = find_masks(tmp_path)
    assert {split: len(part) for split, part in found.pairs().items()} == {"train": 4, "test": 1}
    assert found.faults == ()


def test_class_folders_are_none_of_these(tmp_path: Path) -> None:
    assert not is_mask_folder(photos(tmp_path, {"train/cat": 2, "train/dog": 2, "images": 2}))
    assert not is_mask_folder(tmp_path / "none")
    with pytest.raises(DataError, match=r"no images with masks in a layout that is known: images/ and masks/ .*trainannot"):
        find_masks(tmp_path)
    with pytest.raises(DataError, match="none is no folder of images with masks: images/"):
        find_masks(tmp_path / "none")


# What is missing


def test_every_file_without_a_partner_is_named(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 3, "test": 1})
    (tmp_path / "masks" / "train" / "1.png").unlink()
    (tmp_path / "images" / "test" / "0.png").unlink()
    photo(tmp_path / "images" / "train" / "2.jpg")
    assert find_masks(tmp_path).faults == (
        "masks/test/0.png: no image of this name; add it or remove the mask",
        "images/train/2.png: 2.jpg has the same stem; rename or remove one",
        "images/train/1.png: no mask masks/train/1.png; add it or remove the image",
    )


def test_a_folder_without_its_partner(tmp_path: Path) -> None:
    annotated(tmp_path, {"train": "a"})
    photo(tmp_path / "val" / "b.png")
    photo(tmp_path / "testannot" / "c.png")
    assert find_masks(tmp_path).faults == (
        "val/b.png: no mask valannot/b.png; add it or remove the image",
        "testannot/c.png: no image of this name; add it or remove the mask",
    )


def test_a_name_on_a_list_that_is_nowhere(tmp_path: Path) -> None:
    voc(tmp_path, {"train": ["a", "gone"], "val": ["b"]})
    photo(tmp_path / "JPEGImages" / "new.png")
    voc(tmp_path, {"val": ["b", "new"]})
    assert find_masks(tmp_path).faults == (
        "gone: listed for train, but neither image nor mask is there; take it off the list",
        "JPEGImages/new.png: no mask SegmentationClass/new.png; add it or remove the image",
    )


def test_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    twins(tmp_path, {"train": 2, "test": 1})
    (tmp_path / "images" / "train" / "notes.md").write_text("x")
    (tmp_path / "images" / "train" / ".hidden").write_text("x")
    (tmp_path / "masks" / "more").mkdir()
    found = find_masks(tmp_path)
    assert found.found.left_out == ("images/train/notes.md: no picture by its name", "masks/more: lies beside test")
    assert found.faults == ()


def test_no_list_of_classes(tmp_path: Path) -> None:
    (twins(tmp_path, {"": 2}) / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"classes.txt is not there: list in it a class a line: NAME, or NAME RED GREEN BLUE"):
        find_masks(tmp_path)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    twins(tmp_path, {"test": 2})
    with pytest.raises(DataError, match="has images for test, but none for train"):
        find_masks(tmp_path)
    for mask in (tmp_path / "masks" / "test").iterdir():
        mask.unlink()
    with pytest.raises(DataError, match=r"no image with a mask; images/test/0.png: no mask masks/test/0.png"):
        find_masks(tmp_path)
    for image in (tmp_path / "images" / "test").iterdir():
        image.unlink()
    with pytest.raises(DataError, match="no image with a mask; it must have images/ and masks/"):
        find_masks(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    twins(tmp_path, {"": 2})
    (tmp_path / "images" / "\udcff.png").write_bytes(b"x")
    with pytest.raises(DataError, match="a name that is no text in UTF-8"):
        find_masks(tmp_path)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    voc(tmp_path, {"train": ["a"]})
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match=r"val.txt is no text in UTF-8"):
        find_masks(tmp_path)
