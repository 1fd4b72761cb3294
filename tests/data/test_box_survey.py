"""Sets of images and boxes with one of every fault, and what is said of them; what is refused is what training refuses."""

from __future__ import annotations

import json
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from gipi.data.box_findings import BoxSurvey, Count
from gipi.data.box_folder import box_folder
from gipi.data.box_survey import box_survey
from gipi.data.fetch import data_folders
from gipi.errors import DataError, GipiWarning
from oracle.box_folders import SIZE, Box, boxes, coco, instances, pictures, table, voc, xml
from oracle.photos import photo

LISTS = {"train": "abcdefghijkl", "val": "mno", "test": "pqrs"}
SPLITS = {"train": "train", "val": "validation", "test": "test"}
STEMS = "".join(LISTS.values())


def made() -> dict[str, list[Box]]:
    """Good boxes for each letter, none twice, none of one pixel, which in VOC is no size."""
    kept = {
        stem: dict.fromkeys(box for box in things if min(box[3] - box[1], box[4] - box[2]) > 1)
        for stem, things in boxes(STEMS).items()
    }
    return {stem: list(things) or [("cat", 2, 3, 9, 9)] for stem, things in kept.items()}


def good(root: Path) -> Path:
    return voc(root, made(), LISTS)


def put(root: Path, stem: str, *things: Box, size: tuple[int, int] | None = SIZE, difficult: Sequence[int] = ()) -> None:
    """Other boxes for an image of `good`."""
    (root / "Annotations" / f"{stem}.xml").write_text(xml(things, size, difficult))


def test_a_good_set(tmp_path: Path) -> None:
    found, things = box_survey(good(tmp_path)), made()
    assert found.trainable
    assert list(found.images.items()) == [("train", 12), ("validation", 3), ("test", 4)]
    for split, stems in LISTS.items():
        counts = [Counter(name for name, *_ in things[stem]) for stem in stems]
        for name in ("cat", "dog", "eel"):
            expected = Count(sum(count[name] for count in counts), sum(count[name] > 0 for count in counts))
            assert found.classes[SPLITS[split]][name] == expected
        assert found.boxed[SPLITS[split]] == (sum(count.total() for count in counts), len(stems))
    every = [box for boxed in things.values() for _, *box in boxed]
    assert found.areas == {"small": len(every), "medium": 0, "large": 0}
    ratios = sorted((c - a) / (d - b) for a, b, c, d in every)
    assert found.aspect == pytest.approx((ratios[0], np.median(ratios), ratios[-1]))
    assert found.crowded == (1, np.median([len(boxed) for boxed in things.values()]), 4)
    assert found.sizes == {"40x30": 19}
    assert found.verdicts()[0] == "ready to train"
    assert all("less than 20 boxes in train" in said for said in found.verdicts()[1:])
    empty = (found.error, found.partners, found.unreadable, found.mismatched, found.unknown, found.wrong, found.slips)
    assert empty == ("", (), {}, {}, {}, (), ())
    assert (found.difficult, found.crowd, found.alike, found.left_out, found.refusals) == (0, 0, (), (), ())


def test_areas_are_by_the_bounds_of_coco(tmp_path: Path) -> None:
    photo(good(tmp_path) / "JPEGImages" / "a.png", 1, (200, 150))
    sides = [(32, 32), (31, 33), (96, 96), (95, 97)]
    put(tmp_path, "a", *(("cat", 0, 0, *side) for side in sides), size=(200, 150))
    areas, others = box_survey(tmp_path).areas, sum(len(things) for stem, things in made().items() if stem != "a")
    assert areas == {"small": 1 + others, "medium": 2, "large": 1}


def test_all_layouts_say_the_same(tmp_path: Path) -> None:
    """But for splits, which are of one list here."""
    things = made()
    found = [
        box_survey(voc(tmp_path / "voc", things)),
        box_survey(coco(tmp_path / "coco" / "annotations" / "all.json", tmp_path / "coco" / "images", things).parents[1]),
        box_survey(table(tmp_path / "csv" / "boxes.csv", things)),
    ]
    assert all(one.trainable for one in found)
    for part in ("areas", "aspect", "crowded", "sizes", "wrong", "difficult"):
        assert getattr(found[0], part) == getattr(found[1], part) == getattr(found[2], part)
    totals = [{n: sum(split[n].boxes for split in one.classes.values()) for n in ("cat", "dog", "eel")} for one in found]
    assert totals[0] == totals[1] == totals[2] == Counter(name for boxed in things.values() for name, *_ in boxed)


