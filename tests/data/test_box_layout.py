"""Images and boxes found in every layout, what has no partner, and lists that are faulty."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gipi.data.box_layout import Note, find_boxes, is_box_folder
from gipi.data.faults import Fault
from gipi.data.mask_layout import is_mask_folder
from gipi.errors import ConfigError, DataError
from oracle.box_folders import Boxes, boxes, coco, instances, pictures, table, voc, xml
from oracle.photos import photo, photos

MADE = boxes("abcdef")
PARTS = {"train": "abc", "val": "d", "test": "ef"}
EMPTY = "<annotation></annotation>"


def part(stems: str) -> Boxes:
    return {stem: MADE[stem] for stem in stems}


def names(path: Path) -> dict[str, list[str]]:
    return {split: [pair.image.name for pair in pairs] for split, pairs in find_boxes(path).pairs().items()}


def read_as(path: Path, made: Boxes = MADE) -> None:
    """The boxes and classes are those that were written."""
    files = find_boxes(path)
    pairs = {pair.image.path.stem: pair for part in files.pairs().values() for pair in part}
    assert sorted(pairs) == sorted(made)
    for stem, things in made.items():
        note, labels = pairs[stem].note, pairs[stem].labels
        assert isinstance(note, Note)
        assert [(word, *box) for word, box in zip(note.words, note.boxes.tolist(), strict=True)] == [
            tuple(each) for each in things
        ]
        assert [files.found.classes[label] for label in labels] == list(note.words)


def with_lists(root: Path, change: dict) -> Path:
    """One JSON file beside its images, some of its lists changed."""
    file = coco(root / "boxes.json", root, part("ab"))
    file.write_text(json.dumps({**instances(part("ab")), **change}))
    return root


# VOC


def test_voc_with_lists(tmp_path: Path) -> None:
    voc(tmp_path, MADE, {**PARTS, "trainval": "abcd", "cat_train": ["a 1", "b -1"]})
    assert is_box_folder(tmp_path)
    assert names(tmp_path) == {
        "train": [f"JPEGImages/{stem}.png" for stem in "abc"],
        "validation": ["JPEGImages/d.png"],
        "test": ["JPEGImages/e.png", "JPEGImages/f.png"],
    }
    read_as(tmp_path)
    files = find_boxes(tmp_path)
    assert (files.faults, files.found.left_out, files.written) == ((), (), "xyxy")
    assert files.found.classes == tuple(sorted({box[0] for things in MADE.values() for box in things})), "of all splits"
    with pytest.raises(ConfigError, match=r"no split 'val' .allowed: test, train, validation"):
        files.of_split("val")


def test_voc_without_lists_is_divided_the_same_way_everywhere(tmp_path: Path) -> None:
    stems = [f"p{number:02}" for number in range(20)]
    voc(tmp_path, boxes(stems))
    read_as(tmp_path, boxes(stems))
    assert {split: len(part) for split, part in names(tmp_path).items()} == {"train": 16, "test": 4}
    pictures(tmp_path / "JPEGImages", ["new"])
    assert find_boxes(tmp_path).faults == ("JPEGImages/new.png: no annotation Annotations/new.xml; add it or remove the image",)


def test_voc_files_without_a_partner(tmp_path: Path) -> None:
    voc(tmp_path, MADE, {"train": "abcxy", "test": "dz"})
    (tmp_path / "Annotations" / "a.xml").unlink()
    (tmp_path / "JPEGImages" / "b.png").unlink()
    photo(tmp_path / "JPEGImages" / "c.jpg")
    (tmp_path / "JPEGImages" / "notes.txt").write_text("")
    (tmp_path / "Annotations" / "old.json").write_text("")
    files = find_boxes(tmp_path)
    assert [fault.split(":")[0] for fault in files.faults] == [
        "JPEGImages/c.png",
        "JPEGImages/a.png",
        "Annotations/b.xml",
        "x",
        "y",
        "z",
    ]
    assert files.found.left_out == (
        "JPEGImages/notes.txt: no picture by its name",
        "Annotations/old.json: no annotation by its name",
    )


def test_voc_keeps_the_annotations_of_its_test_part(tmp_path: Path) -> None:
    voc(tmp_path, MADE, PARTS)
    for stem in "ef":
        (tmp_path / "Annotations" / f"{stem}.xml").unlink()
    assert {split: len(pairs) for split, pairs in names(tmp_path).items()} == {"train": 3, "test": 1}
    assert find_boxes(tmp_path).found.left_out == ("ImageSets/Main/test.txt: none of its annotations is there",)


def test_what_a_voc_file_says(tmp_path: Path) -> None:
    voc(tmp_path, part("ab"), {"train": "a", "test": "b"})
    (tmp_path / "Annotations" / "a.xml").write_text(
        """<?xml version="1.0" encoding="iso-8859-1"?><annotation><size><width>20.0</width><height>10</height></size>
        <object><name> cat </name><bndbox><xmax>12.5</xmax><ymin>2</ymin><xmin>3</xmin><ymax>9</ymax></bndbox>
        <part><name>head</name><bndbox><xmin>4</xmin><ymin>4</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part></object>
        <object><difficult>1</difficult><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>3</xmax><ymax>9</ymax></bndbox></object>
        <object><name>cat</name><bndbox><xmin>9</xmin><ymin>1</ymin><xmax>3</xmax><ymax>1</ymax></bndbox></object></annotation>"""
    )
    (pair,) = find_boxes(tmp_path).of_split("train")
    assert isinstance(pair.note, Note)
    assert (pair.note.file, pair.note.stated, pair.note.words) == ("Annotations/a.xml", (10, 20), ("cat", "", "cat"))
    assert pair.note.boxes.tolist() == [[2, 1, 12.5, 9], [2, 3, 2, 9], [8, 0, 2, 0]], "a box of no size keeps none"
    assert (pair.note.difficult.tolist(), pair.note.crowd.any()) == ([False, True, False], False)
    assert pair.labels[1] == -1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no XML: no element found"),
        ("<annotation><object></annotation>", "is no XML: mismatched tag"),
        ("\x00\x01", "is no XML: not well-formed"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', "is no XML: unknown encoding"),
        ("<html/>", "begins with <html>, where VOC's files begin with <annotation>"),
        ("<annotation><object><name>cat</name></object></annotation>", "has no number for xmin of object 1: None"),
        (xml([("cat", 1, 2, 3, 4), ("cat", 1, 2, 3, float("nan"))]), "has no number for ymax of object 2: 'nan'"),
        (xml([("cat", 1, 2, float("inf"), 4)]), "has no number for xmax of object 1"),
        (xml([("cat", 1, 2, 3, 4)]).replace("<ymin>3<", "<ymin>three<"), "has no number for ymin of object 1: 'three'"),
        (EMPTY.replace("><", "><size><width>wide</width></size><"), "has no number for width"),
        ('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>&e;</annotation>', "has a DOCTYPE"),
        ('<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>', "has a DOCTYPE"),
        ("<annotation>&e;</annotation>", "is no XML: undefined entity"),
    ],
)
def test_a_broken_voc_file_is_told_and_the_others_are_found(tmp_path: Path, text: str, says: str) -> None:
    voc(tmp_path, part("ab"), {"train": "ab"})
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    files = find_boxes(tmp_path)
    fault = files.notes["JPEGImages/a.png"]
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.file) == ("unreadable", "Annotations/a.xml")
    assert says in fault.what
    assert isinstance(files.notes["JPEGImages/b.png"], Note)


# COCO


def test_coco_with_a_file_for_each_split(tmp_path: Path) -> None:
    for split, stems in {"train": "abc", "val": "d", "test": "ef"}.items():
        coco(tmp_path / "annotations" / f"instances_{split}2017.json", tmp_path / f"{split}2017", part(stems))
    (tmp_path / "annotations" / "captions_train2017.json").write_text("{}")
    assert is_box_folder(tmp_path)
    assert names(tmp_path)["train"] == [f"train2017/{stem}.png" for stem in "abc"]
    assert {split: len(pairs) for split, pairs in names(tmp_path).items()} == {"train": 3, "validation": 1, "test": 2}
    read_as(tmp_path)
    files = find_boxes(tmp_path)
    assert (files.faults, files.found.left_out, files.written) == ((), (), "xywh")


def test_coco_with_all_images_in_one_folder(tmp_path: Path) -> None:
    for split, stems in {"train": "abcd", "test": "ef"}.items():
        coco(tmp_path / "annotations" / f"{split}.json", tmp_path / "images", part(stems))
    photo(tmp_path / "images" / "more.png")
    assert names(tmp_path)["test"] == ["images/e.png", "images/f.png"]
    read_as(tmp_path)
    assert find_boxes(tmp_path).found.left_out == ("images/more.png: is not listed",)


def test_roboflow(tmp_path: Path) -> None:
    for split, stems in {"train": "abc", "valid": "d", "test": "ef"}.items():
        coco(tmp_path / split / "_annotations.coco.json", tmp_path / split, part(stems))
    assert names(tmp_path) == {"train": ["train/a.png", "train/b.png", "train/c.png"], "validation": ["valid/d.png"], "test": ["test/e.png", "test/f.png"]}  # fmt: skip
    read_as(tmp_path)


def test_one_json_file_beside_its_images_or_by_its_own_name(tmp_path: Path) -> None:
    file = coco(tmp_path / "boxes.json", tmp_path, MADE)
    (tmp_path / "meta.json").write_text('{"by": "me"}')
    for path in (file, tmp_path):
        assert is_box_folder(path)
        assert {split: len(pairs) for split, pairs in names(path).items()} == {"train": 4, "test": 2}
        read_as(path)


def test_what_a_coco_file_says(tmp_path: Path) -> None:
    lists = instances({"a": [("cat", 1, 2, 3, 4)] * 3, "b": [("eel", 1, 2, 3, 4)]}, crowd=[("a", 0)], ids=(12, 3, 7))
    lists["images"][1].update(width=None)
    lists["annotations"][0]["bbox"] = [5, 6, -2, 0.5]
    lists["annotations"][1].update(category_id=99)
    files = find_boxes(with_lists(tmp_path, lists))
    assert files.found.classes == ("dog", "eel", "cat"), "by the ids of the categories"
    notes = [files.notes[name] for name in ("a.png", "b.png")]
    assert isinstance(notes[0], Note)
    assert isinstance(notes[1], Note)
    assert (notes[0].file, notes[0].stated, notes[1].stated) == ("boxes.json", (30, 40), None)
    assert (notes[0].boxes[0].tolist(), notes[0].words[1]) == ([5, 6, 3, 6.5], "category 99")
    assert (notes[0].crowd.tolist(), notes[0].difficult.any()) == ([True, False, False], False)
    assert -1 in [label for pairs in files.pairs().values() for pair in pairs for label in pair.labels]


ONE = {"id": 1000, "file_name": "a.png"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": None}, "must hold the lists images, annotations, categories"),
        ({"categories": [1]}, "must hold the lists images"),
        ({"images": [ONE, ONE], "annotations": []}, r"1 faults in all:\n  images\[1\] has the id 1000, as one before"),
        ({"images": [ONE, {"id": [1], "file_name": "b.png"}], "annotations": []}, r"images\[1\] must have an id and a file_name"),
        ({"images": [ONE, {"id": 1, "file_name": 5}], "annotations": []}, r"images\[1\] must have an id and a file_name"),
        ({"images": [ONE, {**ONE, "id": 1}], "annotations": []}, "lists a.png, which is listed before"),
        ({"annotations": [{"image_id": 1000, "category_id": 3}]}, r"annotations\[0\] must have a bbox of 4 numbers, it has None"),
        ({"annotations": [{"image_id": 1000, "category_id": 3, "bbox": [1, 2, 3]}]}, "it has .1, 2, 3."),
        ({"annotations": [{"image_id": 1000, "category_id": 3, "bbox": [1, 2, 3, "4"]}]}, "must have a bbox"),
        ({"annotations": [{"image_id": 1000, "category_id": 3, "bbox": [1, 2, 3, float("nan")]}]}, "must have a bbox"),
        ({"annotations": [{"image_id": 1000, "category_id": 3, "bbox": [1, 2, 3, 10**400]}]}, "must have a bbox"),
        ({"annotations": [{"image_id": 5, "category_id": 3, "bbox": [1, 2, 3, 4]}]}, "the id of a listed image as image_id"),
        ({"annotations": [{"image_id": [], "category_id": 3, "bbox": [1, 2, 3, 4]}]}, "the id of a listed image as image_id"),
        ({"annotations": [{"image_id": 1000, "category_id": "x", "bbox": [1, 2, 3, 4]}]}, "must have a category_id"),
        ({"categories": [{"id": "x", "name": "cat"}]}, r"categories\[0\] must have a whole number as id and a name"),
        ({"categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "cat"}]}, "several categories of one name: cat, cat"),
        ({"categories": [{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}]}, "category 3 is 'dog' here and 'cat'"),
        ({"annotations": []}, "has no box in any of 2 images; draw some"),
        (
            {"images": [{"id": 1, "file_name": "no.png"}], "annotations": []},
            "no image with boxes; no.png: listed in boxes.json, but",
        ),
    ],
)
def test_faulty_lists_of_coco(tmp_path: Path, change: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        find_boxes(with_lists(tmp_path, change))


def test_json_that_is_none(tmp_path: Path) -> None:
    file = coco(tmp_path / "boxes.json", tmp_path, part("ab"))
    for text in ('{"images": ["annotations"', "[" * 100_000):
        file.write_text(text)
        with pytest.raises(DataError, match=r"boxes.json is no JSON file"):
            find_boxes(file)


def test_splits_of_coco_that_cannot_be_told_apart(tmp_path: Path) -> None:
    for name in ("train_old", "train_new"):
        coco(tmp_path / "annotations" / f"{name}.json", tmp_path / "images", part("ab"))
    with pytest.raises(
        DataError, match=r"has annotations/train_new.json, annotations/train_old.json: allowed are one, or one each"
    ):
        find_boxes(tmp_path)
    (tmp_path / "annotations" / "train_old.json").rename(tmp_path / "annotations" / "more.json")
    with pytest.raises(DataError, match="allowed are one, or one each"):
        find_boxes(tmp_path)
    (tmp_path / "annotations" / "train_new.json").rename(tmp_path / "annotations" / "val.json")
    (tmp_path / "annotations" / "more.json").rename(tmp_path / "annotations" / "test.json")
    with pytest.raises(DataError, match=r"val.json lists images/a.png, which is listed before"):
        find_boxes(tmp_path)


# CSV


@pytest.mark.parametrize(
    "header", ["", "path,x0,y0,x1,y1,class", "filename,xmin,ymin,xmax,ymax,label", "Image,XMin,YMin,XMax,YMax,Name"]
)
def test_csv(tmp_path: Path, header: str) -> None:
    made = {**MADE, "g": []}
    file = table(tmp_path / "boxes.csv", made, header)
    assert is_box_folder(file)
    read_as(file, made)
    assert find_boxes(file).written == "xyxy"


def test_csv_with_splits_and_sizes_in_another_order(tmp_path: Path) -> None:
    pictures(tmp_path / "in", "abc")
    file = tmp_path / "boxes.csv"
    file.write_text(
        "width,height,split,class,xmin,ymin,xmax,ymax,filename\n"
        "40,30,train,cat,1,2,3,4.5,in/a.png\n"
        "40,30,valid,,,,,,in/b.png\n\n"
        ",,Test,dog,5,6,7,8,./in/c.png\n"
        '40,30,train,"an, eel",5,6,7,8,in/a.png\n'
    )
    files = find_boxes(file)
    assert names(file) == {"train": ["in/a.png"], "validation": ["in/b.png"], "test": ["in/c.png"]}
    notes = [files.notes[name] for name in ("in/a.png", "in/b.png", "in/c.png")]
    assert all(isinstance(note, Note) for note in notes)
    assert [note.stated for note in notes if isinstance(note, Note)] == [(30, 40), (30, 40), None]
    assert [note.words for note in notes if isinstance(note, Note)] == [("cat", "an, eel"), (), ("dog",)]
    assert files.found.classes == ("an, eel", "cat", "dog")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.png,1,2,3,4,cat\na.png,1,2,3,4\n", "1 in all:\n  line 2: must have as many fields as the first line"),
        ("a.png,1,2,3,4,cat\n,1,2,3,4,cat\n", "line 2: its path is empty"),
        ("a.png,1,2,3,4,cat\na.png,1,2,,4,cat\n", "line 2: must have 4 numbers and a class, or, of an image without boxes, none"),
        ("a.png,1,2,3,4,cat\na.png,1,2,3,x,cat\n", "line 2: must have 4 numbers"),
        ("a.png,1,2,3,4,cat\na.png,1,2,3,inf,cat\n", "line 2: must have 4 numbers"),
        ("a.png,1,2,3,4,cat\na.png,1,2,3,4,\n", "line 2: must have 4 numbers and a class"),
        ("path,x0,y0,x1,y1,class,split\na.png,1,2,3,4,cat,tests\n", "line 2: no split 'tests'; did you mean 'test'"),
        ("path,x0,y0,x1,y1,class,split\na.png,1,2,3,4,cat,test\na.png,1,2,3,4,cat,train\n", "a.png is listed before for test"),
        ("path,x0,y0,x1,y1,class,width\na.png,1,2,3,4,cat,wide\n", "line 2: its width or height is no number"),
        ("path,x0,y0,x1,y1\na.png,1,2,3,4\n", "must have the columns path,x0,y0,x1,y1,class .* it begins with path,x0,y0,x1,y1$"),
        ("path,x0,y0,x1,y1,class,depth\na.png,1,2,3,4,cat,3\n", "must have the columns .*x1,y1,class,depth"),
        ("path,x0,y0,x1,y1,class,xmin\na.png,1,2,3,4,cat,3\n", "must have the columns"),
        ('a.png,1,2,3,4,cat\n"a.png,1\n', "is no CSV file in UTF-8"),
        ("a.png,1,2,3,4,cat\nb.png,1,2,3,4,\udcff\n", "is no CSV file in UTF-8"),
        ("a.png,,,,,\n", "has no box in any of 1 images"),
        ("b.png,1,2,3,4,cat\n", "no image with boxes; b.png: listed in boxes.csv, but not there"),
        ("path,x0,y0,x1,y1,class,split\na.png,1,2,3,4,cat,val\n", "has images for validation, but none for train"),
    ],
)
def test_faulty_csv(tmp_path: Path, text: str, says: str) -> None:
    photo(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=says):
        find_boxes(tmp_path / "boxes.csv")


# What is none


def test_what_is_no_set_of_boxes(tmp_path: Path) -> None:
    photos(tmp_path / "classes", {"cat": 2, "dog": 2})
    (tmp_path / "classes" / "meta.json").write_text('{"images": 4}')
    (tmp_path / "labels.csv").write_text("path,label\na.png,cat\n")
    (tmp_path / "other.csv").write_text("")
    (tmp_path / "pixels.csv").write_text("1,2,3\n")
    for name in ("classes", "labels.csv", "other.csv", "pixels.csv", "nowhere", "nowhere.json"):
        assert not is_box_folder(tmp_path / name)
        with pytest.raises(DataError, match=f"{name} (has no images with boxes in a layout that is known|is not there): VOC's"):
            find_boxes(tmp_path / name)


def test_voc_itself_has_both_boxes_and_masks(tmp_path: Path) -> None:
    voc(tmp_path, MADE, PARTS)
    assert not is_mask_folder(tmp_path)
    (tmp_path / "SegmentationClass").mkdir()
    assert is_mask_folder(tmp_path)
    assert is_box_folder(tmp_path)


def test_all_layouts_are_read_alike(tmp_path: Path) -> None:
    made = {**MADE, "g": []}
    found = [
        find_boxes(voc(tmp_path / "voc", made)),
        find_boxes(coco(tmp_path / "coco" / "boxes.json", tmp_path / "coco", made)),
        find_boxes(table(tmp_path / "csv" / "boxes.csv", made)),
    ]
    for stem in made:
        notes = [note for files in found for name, note in files.notes.items() if Path(name).stem == stem]
        assert all(isinstance(note, Note) for note in notes)
        assert len({(note.words, note.boxes.tobytes()) for note in notes if isinstance(note, Note)}) == 1
        assert all(note.boxes.dtype == np.float64 for note in notes if isinstance(note, Note))
