"""Real images for a generator: of the catalogue and of folders, brought to a side that a generator makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gipi.config import DataConfig
from gipi.data.digits import digits
from gipi.data.fetch import data_folders
from gipi.errors import ConfigError, DataError
from gipi.models.dcgan import dcgan
from gipi.tasks import reals
from gipi.tasks.choose import choose
from gipi.tasks.reals import load_reals, training_reals
from oracle.photos import photos


def test_digits_come_as_they_are_and_scaled() -> None:
    own = load_reals("digits", "test")
    assert torch.equal(own.images, digits("test").images)
    assert own.classes == tuple("0123456789")
    large = load_reals("digits", "test", side=32)
    assert (large.images.shape, large.images.dtype) == ((len(own), 1, 32, 32), torch.uint8)
    assert torch.equal(large.labels, own.labels)
    by_pillow = [Image.fromarray(image[0].numpy()).resize((32, 32), Image.Resampling.BILINEAR) for image in own.images[:9]]
    for image, other in zip(large.images, by_pillow, strict=False):
        assert (image[0].int() - torch.from_numpy(np.array(other)).int()).abs().max() <= 1


@pytest.mark.parametrize(("name", "image"), [("cifar10", (3, 32, 32)), ("hymenoptera", (3, 64, 64)), ("mnist", (1, 28, 28))])
def test_sets_of_the_catalogue_have_a_side_of_their_own(name: str, image: tuple[int, int, int]) -> None:
    if not any(place.is_dir() for place in data_folders(name)):
        pytest.skip(f"the data set {name} is not at hand")
    data = load_reals(name, "test")
    assert tuple(data.images.shape[1:]) == image
    assert data.framing != "crop", "there is no margin to cut off"
    dcgan(size=data.images.shape[-1], width=2)


def test_pictures_of_a_folder_are_of_64_pixels_unless_another_side_is_asked_for(tmp_path: Path) -> None:
    photos(tmp_path, {"": 10})
    assert load_reals(str(tmp_path), "train").images.shape == (8, 3, 64, 64)
    assert load_reals(str(tmp_path), "train", side=28).images.shape == (8, 3, 28, 28)
    photos(tmp_path / "classes", {"cat": 5, "dog": 6})
    assert load_reals(str(tmp_path / "classes"), "train", side=8).classes == ("cat", "dog")


@pytest.mark.parametrize("side", [-1, 1, 3, 4])
def test_a_side_that_no_generator_makes_is_refused_before_anything_is_read(side: int, tmp_path: Path) -> None:
    for name in ("digits", "mnist", str(tmp_path / "nowhere")):
        with pytest.raises(ConfigError, match=rf"data.size {side}: 0 takes .* allowed are sides of 5 pixels and more"):
            load_reals(name, "train", side=side)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="by --data"):
        load_reals("", "train")
    with pytest.raises(ConfigError, match="did you mean 'digits'"):
        load_reals("digit", "train")
    with pytest.raises(ConfigError, match=r"images to learn from alone; those that have: .*digits.*, or any folder of pictures"):
        load_reals("bccd", "train")
    with pytest.raises(DataError, match="is not there"):
        load_reals("./nowhere", "train")


def test_a_share_is_held_out_and_the_digest_is_of_all() -> None:
    got = training_reals(DataConfig(name="digits", holdout=0.1, limit=100))
    whole = digits("train")
    assert (len(got.train), len(got.held_out or ())) == (100, round(0.1 * len(whole)))
    assert got.digest == {"digits/train": whole.digest()}
    assert got.train.labels.bincount().min() >= 8, "a share of each class"
    assert training_reals(DataConfig(name="digits", holdout=0)).held_out is None


def test_a_folder_that_sets_images_for_validation_apart_gives_none_away(tmp_path: Path) -> None:
    photos(tmp_path, {"train": 9, "val": 4, "test": 3})
    got = training_reals(DataConfig(name=str(tmp_path), size=8, holdout=0.3))
    assert got.held_out is not None
    assert (len(got.train), len(got.held_out), got.held_out.split) == (9, 4, "validation")
    assert len(load_reals(str(tmp_path), "test", side=8)) == 3
    assert training_reals(DataConfig(name=str(tmp_path), size=8, holdout=0)).held_out is None


def test_scaling_many_images_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[int] = []
    scale = reals.scale
    monkeypatch.setattr(reals, "scale", lambda images, size: shapes.append(len(images)) or scale(images, size))
    data = load_reals("digits", "train", side=32)
    assert max(shapes) <= 1000 < sum(shapes) == len(data)
    assert torch.equal(data.images, scale(digits("train").images, (32, 32)))


def test_training_on_a_flat_folder_without_a_recipe_names_the_recipe_generate(tmp_path: Path) -> None:
    photos(tmp_path, {"": 12})
    with pytest.raises(DataError, match=f"the recipe generate: gipi train generate --data {tmp_path}"):
        choose(str(tmp_path))