def bad(root: Path) -> Path:
    """One of every fault."""
    good(root)
    notes, images = root / "Annotations", root / "JPEGImages"
    cat = ("cat", 3, 4, 20, 25)
    put(root, "a", cat, ("dog", 9, 9, 9, 20), ("eel", 20, 5, 10, 9))
    put(root, "b", ("dog", 41, 4, 60, 20), ("cat", 30, 20, 45, 33), cat)
    put(root, "c", cat, cat, ("dog", *cat[1:]))
    put(root, "d")
    put(root, "e", cat, ("cat", 5, 5, 9, 9), difficult=[1])
    put(root, "f", ("", 1, 1, 9, 9))
    put(root, "g", cat, size=(80, 60))
    (notes / "h.xml").write_text("<annotation><object>")
    (images / "i.png").write_bytes(b"")
    (images / "j.png").unlink()
    (notes / "k.xml").unlink()
    put(root, "l", ("Cat", 3, 4, 20, 25), ("cap", 3, 4, 20, 25))
    shutil.copy(images / "a.png", images / "p.png")
    put(root, "p", cat)
    photo(images / "q.png", 3, (30, 40))
    put(root, "q", cat, size=(30, 40))
    (images / "notes.md").write_text("x")
    return root


def test_every_fault_is_told_by_its_file(tmp_path: Path) -> None:
    found = box_survey(bad(tmp_path))
    assert not found.trainable
    wrong = [(each.trouble, each.file, each.label, each.box) for each in found.wrong]
    assert wrong == [
        ("of no size", "JPEGImages/a.png", "dog", (9, 9, 8, 20)),
        ("of no size", "JPEGImages/a.png", "eel", (20, 5, 9, 9)),
        ("outside their image", "JPEGImages/b.png", "dog", (41, 4, 60, 20)),
        ("reaching out of their image", "JPEGImages/b.png", "cat", (30, 20, 45, 33)),
        ("given twice", "JPEGImages/c.png", "cat", (3, 4, 20, 25)),
    ]
    assert list(found.unknown) == ["JPEGImages/f.png"]
    assert found.mismatched["JPEGImages/g.png"].startswith("is 40x30 pixels, but its boxes are for 80x60 as Annotations/g.xml")
    assert list(found.unreadable) == ["Annotations/h.xml", "JPEGImages/i.png"]
    assert [sentence.split(":")[0] for sentence in found.partners] == ["Annotations/j.xml", "JPEGImages/k.png"]
    assert found.difficult == 1
    assert ("Cat", "cat") in found.slips
    assert [[(m.name, m.split, m.label) for m in group.members] for group in found.alike] == [
        [("JPEGImages/a.png", "train", "boxes: 1"), ("JPEGImages/p.png", "test", "boxes: 1")]
    ]
    assert found.sizes == {"40x30": 12, "30x40": 1}, "of the images that can be used"
    assert found.left_out == ("JPEGImages/notes.md: no picture by its name",)
    assert found.refusals == (
        "files without a partner: 2; add it or remove them",
        "images of train whose boxes are of no class or for another size: 2; mend them",
    )


def test_what_the_faults_mean_is_said(tmp_path: Path) -> None:
    found = box_survey(bad(tmp_path))
    said = found.verdicts()
    for sentence in (
        "not ready to train: files without a partner: 2; add it or remove them",
        "boxes of no size: 2; they are left out",
        "boxes outside their image: 1; they are left out",
        "boxes given twice: 1; they are taken once",
        "boxes reaching out of their image: 1; they are clipped",
        "images without a box to find: 1; they are kept, as background",
        "boxes that are marked: difficult 1, crowds 0; they are neither to be found nor a mistake to find",
        "test or validation images that are in train, too, or nearly so: 1; scores will be too good",
        "sizes of images: 2; those that differ are scaled to fit the commonest, and filled up",
    ):
        assert sentence in said
    assert any("names hardly differ: Cat and cat" in sentence for sentence in said)
    text = found.text()
    for line in (
        "boxes of no size: 2\n  JPEGImages/a.png: dog from 9, 9 to 8, 20\n",
        "Annotations/h.xml is no XML",
        "another size than is said: 1\n  JPEGImages/g.png is 40x30 pixels",
        "of no class: 1\n  JPEGImages/f.png has boxes of no class: '' (1)",
        "JPEGImages/k.png: no annotation Annotations/k.xml",
        "JPEGImages/a.png (train, boxes: 1) = JPEGImages/p.png (test, boxes: 1)",
        "image sizes     40x30 12, 30x40 1",
    ):
        assert line in text


