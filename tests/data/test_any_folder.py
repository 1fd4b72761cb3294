"""Any folder of pictures as square images for a generator: which are found, how they are read, and what is refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gipi.data import any_folder as anything
from gipi.data.any_folder import any_folder, classless, find_any, find_classes
from gipi.data.folder import find, parts
from gipi.data.survey import survey
from gipi.errors import ConfigError, DataError, GipiWarning
from oracle.photos import photo, photos


def names(path: Path) -> list[str]:
    return [entry.name for entry in find_any(path).entries]


def grey(path: Path, seed: int = 0, mode: str = "L", size: tuple[int, int] = (12, 9)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


# What is found


def test_a_flat_folder_is_of_one_class_and_a_fifth_is_for_the_test(tmp_path: Path) -> None:
    photos(tmp_path, {"": 20})
    found = find_any(tmp_path)
    assert (found.classes, found.splits) == (("image",), set())
    assert sorted(names(tmp_path)) == sorted(f"{number}.png" for number in range(20))
    train, test = (any_folder(tmp_path, split, side=8, broken=0) for split in ("train", "test"))
    assert (len(train), len(test), train.classes) == (16, 4, ("image",))
    assert train.labels.tolist() == [0] * 16
    assert len({image.numpy().tobytes() for data in (train, test) for image in data.images}) == 20, "none is in both"


def test_the_test_pictures_stay_when_the_folder_moves(tmp_path: Path) -> None:
    photos(tmp_path / "a", {"": 15})
    (tmp_path / "b").mkdir()
    for number in reversed(range(15)):
        (tmp_path / "b" / f"{number}.png").write_bytes((tmp_path / "a" / f"{number}.png").read_bytes())
    one, other = (any_folder(tmp_path / name, "test", side=8, broken=0) for name in "ab")
    assert torch.equal(one.images, other.images)


@pytest.mark.parametrize(
    ("counts", "splits"),
    [
        ({"only": 9}, set()),
        ({"": 4, "more": 5}, set()),
        ({"only/2024/may": 4, "only/2025": 5}, set()),
        ({"train": 9, "test": 3}, {"train", "test"}),
        ({"train": 8, "Val": 2, "test": 3}, {"train", "validation", "test"}),
        ({"train/img": 9, "test/img": 3}, {"train", "test"}),
        ({"train": 9}, {"train"}),
    ],
)
def test_folders_that_are_no_classes_are_all_taken(counts: dict[str, int], splits: set[str], tmp_path: Path) -> None:
    photos(tmp_path, counts)
    found = find_any(tmp_path)
    assert (found.classes, found.splits) == (("image",), splits)
    assert sorted(names(tmp_path)) == sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert all(entry.path == tmp_path / entry.name for entry in found.entries)


def test_what_has_classes_is_found_as_for_a_classifier(tmp_path: Path) -> None:
    photos(tmp_path / "classes", {"cat": 6, "dog": 5})
    photos(tmp_path / "splits", {"train/cat": 6, "train/dog": 5, "val/cat": 2, "val/dog": 2})
    table = tmp_path / "list.csv"
    table.write_text("path,label\n" + "".join(f"classes/{part}/{n}.png,{part}\n" for part in ("cat", "dog") for n in range(5)))
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars" / "a.tar", "w") as tar:
        for label in ("cat", "dog"):
            for number in range(5):
                text = tmp_path / "label.txt"
                text.write_text(label)
                tar.add(tmp_path / "classes" / label / f"{number}.png", f"{label}{number}.png")
                tar.add(text, f"{label}{number}.txt")
    for path in (tmp_path / "classes", tmp_path / "splits", table, tmp_path / "tars"):
        assert classless(path) is None
        assert find_any(path) == find(path)
        data = any_folder(path, "train", side=8, broken=0)
        assert (data.classes, data.images.shape[1:]) == (("cat", "dog"), (3, 8, 8))
        assert set(data.labels.tolist()) == {0, 1}


def test_what_is_passed_over_and_what_is_left_out(tmp_path: Path) -> None:
    photos(tmp_path, {"": 8, "more": 8})
    for name in (".hidden.png", "Thumbs.db", "more/.DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    photo(tmp_path / "__MACOSX" / "0.png")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "more" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "more" / "loop").symlink_to(tmp_path, target_is_directory=True)
    with pytest.warns(GipiWarning, match=r"files left out: 3: README.md: no picture .* more/gone.png: .* more/loop: ") as told:
        data = any_folder(tmp_path, "train", side=8, broken=0)
    assert len(told) == 1
    assert len(data) == 16 - 4


def test_a_linked_folder_may_be_named(tmp_path: Path) -> None:
    photos(tmp_path / "real", {"": 9})
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert names(tmp_path / "link") == names(tmp_path / "real")


# What is refused


@pytest.mark.parametrize("counts", [{"": 1}, {"": 7}, {"only": 7}, {"train": 7, "test": 20}, {"cat": 3, "dog": 4}])
def test_too_few_pictures_to_train_on_are_refused_and_why_is_said(counts: dict[str, int], tmp_path: Path) -> None:
    photos(tmp_path, counts)
    count = counts.get("train", sum(counts.values()))
    with pytest.raises(DataError, match=rf"too few pictures to train on, {count}: wanted are 8 .* only learns to copy") as caught:
        any_folder(tmp_path, "train", side=8, broken=0)
    assert str(tmp_path) in str(caught.value)


def test_eight_pictures_are_enough(tmp_path: Path) -> None:
    photos(tmp_path, {"": 8})
    assert len(any_folder(tmp_path, "train", side=8, broken=0)) == 6


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], r"holds no pictures \(\.png, .*\); left out: nothing"),
        ([".hidden.png"], r"holds no pictures"),
        (["a.txt", "only/b.txt"], r"holds no pictures .*left out: a.txt: .*, only/b.txt: "),
        (["val/1.png", "test/1.png"], r"has the folders test, val: allowed are train and"),
        (["train/1.png", "val/1.png", "valid/1.png"], r"has the folders train, val, valid: allowed are"),
        (["train/cat/1.png", "train/dog/1.png", "val/1.png"], r"val has pictures, but no class folders: [^;]*$"),
        (["cat/1.png", "cat/2.png", "dog/1.png"], r"one picture, where training and test need one each, in dog"),
        (["cat/1.png", "cat/2.png", "dog/a.txt"], r"no picture in dog"),
    ],
)
def test_faults_of_a_layout_are_told_as_they_are(files: list[str], says: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=says):
        find_any(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "nothing.csv", "x" * 300, "one.jpg"])
def test_what_is_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"is not there|cannot be read|is neither a folder nor"):
        find_any(tmp_path / name)


def test_an_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path, {"": 8, "more": 2})
    iterdir = Path.iterdir

    def refusing(path: Path):
        if path == tmp_path / "more":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    with pytest.raises(DataError, match=r"more cannot be read: Permission denied"):
        find_any(tmp_path)


def test_another_split_is_refused(tmp_path: Path) -> None:
    photos(tmp_path, {"": 9})
    with pytest.raises(ConfigError, match="no split 'validation'"):
        any_folder(tmp_path, "validation", side=8, broken=0)


def test_broken_pictures_are_left_out_and_listed_up_to_a_share(tmp_path: Path) -> None:
    photos(tmp_path, {"train": 19, "test": 2})
    (tmp_path / "train" / "broken.png").write_bytes(b"no picture")
    with pytest.warns(GipiWarning, match=r"1 of 20 pictures \(5.0%\) cannot be read:\n  train/broken.png .*\nthey are left out"):
        data = any_folder(tmp_path, "train", side=8, broken=0.05)
    assert (len(data), len(data.labels)) == (19, 19)
    with pytest.raises(DataError, match=r"train/broken.png(.|\n)*Allowed are 4.0%"):
        any_folder(tmp_path, "train", side=8, broken=0.04)


# How they are read


def test_of_every_size_the_middle_square_is_taken(tmp_path: Path) -> None:
    """Of a picture whose middle square is of one colour and the rest of another, only that colour is left."""
    for number, (width, height) in enumerate([(16, 16), (20, 16), (16, 24), (32, 18), (9, 12), (64, 40), (300, 200), (8, 8)]):
        side = min(width, height)
        pixels = np.zeros((height, width, 3), np.uint8)
        top, left = (height - side) // 2, (width - side) // 2
        pixels[top : top + side, left : left + side] = 200, 100, 50
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    for split in ("train", "test"):
        images = any_folder(tmp_path, split, side=8, broken=0).images
        inner = images[:, :, 1:-1, 1:-1]
        assert torch.equal(inner, torch.tensor([200, 100, 50], dtype=torch.uint8)[:, None, None].expand_as(inner))


def test_mixed_modes_are_read_in_colour(tmp_path: Path) -> None:
    photos(tmp_path, {"train": 6, "test": 2})
    grey(tmp_path / "train" / "x.png")
    photo(tmp_path / "train" / "y.png", seed=9)
    with Image.open(tmp_path / "train" / "y.png") as image:
        image.convert("P").save(tmp_path / "train" / "y.png")
    data = any_folder(tmp_path, "train", side=8, broken=0)
    assert data.images.shape == (8, 3, 8, 8)
    assert (data.images[6, :1] == data.images[6, 1:]).all(), "grey, in three channels"
    assert not (data.images[7, :1] == data.images[7, 1:]).all()


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGB", "RGBA", "P"])
def test_grey_pictures_have_one_channel_in_whatever_mode(mode: str, tmp_path: Path) -> None:
    for number in range(10):
        grey(tmp_path / f"{number}.png", number, mode)
    train, test = (any_folder(tmp_path, split, side=9, broken=0) for split in ("train", "test"))
    assert (train.images.shape, test.images.shape) == ((8, 1, 9, 9), (2, 1, 9, 9))
    assert train.images.float().std() > 30
    assert train.digest() != test.digest()


@pytest.mark.parametrize("coloured", ["train", "test"])
def test_one_colour_picture_makes_all_splits_colour(coloured: str, tmp_path: Path) -> None:
    for number in range(9):
        grey(tmp_path / "train" / f"{number}.png", number)
        grey(tmp_path / "test" / f"{number}.png", number)
    photo(tmp_path / coloured / "last.png")
    for split in ("train", "test"):
        assert any_folder(tmp_path, split, side=8, broken=0).images.shape[1] == 3


def test_pictures_that_lose_more_than_half_are_counted(tmp_path: Path) -> None:
    photos(tmp_path, {"train": 6, "test": 2})
    photo(tmp_path / "train" / "wide.png", size=(41, 20))
    photo(tmp_path / "train" / "high.png", size=(20, 90))
    photo(tmp_path / "train" / "half.png", size=(40, 20))
    photo(tmp_path / "test" / "wide.png", size=(90, 20))
    with pytest.warns(GipiWarning, match=r"\(train\): 2 of 9 pictures lose more than half"):
        any_folder(tmp_path, "train", side=8, broken=0)
    any_folder(tmp_path, "test", side=8, broken=0)  # and no warning, which would be an error: it is said once


def test_of_very_many_pictures_some_are_looked_at_for_their_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anything, "MEASURED", 5)
    photos(tmp_path, {"train": 0, "test": 2})
    for number in range(12):
        photo(tmp_path / "train" / f"{number:02}.png", size=(50, 10))
    with pytest.warns(GipiWarning, match=r"4 of 4 pictures that were looked at lose more than half"):
        any_folder(tmp_path, "train", side=8, broken=0)


def test_pictures_in_tar_files_are_measured_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    label = tmp_path / "label.cls"
    with tarfile.open(tmp_path / "set" / "train-0.tar", "w") as tar:
        for number in range(10):
            tar.add(photo(tmp_path / "x.jpg", number, (60, 20) if number in (3, 8) else (20, 20)), f"{number}.jpg")
            label.write_text(str(number % 2))
            tar.add(label, f"{number}.cls")
    held = {entry.name for entry in parts(find_any(tmp_path / "set"))["train"]}
    long = sum(f"train-0.tar/{number}.jpg" in held for number in (3, 8))
    assert long, "else the test shows nothing"
    with pytest.warns(GipiWarning, match=rf"{long} of {len(held)} pictures lose more than half"):
        any_folder(tmp_path / "set", "train", side=8, broken=0)


# What is said where classes are wanted


@pytest.mark.parametrize("counts", [{"": 8}, {"only": 9}, {"train": 8, "test": 2}])
def test_pictures_without_classes_are_said_to_be_good_for_generation(counts: dict[str, int], tmp_path: Path) -> None:
    photos(tmp_path, counts)
    with pytest.raises(DataError) as before:
        find(tmp_path)
    use = f"fine for generation, the recipe generate: gipi train generate --data {tmp_path}"
    with pytest.raises(DataError) as caught:
        find_classes(tmp_path)
    assert str(caught.value).startswith(str(before.value)), "the fault itself is told, too"
    assert str(caught.value).endswith(use)
    looked = survey(tmp_path)
    assert not looked.trainable
    assert use in looked.text()


@pytest.mark.parametrize("counts", [{"": 7}, {"cat": 9, "dog": 1}, {"train/cat": 5, "train/dog": 5, "val": 5}])
def test_other_faults_are_told_as_before(counts: dict[str, int], tmp_path: Path) -> None:
    photos(tmp_path, counts)
    with pytest.raises(DataError) as before:
        find(tmp_path)
    with pytest.raises(DataError) as after:
        find_classes(tmp_path)
    assert str(before.value) == str(after.value)
