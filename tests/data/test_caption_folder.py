"""Images with captions as a data set: brought to one size, refused where they are wrong; Flickr8k where it is at hand."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from gipi import catalog
from gipi.config import DataConfig
from gipi.data.caption_folder import caption_folder, flickr8k
from gipi.data.caption_layout import find_captions
from gipi.data.scenes import CAPTIONED, COUNTS, scene, scene_captions
from gipi.errors import ConfigError, DataError, GipiWarning
from gipi.tasks.captions import load_captions, training_captions, training_sentences
from oracle.caption_folders import captions, coco, flickr, table
from oracle.photos import photo

REAL = Path(os.environ.get("GIPI_DATA", "")) / "flickr8k"
NAMES = [f"{letter}.png" for letter in "abcdef"]
MADE = captions(NAMES)
LISTS = {"train": NAMES[:3], "dev": NAMES[3:4], "test": NAMES[4:]}


def scaled(path: Path, size: tuple[int, int]) -> torch.Tensor:
    """What Pillow makes of a picture, channels first."""
    image = Image.open(path).convert("RGB").resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return torch.tensor([[[image.getpixel((x, y))[c] for x in range(size[1])] for y in range(size[0])] for c in range(3)])  # type: ignore[index]


def test_a_folder_with_its_splits(tmp_path: Path) -> None:
    flickr(tmp_path, MADE, LISTS)
    photo(tmp_path / "images" / "b.png", 7, (30, 50))
    data = caption_folder(tmp_path, "train", size=(6, 8))
    assert (data.name, data.split, len(data)) == (str(tmp_path), "train", 3)
    assert data.names == tuple(f"images/{name}" for name in NAMES[:3])
    assert data.captions == tuple(tuple(MADE[name]) for name in NAMES[:3])
    assert data.images.shape == (3, 3, 6, 8)
    for image, name in zip(data.images, data.names, strict=True):
        assert torch.equal(image.long(), scaled(tmp_path / name, (6, 8))), "its aspect ratio is not kept"
    assert caption_folder(tmp_path, "validation").images.shape == (1, 3, 224, 224)
    with pytest.raises(ConfigError, match=r"has no split 'dev' .allowed: test, train, validation"):
        caption_folder(tmp_path, "dev")


def test_the_same_set_from_every_layout(tmp_path: Path) -> None:
    paths = [
        flickr(tmp_path / "flickr", MADE, {"train": NAMES[:4], "test": NAMES[4:]}),
        table(tmp_path / "table.csv", MADE, {name: "test" if name > "d.png" else "train" for name in NAMES}),
        coco(tmp_path / "coco" / "captions_train.json", tmp_path / "coco", {name: MADE[name] for name in NAMES[:4]}).parent,
    ]
    digests = {caption_folder(path, "train", size=(4, 4)).digest() for path in paths[:2]}
    assert len(digests) == 1
    (tmp_path / "coco" / "annotations").mkdir()
    (tmp_path / "coco" / "captions_train.json").rename(tmp_path / "coco" / "annotations" / "captions_train.json")
    coco(tmp_path / "coco" / "annotations" / "captions_val.json", tmp_path / "coco", {name: MADE[name] for name in NAMES[4:]})
    assert {caption_folder(paths[2], "train", size=(4, 4)).digest()} == digests


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    flickr(tmp_path, MADE, {"train": NAMES[:3], "test": NAMES[4:]})
    photo(tmp_path / "images" / "more.png")
    with (tmp_path / "Flickr8k.token.txt").open("a") as file:
        file.write("a.png#8\t\na.png#9\t.\n")
    says = "left out are captions without a word: 2, images without a caption: 1, images of no split: 1; see gipi check"
    with pytest.warns(GipiWarning, match=says):
        data = caption_folder(tmp_path, "train", size=(4, 4))
    assert data.captions == tuple(tuple(MADE[name]) for name in NAMES[:3])


def test_some_images_may_be_missing_or_broken(tmp_path: Path) -> None:
    flickr(tmp_path, MADE, {"train": NAMES[:5], "test": NAMES[5:]})
    (tmp_path / "images" / "b.png").unlink()
    (tmp_path / "images" / "d.png").write_bytes(b"broken")
    told = r"2 of 5 images or their captions .40.0%. cannot be read:\n  images/b.png is not there\n  images/d.png "
    with pytest.raises(DataError, match=told + r".*\nAllowed are 1.0%: see gipi check .* or allow --data.broken 0.4"):
        caption_folder(tmp_path, "train")
    with pytest.warns(GipiWarning, match=told + r".*\nthey are left out"):
        data = caption_folder(tmp_path, "train", size=(4, 4), broken=0.4)
    assert data.names == ("images/a.png", "images/c.png", "images/e.png")
    assert data.captions == tuple(tuple(MADE[name]) for name in ("a.png", "c.png", "e.png"))
    assert torch.equal(data.images[2].long(), scaled(tmp_path / "images" / "e.png", (4, 4)))


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flickr(tmp_path, MADE, LISTS)
    with (tmp_path / "Flickr8k.token.txt").open("a") as file:
        file.write("a.png no caption\n")
    line = sum(map(len, MADE.values())) + 1
    with pytest.raises(DataError, match=rf"faulty lines, 1 in all:\n  Flickr8k.token.txt, line {line}: must be an image's name"):
        caption_folder(tmp_path, "test")
    flickr(tmp_path, MADE, LISTS)
    monkeypatch.setattr("os.sysconf", lambda name: 10, raising=False)
    with pytest.raises(DataError, match=r"\(train\): 3 images of 224x224 need .* scale them down by --data.size"):
        caption_folder(tmp_path, "train")


# By name


def test_load_captions_of_a_folder_or_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "test", 8)
    flickr(tmp_path, MADE, LISTS)
    assert load_captions(str(tmp_path), "test", side=5).images.shape == (2, 3, 5, 5)
    assert load_captions(str(tmp_path), "test", side=(5, 7)).images.shape == (2, 3, 5, 7)
    assert load_captions(str(tmp_path), "test").images.shape == (2, 3, 224, 224)
    for side in (0, 64, (64, 96)):
        assert load_captions("scenes", "test", side=side).images.shape == (8, 3, 64, 96)
    for side in (32, (64, 64)):
        with pytest.raises(ConfigError, match=r"'scenes' has captions for images of 64x96 alone"):
            load_captions("scenes", "test", side=side)
    for name, says in (
        ("", "name the folder of images and captions by --data"),
        ("scnes", "no data set or folder 'scnes'; did you mean 'scenes'"),
        ("bccd", "data set 'bccd' has no captions; those that have: flickr8k, scenes, or a folder of images and captions"),
    ):
        with pytest.raises(ConfigError, match=says):
            load_captions(name, "train")


def test_training_takes_the_validation_part_or_holds_images_out(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(20)]
    made = captions(names)
    with_lists = flickr(tmp_path / "lists", made, {"train": names[:12], "dev": names[12:15], "test": names[15:]})
    config = DataConfig(name=str(with_lists), size=4, holdout=0.25, limit=6)
    got = training_captions(config)
    assert got.held_out is not None
    assert (len(got.train), got.held_out.names) == (6, tuple(f"images/{name}" for name in names[12:15]))
    assert got.digest == {f"{with_lists}/train": load_captions(str(with_lists), "train", side=4).digest()}
    assert training_captions(DataConfig(name=str(with_lists), size=4, holdout=0)).held_out is None
    without = flickr(tmp_path / "none", made)
    got = training_captions(DataConfig(name=str(without), size=4, holdout=0.25))
    assert got.held_out is not None
    assert (len(got.train), len(got.held_out), got.held_out.split) == (12, 4, "validation")
    assert {*got.train.names, *got.held_out.names} == {p.image.name for p in find_captions(without).of_split("train")}


def test_training_sentences_are_read_without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flickr(tmp_path, MADE, LISTS)
    wanted = tuple(caption for name in NAMES[:3] for caption in MADE[name])
    for name in NAMES[1:]:
        (tmp_path / "images" / name).write_bytes(b"broken")
    assert training_sentences(str(tmp_path)) == wanted
    monkeypatch.setitem(COUNTS, "train", 5)
    assert training_sentences("scenes") == tuple(scene("train", index).sentence for index in range(5 * CAPTIONED))


# Scenes and Flickr8k


def test_scenes_have_their_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "validation", 40)
    data = scene_captions("validation")
    assert (data.name, data.split, len(data), data.mean, data.std) == ("scenes", "validation", 40, (0.5,) * 3, (0.25,) * 3)
    for index in (39, 0, 17):
        alone = scene("validation", index)
        assert data.captions[index] == (alone.sentence,)
        assert torch.equal(data.images[index], torch.from_numpy(alone.image))
        assert data.names[index] == f"validation-{index:04}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    monkeypatch.setattr("gipi.data.fetch.CHECKOUT", tmp_path / "nowhere")
    return tmp_path / "flickr8k"


def test_where_flickr8k_is_looked_for_and_how_to_get_it(folder: Path) -> None:
    for ask in (lambda: flickr8k("train"), lambda: training_sentences("flickr8k")):
        with pytest.raises(
            DataError, match=rf"'flickr8k' is in none of {folder}, .*unpack Flickr8k_Dataset.zip and Flickr8k_text"
        ):
            ask()
    with pytest.raises(ConfigError, match=r"data set 'flickr8k' has no split 'dev' .allowed: test, train, validation"):
        flickr8k("dev")


def test_flickr8k_made_small(folder: Path) -> None:
    flickr(folder, MADE, {**LISTS, "test": NAMES[5:]})
    (folder / "images" / "e.png").unlink()  # as of the original, of which one image is not there and some are of no split
    data = [flickr8k(split, side=8) for split in ("train", "validation", "test")]
    assert [(each.name, each.split, len(each)) for each in data] == [
        ("flickr8k", "train", 3),
        ("flickr8k", "validation", 1),
        ("flickr8k", "test", 1),
    ]
    assert data[0].images.shape == (3, 3, 8, 8)
    assert flickr8k("test", side=(4, 6)).images.shape == (1, 3, 4, 6)
    assert training_sentences("flickr8k") == tuple(caption for name in NAMES[:3] for caption in MADE[name])


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no flickr8k in $GIPI_DATA")
def test_the_lists_and_captions_of_flickr8k() -> None:
    files, entry = find_captions(REAL), catalog.DATASETS["flickr8k"]
    counts = {split: len(pairs) for split, pairs in files.pairs().items()}
    assert counts == {"train": 6000, "validation": 1000, "test": 1000}
    assert (entry.train, entry.test) == (counts["train"], counts["test"])
    assert Counter(len(pair.captions) for pairs in files.pairs().values() for pair in pairs) == {5: 8000}
    assert (files.faults, files.empty, files.bare, len(files.unlisted)) == ((), (), (), 91)
    assert len(files.missing) == 1, "of no split"
    data = load_captions("flickr8k", "validation")
    assert (data.images.shape, data.images.float().mean().item() > 50) == ((1000, 3, 224, 224), True)
    assert len(training_sentences("flickr8k")) == 30_000