def test_the_table_has_boxes_and_images(tmp_path: Path) -> None:
    voc(tmp_path, {"a": [("cat", 0, 0, 9, 9)] * 1 + [("cat", 1, 1, 9, 9)], "b": [], "c": [("a dog", 0, 0, 40, 30)]}, {"train": "ab", "test": "c"})  # fmt: skip
    assert box_survey(tmp_path).text().splitlines()[1:12] == [
        "             train   images        test   images",
        "a dog            0        0           1        1",
        "cat              2        1           0        0",
        "(all)            2        1           1        1",
        "images                    2                    1",
        "",
        "box areas       small 2 (below 32x32 pixels), medium 1, large 0 (from 96x96)",
        "width / height  1 to 1.33, median 1",
        "boxes an image  0 to 2, median 1",
        "image sizes     40x30 3",
        "",
    ]


def test_classes_that_are_not_in_train_and_that_are_rare(tmp_path: Path) -> None:
    things = {stem: [("cat", 1, 2, 9, number + 5) for number in range(3)] for stem in STEMS}
    things["a"] = [*things["a"], ("dog", 1, 1, 9, 9)]
    things["m"] = [*things["m"], ("eel", 1, 1, 9, 9)]
    found = box_survey(voc(tmp_path, things, LISTS))
    assert found.trainable
    assert found.verdicts() == [
        "ready to train",
        "classes without a box in train: eel; a net cannot learn them: add some, or take them out",
        "classes with less than 20 boxes in train: dog (1); they will hardly be learnt: add some",
    ]


def test_crowds_and_a_category_that_is_not_there(tmp_path: Path) -> None:
    things = made()
    rows = instances(things, crowd={("a", 0), ("b", 0)})
    rows["annotations"][-1]["category_id"] = 99
    pictures(tmp_path, things)
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    found = box_survey(tmp_path)
    assert found.crowd == 2
    assert {file: what.split(":")[1] for file, what in found.unknown.items()} == {
        "s.png": " 'category 99' (1); allowed are cat, dog, eel"
    }
    assert sum(count.boxes for count in found.boxed.values()) == len(rows["annotations"]) - 2 - len(things["s"])
    assert any("no class" in why for why in found.refusals)


@pytest.mark.parametrize("layout", ["csv", "coco"])
def test_boxes_in_the_wrong_format_are_refused_with_the_evidence(layout: str, tmp_path: Path) -> None:
    swap = {"csv": lambda n, a, b, c, d: (n, a, b, c - a, d - b), "coco": lambda n, a, b, c, d: (n, a, b, c + a, d + b)}[layout]
    things = {stem: [swap(*box) for box in boxed] for stem, boxed in made().items()}
    path = table(tmp_path / "t.csv", things) if layout == "csv" else coco(tmp_path / "t.json", tmp_path, things)
    said = box_survey(path).verdicts()[0]
    seem, expected = ("x, y, width, height", "x0, y0, x1, y1")[:: 1 if layout == "csv" else -1]
    assert said.startswith(f"not ready to train: train: its boxes seem to be {seem}, where {expected} is expected: as such ")
    assert "like " in said
    with pytest.raises(DataError, match="its boxes seem to be"):
        box_folder(path, "train")


def test_few_unreadable_ones_are_left_out_and_many_refused(tmp_path: Path) -> None:
    stems = [f"{number:03}" for number in range(120)]
    voc(
        tmp_path,
        {stem: [("cat", 0, 0, 9, 9), ("dog", 5, 5, 20, 20)] for stem in stems},
        {"train": stems[:-1], "test": stems[-1:]},
    )
    (tmp_path / "JPEGImages" / "000.png").write_bytes(b"x")
    found = box_survey(tmp_path)
    assert found.trainable
    assert "images or their boxes that cannot be read: 1; they are left out" in found.verdicts()
    (tmp_path / "Annotations" / "001.xml").write_text("x")
    found = box_survey(tmp_path)
    assert found.refusals[0].startswith("2 of 119 images or boxes of train cannot be read: training refuses above 1%")


def test_an_unknown_layout_and_no_box_at_all_are_told(tmp_path: Path) -> None:
    found = box_survey(tmp_path)
    assert not found.trainable
    assert found.error.startswith(f"{tmp_path} has no images with boxes in a layout that is known")
    assert found.text().splitlines()[0] == str(tmp_path)
    assert json.loads(json.dumps(found.json()))["trainable"] is False
    found = box_survey(voc(tmp_path, {stem: [] for stem in STEMS}, LISTS))
    assert found.verdicts() == [f"not ready to train: {tmp_path} has no box in any of 19 images; draw some"]


