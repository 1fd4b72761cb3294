"""What is chosen for a folder of images and masks, and that the command line trains by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gipi.errors import DataError
from gipi.tasks import choose as choosing
from oracle.masks import rectangles


def _absent(*_: object) -> None:
    raise DataError("no network")


def test_without_weights_a_small_segnet_starts_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choosing, "pretrained", _absent)
    config, said = choosing.choose(str(rectangles(tmp_path / "set")))
    assert (config.kind, config.net.name, config.transfer.weights) == ("segment", "segnet", "")
    assert said.startswith("12 training images with masks of 3 classes (ground, red, green): recipe segment, SegNet")
    assert (config.data.batch, config.run.epochs) == (6, 100)


def test_with_weights_fcn_starts_from_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(choosing, "pretrained", lambda *words: asked.append(words))
    config, said = choosing.choose(str(rectangles(tmp_path / "set")))
    assert asked == [("imagenet", "resnet18")]
    assert (config.net.name, config.transfer.weights) == ("fcn8s-resnet18", "imagenet")
    assert "ResNet-18 from ImageNet" in said


def test_a_long_set_gets_fewer_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choosing, "pretrained", _absent)
    monkeypatch.setattr(choosing, "MASK_STEPS", 60)
    config, _ = choosing.choose(str(rectangles(tmp_path / "set")))
    assert config.run.epochs == 30  # 60 steps of 6 images each, over 12
