"""Sets of images and captions with one of every fault, and what is said of them; what is refused is what training refuses."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gipi.api import check
from gipi.config import DataConfig
from gipi.data.box_findings import BoxSurvey
from gipi.data.caption_findings import CaptionSurvey
from gipi.data.caption_folder import caption_folder
from gipi.data.caption_look import Count, scripts
from gipi.data.caption_survey import caption_survey
from gipi.data.fetch import data_folders
from gipi.errors import DataError, GipiWarning
from gipi.ops.text import LONGEST, Vocabulary
from oracle.box_folders import boxes
from oracle.box_folders import coco as instances
from oracle.caption_folders import captions, coco, flickr, table
from oracle.photos import photo

LISTS = {"train": [f"{n:02}.png" for n in range(12)], "dev": ["m.png", "n.png"], "test": ["p.png", "q.png", "r.png"]}
SPLITS = {"train": "train", "dev": "validation", "test": "test"}
NAMES = [name for names in LISTS.values() for name in names]


def plain(caption: str) -> tuple[str, ...]:
    """The words of an English caption, found another way."""
    return tuple(re.findall(r"[a-z0-9]+(?:['-][a-z0-9]+)*", caption.lower()))


def good(root: Path) -> Path:
    return flickr(root, captions(NAMES), LISTS)


def put(root: Path, name: str, *told: str) -> None:
    """Other captions for an image of `good`."""
    file = root / "Flickr8k.token.txt"
    lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{name}#")]
    lines += [f"{name}#{number}\t{caption}" for number, caption in enumerate(told)]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def add(file: Path, line: str) -> None:
    file.write_text(file.read_text() + f"{line}\n")


def counted(told: Iterable[str], train: Iterable[str], images: int) -> Count:
    """What there should be in a split."""
    told, train = list(told), list(train)
    uses = Counter(word for caption in train for word in plain(caption))
    words = [word for caption in told for word in plain(caption)]
    copied = sum(plain(caption) in {plain(other) for other in train} for caption in told)
    return Count(images, len(told), len(words), sum(uses[word] < 5 for word in words), copied)


def test_a_good_set(tmp_path: Path) -> None:
    made = captions(NAMES)
    made["p.png"] = [made["00.png"][0].upper(), *made["p.png"]]
    found = caption_survey(flickr(tmp_path, made, LISTS))
    assert found.trainable
    assert list(found.splits) == ["train", "validation", "test"]
    told = {part: [caption for name in names for caption in made[name]] for part, names in LISTS.items()}
    for part, split in SPLITS.items():
        assert found.splits[split] == counted(told[part], told["train"], len(LISTS[part]))
    assert found.splits["test"].copied == 1
    every, uses = [caption for part in told.values() for caption in part], Counter(w for c in told["train"] for w in plain(c))
    for spread, numbers in ((found.an_image, map(len, made.values())), (found.lengths, [len(plain(each)) for each in every])):
        assert spread == tuple(np.quantile([*numbers], [0, 0.5, 1]))
    numbers = [*uses.values()]
    assert found.words[:3] == (len(uses), sum(n >= 5 for n in numbers), numbers.count(1))
    assert Counter(found.words.commonest) == Counter(dict(uses.most_common(10)))
    assert (found.scripts, found.sizes) == ({"Latin": len(every)}, {"12x9": 17})
    assert (found.error, found.common, found.faults, found.unreadable, found.missing) == ("", {}, (), {}, ())
    assert (found.bare, found.unlisted, found.empty, found.odd, found.alike, found.refusals) == ((), (), (), (), (), ())


def test_all_layouts_say_the_same(tmp_path: Path) -> None:
    """But for splits, which are of one list here."""
    made = captions(NAMES)
    found = [
        caption_survey(flickr(tmp_path / "flickr", made)),
        caption_survey(coco(tmp_path / "coco" / "captions.json", tmp_path / "coco", made)),
        caption_survey(table(tmp_path / "csv" / "all.csv", made)),
    ]
    assert all(one.trainable for one in found)
    for part in ("an_image", "lengths", "scripts", "sizes", "odd", "empty", "bare"):
        assert getattr(found[0], part) == getattr(found[1], part) == getattr(found[2], part)
    assert {sum(count.words for count in one.splits.values()) for one in found} == {
        sum(len(plain(caption)) for told in made.values() for caption in told)
    }


def bad(root: Path) -> Path:
    """One of every fault."""
    good(root)
    images, tokens = root / "images", root / "Flickr8k.token.txt"
    put(root, "00.png", " ".join(["dog"] * LONGEST) + " cat", " ".join(["dog"] * LONGEST))
    put(root, "01.png", "Two dogs, one ball .", "a cat", "two dogs one ball")
    put(root, "02.png", "a dog", "", " . ! ")
    put(root, "03.png", "")
    (images / "04.png").write_bytes(b"")
    (images / "05.png").unlink()
    photo(images / "bare.png", 7)
    photo(images / "unlisted.png", 8)
    shutil.copy(images / "06.png", images / "p.png")
    put(root, "06.png", "a dog", "a cat")
    put(root, "p.png", "a dog")
    photo(images / "q.png", 9, (30, 40))
    add(tokens, "unlisted.png#0\ta dog")
    add(tokens, "07.png a dog without a number")
    return root


def test_every_fault_is_told_by_its_file(tmp_path: Path) -> None:
    found = caption_survey(bad(tmp_path))
    assert not found.trainable
    assert [(each.trouble, each.file, each.caption[:20]) for each in found.odd] == [
        (f"of more than {LONGEST} words and commas", "images/00.png", "dog dog dog dog dog "),
        ("given twice for an image", "images/01.png", "Two dogs, one ball ."),
    ]
    assert [sentence.split(": ")[1] for sentence in found.empty] == [
        f"the caption of images/{n} is empty" for n in ("02.png", "02.png", "03.png")
    ]
    assert found.unreadable == {"images/04.png": "is empty (0 bytes); allowed are PNG, JPEG, WEBP, BMP, GIF, TIFF files"}
    assert found.missing == ("images/05.png",)
    assert found.bare == ("images/03.png", "images/bare.png")
    assert found.unlisted == ("images/unlisted.png",)
    [line] = found.faults
    assert line.startswith("Flickr8k.token.txt, line ")
    assert "07.png a dog without a number" in line
    assert [[(m.name, m.split, m.label) for m in group.members] for group in found.alike] == [
        [("images/06.png", "train", "captions: 2"), ("images/p.png", "test", "captions: 1")]
    ]
    assert found.sizes == {"12x9": 13, "30x40": 1}, "of the images that can be used"
    assert found.splits["train"].images == 9
    assert found.refusals == (
        "lines that are not as they must be: 1; mend them",
        "2 of 11 images of train cannot be read: training refuses above 1%; mend or remove them, or allow more by --data.broken",
    )


def test_what_the_faults_mean_is_said(tmp_path: Path) -> None:
    found = caption_survey(bad(tmp_path))
    said = found.verdicts()
    for sentence in (
        "not ready to train: lines that are not as they must be: 1; mend them",
        "images without a caption: 2; they are left out",
        "images of no split: 1; they are left out",
        "captions that are empty: 3; they are left out",
        f"captions of more than {LONGEST} words and commas: 1; they are cut there",
        "captions given twice for an image: 1; they are kept, and count twice",
        "test or validation images that are in train, too, or nearly so: 1; scores will be too good",
    ):
        assert sentence in said
    text = found.text()
    for line in (
        "lines that are not as they must be: 1\n  Flickr8k.token.txt, line ",
        "captions, but no image: 1\n  images/05.png\n",
        "image, but no captions: 2\n  images/03.png\n  images/bare.png\n",
        "empty captions: 3\n",
        f"commas: 1\n  images/00.png: {'dog ' * 25}...\n",
        "captions given twice for an image: 1\n  images/01.png: Two dogs, one ball .\n",
        "images/06.png (train, captions: 2) = images/p.png (test, captions: 1)",
        "image sizes        12x9 13, 30x40 1",
    ):
        assert line in text


def test_the_table_has_counts_and_shares(tmp_path: Path) -> None:
    made = {"0.png": ["a cat"] * 5 + ["a dog"], "1.png": ["a cat"], "2.png": ["A dog, a cat", "a dog."]}
    flickr(tmp_path, made, {"train": ["0.png", "1.png"], "test": ["2.png"]})
    assert caption_survey(tmp_path).text().splitlines()[1:14] == [
        "                                     train        test",
        "images                                   2           1",
        "captions                                 7           2",
        "  in train, too                                  50.0%",
        "words                                   14           6",
        "  less than 5 times in train          7.1%       33.3%",
        "",
        "captions an image  1 to 6, median 2",
        "words a caption    2 to 4, median 2",
        "words of train     3; 2 at least 5 times, 1 once",
        "commonest          a 7, cat 6, dog 1",
        "scripts            Latin 9",
        "image sizes        12x9 3",
    ]
    said = "33% of the words of test are less than 5 times in train; a net can hardly say them: add captions"
    assert said in caption_survey(tmp_path).verdicts()


def test_korean_and_other_scripts_are_counted_and_hinder_nothing(tmp_path: Path) -> None:
    made = {
        "0.png": ["고양이가 공을 쫓는다", "개 한 마리"],
        "1.png": ["猫がボールを追う", "개와 cat"],
        "2.png": ["кот", "\u1100\u1161"],  # the last a syllable of Hangul in two signs
        "3.png": ["\uff11\uff12 4", "ﾈｺ"],  # full-width figures, half-width kana
    }
    found = caption_survey(flickr(tmp_path, made, {"train": [*made][:3], "test": ["3.png"]}))
    assert found.trainable
    assert found.scripts == {"Hangul": 4, "Katakana": 2, "CJK": 1, "Hiragana": 1, "Latin": 1, "Cyrillic": 1}
    assert found.splits["train"].captions == 6
    assert found.words.commonest["고양이가"] == 1
    assert not found.odd


def test_scripts_are_those_of_letters() -> None:
    assert scripts("Größe 12, über 3!") == {"Latin"}
    assert scripts("12 - 3 + ☃ 😀") == set()
    assert scripts("\uff26\uff55\uff4c\uff4c") == {"Latin"}
    assert scripts("слово и word") == {"Cyrillic", "Latin"}


def test_a_letter_that_only_looks_alike_is_told(tmp_path: Path) -> None:
    """In 150 captions one has a Cyrillic a; in 50 it would be no rare script yet."""
    made = {f"{number:02}.png": [f"a cat {number} {n}" for n in range(3)] for number in range(50)}
    made["07.png"][1] = "a c\u0430t"
    found = caption_survey(flickr(tmp_path, made))
    [odd] = found.odd
    assert (odd.trouble, odd.file, odd.caption) == ("with letters of a rare script", "images/07.png", "a c\u0430t")
    assert any(said.startswith("captions with letters of a rare script: 1; they are kept; see") for said in found.verdicts())
    few = {name: [told[1]] for name, told in made.items()}
    assert not caption_survey(flickr(tmp_path / "few", few)).odd


@pytest.mark.parametrize(("images", "told"), [(10, False), (11, True)])
def test_the_same_caption_for_very_many_images(images: int, told: bool, tmp_path: Path) -> None:
    """Of more than ten images of train, whatever its case; how often an image has it does not matter."""
    made = captions([f"{number:02}.png" for number in range(30)], most=1)
    for name in [*made][:images]:
        made[name] = ["A photo .", "a photo"]
    lists = {"train": [*made][:29], "test": [*made][29:]}
    found = caption_survey(flickr(tmp_path, made, lists))
    assert found.common == ({"A photo .": images} if told else {})
    assert any(said.startswith("captions of very many images: 1;") for said in found.verdicts()) == told


def test_images_that_look_nearly_equal(tmp_path: Path) -> None:
    flickr(tmp_path, captions(NAMES), LISTS)
    photo(tmp_path / "images" / "00.png", 77, (160, 120))
    with Image.open(tmp_path / "images" / "00.png") as image:
        image.resize((120, 90)).save(tmp_path / "images" / "q.png")
    [group] = caption_survey(tmp_path).alike
    assert (group.near, group.leaks, [member.name for member in group.members]) == (True, 1, ["images/00.png", "images/q.png"])


def test_few_unreadable_ones_are_left_out_and_many_refused(tmp_path: Path) -> None:
    made = captions([f"{number:03}.png" for number in range(120)])
    flickr(tmp_path, made, {"train": [*made][:119], "test": [*made][119:]})
    add(tmp_path / "Flickr8k.token.txt", "gone.png#0\ta dog")
    (tmp_path / "images" / "000.png").write_bytes(b"x")
    found = caption_survey(tmp_path)
    assert found.verdicts()[:3] == [
        "ready to train",
        "images that cannot be read: 1; they are left out",
        "images that have captions, but are not there: 1; they are left out",
    ]
    assert found.splits["train"].images == 118
    (tmp_path / "images" / "001.png").unlink()
    found = caption_survey(tmp_path)
    assert found.refusals[0].startswith("2 of 119 images of train cannot be read: training refuses above 1%")
    assert not any("left out" in said for said in found.verdicts()), "which hinders less than what refuses"


def test_an_unknown_layout_and_no_caption_at_all_are_told(tmp_path: Path) -> None:
    found = caption_survey(tmp_path)
    assert not found.trainable
    assert found.error.startswith(f"{tmp_path} has no images with captions in a layout that is known")
    assert found.text().splitlines()[0] == str(tmp_path)
    assert json.loads(json.dumps(found.json()))["trainable"] is False
    found = caption_survey(flickr(tmp_path, {name: [" . "] for name in NAMES}))
    assert found.verdicts()[0].startswith(f"not ready to train: {tmp_path} has no image with a caption")


def test_json_holds_everything(tmp_path: Path) -> None:
    found = json.loads(json.dumps(caption_survey(bad(tmp_path)).json()))
    assert set(found) == {*CaptionSurvey.__dataclass_fields__, "trainable", "verdicts"}
    assert found["splits"]["test"]["images"] == 3
    assert found["words"]["commonest"]["a"] > 1
    assert found["odd"][1] == {"trouble": "given twice for an image", "file": "images/01.png", "caption": "Two dogs, one ball ."}
    assert found["alike"][0]["members"][1] == {"name": "images/p.png", "split": "test", "label": "captions: 1"}


def test_of_boxes_and_captions_the_boxes_are_told_unless_the_file_of_captions_is_named(tmp_path: Path) -> None:
    names = [f"{stem}.png" for stem in "abcde"]
    boxed = boxes("abcde")
    annotations = tmp_path / "annotations"
    instances(annotations / "instances_all.json", tmp_path / "images", boxed)
    file = coco(annotations / "captions_all.json", tmp_path / "images", captions(names))
    assert isinstance(check(tmp_path), BoxSurvey)
    assert isinstance(check(annotations / "instances_all.json"), BoxSurvey)
    found = check(file)
    assert isinstance(found, CaptionSurvey)
    assert found.trainable
    (annotations / "instances_all.json").unlink()
    assert isinstance(check(tmp_path), CaptionSurvey)


FAULTS: dict[str, Callable[[Path], object]] = {
    "none": lambda root: None,
    "empty": lambda root: put(root, "00.png", "a dog", ""),
    "all of an image empty": lambda root: put(root, "00.png", " ."),
    "too long": lambda root: put(root, "00.png", "dog " * 99),
    "twice": lambda root: put(root, "00.png", "a dog", "a dog"),
    "korean": lambda root: put(root, "00.png", "고양이가 공을 쫓는다"),
    "bare": lambda root: photo(root / "images" / "bare.png"),
    "listed without caption": lambda root: add(root / "Flickr_8k.trainImages.txt", "x.png"),
    "of no split": lambda root: add(root / "Flickr8k.token.txt", "x.png#0\ta dog"),
    "broken image": lambda root: (root / "images" / "00.png").write_bytes(b"x"),
    "missing image": lambda root: (root / "images" / "00.png").unlink(),
    "broken image of test": lambda root: (root / "images" / "q.png").write_bytes(b"x"),
    "no tab": lambda root: add(root / "Flickr8k.token.txt", "00.png#4 a dog"),
    "no number": lambda root: add(root / "Flickr8k.token.txt", "00.png\ta dog"),
    "in two lists": lambda root: add(root / "Flickr_8k.testImages.txt", "00.png"),
    "one word": lambda root: [put(root, name, "dog", "Dog!") for name in NAMES],
    "no train list": lambda root: (root / "Flickr_8k.trainImages.txt").unlink(),
    "no images": lambda root: shutil.rmtree(root / "images"),
    "two files": lambda root: (root / "captions.txt").write_text("image,caption\n00.png,a dog\n"),
    "no text": lambda root: (root / "Flickr8k.token.txt").write_bytes(b"00.png#0\t\xff"),
}
HARMLESS = {
    "none", "empty", "all of an image empty", "too long", "twice", "korean", "bare", "listed without caption", "of no split"
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_ready_if_and_only_if_all_splits_and_a_vocabulary_can_be_had(fault: str, tmp_path: Path) -> None:
    FAULTS[fault](good(tmp_path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GipiWarning)
            train, *_ = [caption_folder(tmp_path, split, size=(4, 4)) for split in SPLITS.values()]
        Vocabulary.of((caption for told in train.captions for caption in told), DataConfig().least_count)
        ready = True
    except DataError:
        ready = False
    assert caption_survey(tmp_path).trainable == ready
    assert ready == (fault in HARMLESS)


@pytest.mark.slow
def test_flickr8k() -> None:
    """What is known of this copy: 8,091 images, 91 of no list, one caption's image missing, two equal images."""
    root = next((place for place in data_folders("flickr8k") if place.is_dir()), None)
    if root is None:
        pytest.skip("needs flickr8k in $GIPI_DATA")
    found = caption_survey(root)
    assert found.trainable
    assert {split: (count.images, count.captions) for split, count in found.splits.items()} == {
        "train": (6000, 30000), "validation": (1000, 5000), "test": (1000, 5000)
    }  # fmt: skip
    lines = (line.partition("\t") for line in (root / "Flickr8k.token.txt").read_text().splitlines())
    told = [(name.rpartition("#")[0], caption) for name, _, caption in lines]
    train = {*(root / "Flickr_8k.trainImages.txt").read_text().split()}
    uses = Counter(word for name, caption in told if name in train for word in plain(caption))
    numbers = [*uses.values()]
    assert found.words[:3] == (len(uses), sum(n >= 5 for n in numbers), numbers.count(1))
    assert (len(found.missing), len(found.unlisted), found.bare, found.empty, found.faults) == (1, 91, (), (), ())
    assert [sorted(member.name for member in group.members) for group in found.alike] == [
        ["images/2851198725_37b6027625.jpg", "images/3050606344_af711c726c.jpg"]
    ]
    assert (found.sizes, found.scripts) == ({"224x224": 8000}, {"Latin": 40000})
    assert found.verdicts()[0] == "ready to train"