def test_json_holds_everything(tmp_path: Path) -> None:
    found = json.loads(json.dumps(box_survey(bad(tmp_path)).json()))
    assert set(found) == {*BoxSurvey.__dataclass_fields__, "trainable", "verdicts"} - {"boxed"}
    assert found["classes"]["test"]["(all)"]["images"] == 4
    assert found["wrong"][0] == {"trouble": "of no size", "file": "JPEGImages/a.png", "label": "dog", "box": [9, 9, 8, 20]}
    assert found["alike"][0]["members"][1] == {"name": "JPEGImages/p.png", "split": "test", "label": "boxes: 1"}


FAULTS: dict[str, Callable[[Path], object]] = {
    "none": lambda root: None,
    "no size": lambda root: put(root, "a", ("cat", 9, 9, 9, 20)),
    "outside": lambda root: put(root, "a", ("cat", 50, 9, 60, 20)),
    "reaching out": lambda root: put(root, "a", ("cat", 30, 9, 60, 20)),
    "twice": lambda root: put(root, "a", *[("cat", 30, 9, 35, 20)] * 2),
    "background": lambda root: put(root, "a"),
    "no class": lambda root: put(root, "a", ("", 1, 1, 9, 9)),
    "size": lambda root: put(root, "a", size=(30, 40)),
    "no stated size": lambda root: put(root, "a", size=None),
    "image": lambda root: (root / "JPEGImages" / "a.png").write_bytes(b""),
    "annotation": lambda root: (root / "Annotations" / "a.xml").write_text("x"),
    "no image": lambda root: (root / "JPEGImages" / "a.png").unlink(),
    "no annotation": lambda root: (root / "Annotations" / "a.xml").unlink(),
    "all difficult": lambda root: [put(root, stem, ("cat", 1, 1, 9, 9), difficult=[0]) for stem in LISTS["train"]],
    "no box in train": lambda root: [put(root, stem) for stem in LISTS["train"]],
    "no box in test": lambda root: [put(root, stem) for stem in LISTS["test"]],
    "format": lambda root: [put(root, s, *((n, a, b, c - a, d - b) for n, a, b, c, d in made()[s])) for s in LISTS["train"]],
}
HARMLESS = {
    "none", "no size", "outside", "reaching out", "twice", "background", "no stated size", "no box in test"
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_ready_if_and_only_if_all_splits_can_be_had(fault: str, tmp_path: Path) -> None:
    FAULTS[fault](good(tmp_path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GipiWarning)
            for split in SPLITS.values():
                box_folder(tmp_path, split)
        ready = True
    except DataError:
        ready = False
    assert box_survey(tmp_path).trainable == ready
    assert ready == (fault in HARMLESS)


@pytest.mark.slow
def test_bccd() -> None:
    """The counts that its authors publish, by split those of another reading of its files; two boxes of no size, one leak."""
    root = next((place / "BCCD" for place in data_folders("bccd") if (place / "BCCD").is_dir()), None)
    if root is None:
        pytest.skip("needs bccd in $GIPI_DATA")
    found = box_survey(root)
    assert found.trainable
    assert found.images == {"train": 205, "validation": 87, "test": 72}
    for name, split in SPLITS.items():
        stems = (root / "ImageSets" / "Main" / f"{name}.txt").read_text().split()
        trees = [ElementTree.parse(root / "Annotations" / f"{stem}.xml") for stem in stems]
        expected = Counter(thing.findtext("name") for tree in trees for thing in tree.iter("object"))
        got = Counter({label: count.boxes for label, count in found.classes[split].items()})
        got.update(each.label for each in found.wrong if Path(each.file).stem in stems)
        assert got == expected
    totals = {label: sum(split[label].boxes for split in found.classes.values()) for label in ("Platelets", "RBC", "WBC")}
    assert totals == {"Platelets": 361, "RBC": 4155 - 2, "WBC": 372}
    stems = {Path(each.file).stem: (each.trouble, each.label) for each in found.wrong}
    assert stems == {"BloodImage_00338": ("of no size", "RBC"), "BloodImage_00343": ("of no size", "RBC")}
    assert found.sizes == {"640x480": 364}
    assert found.verdicts() == [
        "ready to train",
        "boxes of no size: 2; they are left out",
        "test or validation images that are in train, too, or nearly so: 1; scores will be too good",
    ]
