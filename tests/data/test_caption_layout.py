"""Images and captions found in every layout, and what is wrong with files of them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.data.box_layout import find_boxes, is_box_folder
from gipi.data.caption_layout import find_captions, is_caption_folder
from gipi.errors import ConfigError, DataError
from oracle import box_folders
from oracle.caption_folders import captions, coco, flickr, listing, pictures, table
from oracle.photos import photo, photos

NAMES = [f"{letter}.png" for letter in "abcdef"]
MADE = captions(NAMES)
LISTS = {"train": NAMES[:3], "dev": NAMES[3:4], "test": NAMES[4:]}
KOREAN = "빨간 공을 문 개, 잔디밭에서."


def part(names: Iterable[str]) -> dict[str, list[str]]:
    return {name: MADE[name] for name in names}


def names(path: Path) -> dict[str, list[str]]:
    return {split: [pair.image.name for pair in pairs] for split, pairs in find_captions(path).pairs().items()}


def read_as(path: Path, made: dict[str, list[str]]) -> None:
    """All splits together give those captions, and nothing is amiss."""
    files = find_captions(path)
    assert is_caption_folder(path)
    assert {Path(pair.image.name).name: list(pair.captions) for pairs in files.pairs().values() for pair in pairs} == made
    assert all(pair.image.path.is_file() and pair.image.label == 0 for pairs in files.pairs().values() for pair in pairs)
    assert (files.faults, files.empty, files.missing, files.bare, files.unlisted) == ((), (), (), (), ())


# Flickr8k


def test_flickr8k_with_its_lists(tmp_path: Path) -> None:
    flickr(tmp_path, MADE, LISTS)
    (tmp_path / "Flickr8k.lemma.token.txt").write_text("a.png#0\tcat red\n")
    (tmp_path / "readme.txt").write_text("hello")
    read_as(tmp_path, MADE)
    assert names(tmp_path) == {split: [f"images/{n}" for n in LISTS[name]] for name, split in
                               (("train", "train"), ("dev", "validation"), ("test", "test"))}  # fmt: skip
    assert find_captions(tmp_path).of_split("validation")[0].captions == tuple(MADE["d.png"])
    with pytest.raises(ConfigError, match="no split 'dev'"):
        find_captions(tmp_path).of_split("dev")


@pytest.mark.parametrize("folder", ["Images", "Flicker8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset", "."])
@pytest.mark.parametrize("text", [".", "Flickr8k_text"])
def test_folders_that_copies_of_flickr8k_have(tmp_path: Path, folder: str, text: str) -> None:
    flickr(tmp_path, MADE, LISTS)
    for image in (tmp_path / "images").iterdir():
        image.rename((tmp_path / folder).mkdir(parents=True, exist_ok=True) or tmp_path / folder / image.name)
    (tmp_path / "images").rmdir()
    for file in tmp_path.glob("*.txt"):
        file.rename((tmp_path / text).mkdir(exist_ok=True) or tmp_path / text / file.name)
    read_as(tmp_path, MADE)
    assert names(tmp_path)["train"] == [(Path(folder) / name).as_posix() for name in NAMES[:3]]


def test_without_lists_a_fifth_is_for_testing(tmp_path: Path) -> None:
    found = names(flickr(tmp_path, MADE))
    assert {split: len(part) for split, part in found.items()} == {"train": 4, "test": 2}
    assert names(tmp_path) == found
    (tmp_path / "Flickr8k.token.txt").write_text(
        "".join(reversed((tmp_path / "Flickr8k.token.txt").read_text().splitlines(True)))
    )
    assert {split: {*part} for split, part in names(tmp_path).items()} == {split: {*part} for split, part in found.items()}


def test_lines_of_any_system_and_script(tmp_path: Path) -> None:
    """A mark of UTF-8, ends of lines of Windows, blank lines, ends of names in capitals, signs that other tools take for ends."""
    made = {
        "개.JPG": [KOREAN, "日本の犬\u2028走る"],
        "Hund 2.JPEG": ["Ein Hund läuft über die Straße", "a dog\x85 # 2\truns\x0c\x1c."],
    }
    pictures(tmp_path / "images", made)
    lines = [f"{name}#{n}\t {text} " for name, told in made.items() for n, text in enumerate(told)]
    (tmp_path / "my.token.txt").write_bytes(("\ufeff" + "\r\n\r\n".join(lines) + "\r\n \r\n").encode())
    (tmp_path / "trainImages.txt").write_bytes("\ufeff개.JPG\r\n\r\n".encode())
    (tmp_path / "testImages.txt").write_bytes(b"Hund 2.JPEG")
    read_as(tmp_path, made)
    assert names(tmp_path) == {"train": ["images/개.JPG"], "test": ["images/Hund 2.JPEG"]}


@pytest.mark.parametrize("composed", [True, False])
def test_hangul_in_names_may_be_taken_apart(tmp_path: Path, composed: bool) -> None:
    for name in ("강아지.png", "고양이.png"):
        photo(tmp_path / "images" / unicodedata.normalize("NFC" if composed else "NFD", name))
    text = "강아지.png#0\t개\n고양이.png#0\t고양이\n"
    (tmp_path / "my.token.txt").write_text(unicodedata.normalize("NFD" if composed else "NFC", text), encoding="utf-8")
    files = find_captions(tmp_path)
    assert (files.missing, files.bare, len(files.found.entries)) == ((), (), 2)


def test_faulty_lines_of_a_token_file_are_told_by_their_number(tmp_path: Path) -> None:
    flickr(tmp_path, MADE, LISTS)
    lines = [
        "",
        "a.png#0 no tab",
        "b.png\tno number",
        "#0\tno name",
        "c.png#x\tno number",
        "a.png#1\tgood",
        "e.png#",
        "e.png#0\tgood",
        "f.png#1#2\tg",
    ]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines))
    files = find_captions(tmp_path)
    form = "must be an image's name, # and a number, a tab and a caption; it is"
    assert files.faults == tuple(f"Flickr8k.token.txt, line {n}: {form} {lines[n - 1]!r}" for n in (2, 3, 4, 5, 7))
    assert files.missing == ("images/f.png#1",)


def test_what_has_no_partner(tmp_path: Path) -> None:
    flickr(tmp_path, MADE, {"train": [*NAMES[:3], "no.png"], "test": NAMES[4:]})
    (tmp_path / "images" / "b.png").unlink()
    (tmp_path / "images" / "e.png").unlink()
    photo(tmp_path / "images" / "more.JPG")
    (tmp_path / "images" / "notes.txt").write_text("no picture")
    (tmp_path / "images" / ".hidden.png").write_text("not the user's")
    with (tmp_path / "Flickr8k.token.txt").open("a") as file:
        file.write("gone.png#0\ta cat\nc.png#9\t \nempty.png#0\t.\n")
    photo(tmp_path / "images" / "empty.png")
    files = find_captions(tmp_path)
    assert files.missing == ("images/b.png", "images/e.png", "images/gone.png")
    assert files.unlisted == ("images/d.png",), "one that is not there is missing alone"
    assert files.bare == ("images/empty.png", "images/no.png", "images/more.JPG")
    count = sum(map(len, MADE.values()))
    assert files.empty == (f"Flickr8k.token.txt, line {count + 2}: the caption of images/c.png is empty",
                           f"Flickr8k.token.txt, line {count + 3}: the caption of images/empty.png is empty")  # fmt: skip
    assert names(tmp_path) == {"train": [f"images/{n}" for n in NAMES[:3]], "test": ["images/e.png", "images/f.png"]}
    assert files.captions["images/c.png"] == tuple(MADE["c.png"])


def test_an_image_in_two_lists(tmp_path: Path) -> None:
    flickr(tmp_path, MADE, {**LISTS, "test": ["e.png", "", "a.png", "e.png"]})
    assert find_captions(tmp_path).faults == ("Flickr_8k.testImages.txt, line 3: images/a.png is listed for train before; list it once",)  # fmt: skip


def test_files_that_are_refused(tmp_path: Path) -> None:
    flickr(tmp_path, MADE, LISTS)
    file, lists = tmp_path / "Flickr8k.token.txt", tmp_path / "Flickr_8k.trainImages.txt"
    kept = file.read_text()
    for text, says in (
        ("", "has no image with a caption; it must have Flickr8k's"),
        ("a.png", "has no image with a caption; Flickr8k.token.txt, line 1: must be"),
        ("a.png#0\t...", "has no image with a caption; Flickr8k.token.txt, line 1: the caption of images/a.png is empty"),
        ("e.png#0\ta cat", "has captions for test, but none for train$"),
        ("e.png#0\ta cat\na.png#0 a dog", "but none for train; Flickr8k.token.txt, line 2: must be"),
        ("far.png#0\ta cat\n", r"has captions of images that are not there: images/far.png; put them there"),
    ):
        lists.write_text("a.png\nfar.png\n")
        file.write_text(text)
        with pytest.raises(DataError, match=says):
            find_captions(tmp_path)
    file.write_bytes("a.png#0\tein Hund läuft".encode("latin-1"))
    with pytest.raises(DataError, match=r"Flickr8k.token.txt is no text in UTF-8: .*0xe4"):
        find_captions(tmp_path)
    file.write_text(kept)
    (tmp_path / "captions.txt").write_text("image,caption\n")
    assert is_caption_folder(tmp_path), "so that the error is this one"
    with pytest.raises(DataError, match=r"has several files of captions: Flickr8k.token.txt, captions.txt; keep one of them"):
        find_captions(tmp_path)


# CSV


@pytest.mark.parametrize("header", [("image", "caption"), ("path", "text"), ("File", " Caption "), ("filename", "caption")])
def test_a_table(tmp_path: Path, header: tuple[str, str]) -> None:
    made = {**MADE, "개.JPG": [KOREAN, 'a "red" dog, with a ball', "two\nlines", '"hm"']}
    path = table(tmp_path / "table.csv", made, header=header)
    read_as(path, made)
    assert {split: len(part) for split, part in names(path).items()} == {"train": 5, "test": 2}
    assert not is_caption_folder(tmp_path), "a table of any name is named itself"


def test_a_table_with_splits(tmp_path: Path) -> None:
    splits = {
        name: split for split, part in (("train", "abc"), ("Valid", "d"), ("TEST", "ef")) for name in NAMES if name[0] in part
    }
    path = table(tmp_path / "a.CSV", MADE, splits)
    read_as(path, MADE)
    assert names(path) == {"train": NAMES[:3], "validation": NAMES[3:4], "test": NAMES[4:]}


@pytest.mark.parametrize("name", ["captions.txt", "captions.csv"])
@pytest.mark.parametrize("lists", [False, True])
def test_the_table_of_kaggle(tmp_path: Path, name: str, lists: bool) -> None:
    flickr(tmp_path, MADE, LISTS if lists else None)
    (tmp_path / "Flickr8k.token.txt").unlink()
    (tmp_path / "images").rename(tmp_path / "Images")
    table(tmp_path / "made" / "made.csv", MADE).rename(tmp_path / name)
    read_as(tmp_path, MADE)
    assert len(names(tmp_path)) == (3 if lists else 2)


def test_faulty_lines_of_a_table_are_told_by_their_number(tmp_path: Path) -> None:
    path = table(tmp_path / "table.csv", {})
    pictures(tmp_path, ["a.png", "b.png"])
    lines = ["\ufeffimage,caption,split", "a.png,a cat,train", "", "a.png,a cat, red,train", "a.png,a cat", ",a cat,train",
             'b.png,"a cat\non a mat",trian', "a.png,a dog,val", 'b.png,"a ""big"", red cat",val', "b.png, ,val"]  # fmt: skip
    path.write_bytes("\r\n".join(lines).encode())
    files = find_captions(path)
    assert files.faults == (
        "table.csv, line 4: must have 3 fields, it has 4; put quotes around a caption with commas",
        "table.csv, line 5: must have 3 fields, it has 2",
        "table.csv, line 6: names no image",
        "table.csv, line 8: no split 'trian'; did you mean 'train'? (allowed: test, train, val, valid, validation)",
        "table.csv, line 9: a.png is listed for train before; list it once",
    )
    assert files.empty == ("table.csv, line 11: the caption of b.png is empty",)
    assert files.captions == {"a.png": ("a cat", "a dog"), "b.png": ('a "big", red cat',)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "image,caption,label\n",
            "must have the columns image,caption .or path,.*where there are splits split; it begins with image",
        ),
        ("image,path,caption\n", "must have the columns"),
        ('image,caption\na.png,a cat\na.png,"a dog" runs\n', "is no CSV file in UTF-8, line 3: ',' expected after '\"'"),
        ('image,caption\na.png,"a dog\n\n', "is no CSV file in UTF-8, line 3: unexpected end of data"),
        ("image,caption\n", "has no image with a caption; it must have"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        find_captions(tmp_path / "table.csv")


def test_one_image_is_too_few_unless_others_are_for_another_split(tmp_path: Path) -> None:
    path = table(tmp_path / "table.csv", part(NAMES[:1]))
    with pytest.raises(DataError, match=r"has one image with captions, a.png: training and test need one each"):
        find_captions(path)
    path.write_text(path.read_text() + "b.png\n")
    with pytest.raises(DataError, match=r"training and test need one each; table\.csv, line \d+: "):
        find_captions(path)  # why it is but one
    table(path, part(NAMES[:2]), {"a.png": "train", "b.png": "val"})
    assert names(path) == {"train": ["a.png"], "test": ["b.png"]}


def test_a_table_in_latin(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes("image,caption\na.png,läuft\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"table.csv is no CSV file in UTF-8, line .*0xe4"):
        find_captions(tmp_path / "table.csv")


def test_images_may_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    made = {"images/a.png": ["one"], "b.png": ["two"], "more/deep/c.png": ["three"], "more/no.png": ["four"], "no.png": ["five"]}
    path = table(tmp_path / "table.csv", made)
    (tmp_path / "more" / "no.png").unlink()
    (tmp_path / "no.png").unlink()
    files = find_captions(path)
    assert sorted(files.captions) == ["b.png", "images/a.png", "images/no.png", "more/deep/c.png", "more/no.png"]
    assert files.missing == ("more/no.png", "images/no.png")


# COCO


def test_coco_with_a_file_for_each_split(tmp_path: Path) -> None:
    for split, part_names in {"train": NAMES[:3], "val": NAMES[3:4], "test": NAMES[4:]}.items():
        coco(tmp_path / "annotations" / f"captions_{split}2017.json", tmp_path / f"{split}2017", part(part_names))
    read_as(tmp_path, MADE)
    assert names(tmp_path)["train"] == [f"train2017/{name}" for name in NAMES[:3]]
    assert names(tmp_path)["validation"] == ["val2017/d.png"]
    assert not is_box_folder(tmp_path)
    with pytest.raises(DataError, match="has no images with boxes in a layout that is known"):
        find_boxes(tmp_path)


def test_coco_with_images_of_one_name_in_two_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        coco(tmp_path / "annotations" / f"captions_{split}.json", tmp_path / "images" / split, {"1.png": [f"a {split}"]})
    files = find_captions(tmp_path)
    assert files.captions == {"images/train/1.png": ("a train",), "images/val/1.png": ("a val",)}
    assert names(tmp_path) == {"train": ["images/train/1.png"], "test": ["images/val/1.png"]}


@pytest.mark.parametrize("begin", ["instances_", ""])
def test_coco_of_boxes_and_captions_is_both(tmp_path: Path, begin: str) -> None:
    for split, stems in {"train": "abc", "val": "def"}.items():
        made = box_folders.boxes(stems)
        box_folders.coco(tmp_path / "annotations" / f"{begin}{split}2017.json", tmp_path / f"{split}2017", made)
        coco(tmp_path / "annotations" / f"captions_{split}2017.json", tmp_path / f"{split}2017", part(f"{s}.png" for s in stems))
    assert is_box_folder(tmp_path)
    read_as(tmp_path, MADE)
    files = find_boxes(tmp_path)
    assert {split: [pair.image.name for pair in pairs] for split, pairs in files.pairs().items()} == names(tmp_path)
    assert files.faults == ()


@pytest.mark.parametrize("place", ["", "annotations"])
def test_files_of_other_names_are_told_apart_by_what_is_in_them(tmp_path: Path, place: str) -> None:
    boxes, said = tmp_path / place / "first.json", tmp_path / place / "second.json"
    lists = json.loads(box_folders.coco(boxes, tmp_path, box_folders.boxes("abcdef")).read_text())
    lists["annotations"][0]["caption"] = "of a box"
    boxes.write_text(json.dumps(lists))
    coco(said, tmp_path, MADE)
    read_as(tmp_path, MADE)
    read_as(said, MADE)
    assert len(find_boxes(tmp_path).found.entries) == len(find_boxes(boxes).found.entries) == 6
    assert not is_caption_folder(boxes)
    assert not is_box_folder(said)


def test_korean_captions_of_coco_as_text_or_escaped(tmp_path: Path) -> None:
    made = {"개.JPG": [KOREAN], "고양이.png": ["고양이 \U0001f408"]}
    file = coco(tmp_path / "captions.json", tmp_path, made)
    assert b"\\u" in file.read_bytes()
    read_as(file, made)
    file.write_text(json.dumps(listing(made), ensure_ascii=False), encoding="utf-8-sig")
    read_as(file, made)


def test_faulty_lists_of_coco(tmp_path: Path) -> None:
    file = coco(tmp_path / "captions.json", tmp_path, part(NAMES[:2]))
    rows = listing(part(NAMES[:2]))
    rows["images"] += [
        {"id": 1000, "file_name": "c.png"},
        {"id": 5},
        {"id": 6, "file_name": "b.png"},
        {"id": 7, "file_name": "g.png"},
    ]
    rows["annotations"] = [{"image_id": 1000, "caption": "one"}, {"image_id": 1000}, {"image_id": 9, "caption": "two"},
                           {"image_id": [], "caption": "two"}, {"image_id": 1001, "caption": 3}, {"image_id": 6, "caption": "same"},
                           {"image_id": 1001, "caption": " "}]  # fmt: skip
    file.write_text(json.dumps(rows))
    files = find_captions(file)
    form = "must have a caption and the id of a listed image as image_id"
    assert files.faults == (
        "captions.json: images[2] has the id 1000, as one before",
        "captions.json: images[3] must have an id and a file_name",
        *(f"captions.json: annotations[{number}] {form}" for number in (1, 2, 3, 4)),
    )
    assert files.empty == ("captions.json: annotations[6]: the caption of b.png is empty",)
    assert files.captions == {"a.png": ("one",), "b.png": ("same",)}
    assert files.bare == ("g.png",)


def test_coco_that_is_refused(tmp_path: Path) -> None:
    file = coco(tmp_path / "captions_all.json", tmp_path, MADE)
    for text, says in (
        ('{"images": [', "captions_all.json is no JSON file"),
        ('{"images": []}', "captions_all.json must hold the lists images, annotations, as COCO's files do"),
        ('{"images": [], "annotations": []}', "has no image with a caption; it must have"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=says):
            find_captions(file)
    for name in ("captions_old.json", "captions_new.json"):
        coco(tmp_path / "annotations" / name, tmp_path, MADE)
    with pytest.raises(
        DataError, match=r"annotations/captions_new.json, annotations/captions_old.json: allowed are one, or one each"
    ):
        find_captions(tmp_path)


# What is none, and all together


def test_what_is_no_set_of_captions(tmp_path: Path) -> None:
    photos(tmp_path / "classes", {"cat": 2, "dog": 2})
    (tmp_path / "classes" / "meta.json").write_text('{"caption": 4}')
    (tmp_path / "labels.csv").write_text("path,label\na.png,cat\n")
    (tmp_path / "boxes.csv").write_text("path,x0,y0,x1,y1,class\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "broken.json").write_text("[")
    box_folders.voc(tmp_path / "voc", box_folders.boxes("ab"))
    for name in ("classes", "labels.csv", "boxes.csv", "empty.csv", "broken.json", "voc", "nowhere", "nowhere.csv"):
        assert not is_caption_folder(tmp_path / name)
        with pytest.raises(
            DataError, match=f"{name} (has no images with captions in a layout that is known|is not there): Flickr8k"
        ):
            find_captions(tmp_path / name)


def test_all_layouts_are_read_alike(tmp_path: Path) -> None:
    made = {name: ["a red ball", KOREAN, *told] for name, told in MADE.items()}
    for path in (
        flickr(tmp_path / "flickr", made),
        table(tmp_path / "table.csv", made),
        coco(tmp_path / "coco" / "said.json", tmp_path / "coco", made),
    ):
        read_as(path, made)


PIECES = [
    "a.png",
    "b.png",
    "#0",
    "\t",
    "\n",
    "\r",
    ",",
    '"',
    "image",
    "caption",
    "\x00",
    "\ufeff",
    "개",
    "\ud800",
    "/",
    "..",
    " ",
    "é",
]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from(["a.token.txt", "captions.txt", "captions.csv"]))
def test_hostile_text_is_an_error_of_ours_or_told(tmp_path_factory: pytest.TempPathFactory, pieces: list[str], name: str) -> None:
    root = tmp_path_factory.mktemp("hostile")
    begin = "" if "token" in name else "image,caption\n"
    (root / name).write_bytes((begin + "".join(pieces)).encode("utf-8", "surrogatepass"))
    photo(root / "a.png")
    try:
        files = find_captions(root)
    except DataError:
        return
    assert files.found.entries
    assert all(files.captions[entry.name] for entry in files.found.entries)


@settings(max_examples=25, deadline=None)
@given(
    st.recursive(
        st.sampled_from([None, True, 1, 1000, -1.5, "a.png", "", "\x00", "\ud800", "caption"]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "image_id", "file_name", "caption"]), inner)
        ),
        max_leaves=8,
    )
)
def test_hostile_json_is_an_error_of_ours_or_told(tmp_path_factory: pytest.TempPathFactory, rows: object) -> None:
    root = tmp_path_factory.mktemp("hostile")
    file = coco(root / "captions.json", root, part(NAMES[:1]))
    lists = listing(part(NAMES[:1]))
    for name in lists:
        file.write_text(json.dumps({**lists, name: [*lists[name], *(rows if isinstance(rows, list) else [rows])]}))
        with suppress(DataError):
            assert find_captions(file).captions["a.png"] == tuple(MADE["a.png"])
