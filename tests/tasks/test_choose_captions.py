"""What is chosen for images with captions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gipi.errors import DataError
from gipi.models.kinds import build_net
from gipi.recipes import RECIPES
from gipi.tasks import choose as choosing
from oracle.caption_folders import Captions, captions, coco, flickr, table

NAMES = [f"{number:02}.png" for number in range(15)]
LISTS = {"train": NAMES[:12], "test": NAMES[12:]}


def _absent(*_: object) -> None:
    raise DataError("no network")


def made(folder: Path, told: Captions | None = None) -> str:
    return str(flickr(folder, told or captions(NAMES), LISTS))


def test_without_weights_a_small_net_starts_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choosing, "pretrained", _absent)
    config, said = choosing.choose(made(tmp_path))
    assert (config.kind, config.net.name, config.transfer.weights) == ("caption", "attend-resnet18", "")
    count = sum(len(told) for name, told in captions(NAMES).items() if name in LISTS["train"])
    assert said.startswith(f"12 training images with {count} captions: recipe caption, ResNet-18 with half of its channels")
    assert (config.data.name, config.data.batch, config.run.epochs) == (str(tmp_path), 6, 100)
    net = build_net(config.net.name, {**config.net.args, "classes": 9, "channels": 3}).eval()
    assert net(torch.zeros(1, 3, config.data.size, config.data.size)).shape == (1, 9)


def test_with_weights_it_starts_from_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(choosing, "pretrained", lambda *words: asked.append(words))
    config, said = choosing.choose(made(tmp_path))
    assert asked == [("imagenet", "mobilenet-v2")]
    assert (config.net, config.transfer) == (RECIPES["caption"].config.net, RECIPES["caption"].config.transfer)
    assert (config.net.name, config.transfer.weights) == ("attend-mobilenet-v2", "imagenet")
    assert "recipe caption, MobileNetV2 from ImageNet; all words, batch 6, 100 epochs" in said


def test_a_large_set_gets_fewer_epochs_and_learns_no_rare_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choosing, "pretrained", _absent)
    monkeypatch.setattr(choosing, "CAPTION_STEPS", 60)
    monkeypatch.setattr(choosing, "SPOKEN", 10)
    told = {name: [f"{name} {number}" for number in range(3)] for name in NAMES}
    config, said = choosing.choose(made(tmp_path, told))
    assert "words said 3 times or more" in said
    assert config.run.epochs == 30  # 60 steps of 6 images each, over 12
    assert config.data.least_count == 3  # 36 captions
    monkeypatch.setattr(choosing, "SPOKEN", 1)
    assert choosing.choose(str(tmp_path))[0].data.least_count == RECIPES["caption"].config.data.least_count


@pytest.mark.parametrize(("sided", "flip"), [(0, 0.5), (1, 0.5), (2, 0.0)])
@pytest.mark.parametrize("weights", [lambda *_: None, _absent])
def test_nothing_is_mirrored_where_captions_tell_left_from_right(sided: int, flip: float, weights, tmp_path: Path, monkeypatch):
    """In more than one in a hundred of those for training."""
    monkeypatch.setattr(choosing, "pretrained", weights)
    told = {name: [f"a cat {number}" for number in range(10)] for name in NAMES}
    told["00.png"][:sided] = ["A cat, left of a dog", "Right: a dog"][:sided]
    told["14.png"] = ["left"] * 10
    config, _ = choosing.choose(made(tmp_path, told))
    assert config.data.augment.flip == flip


def test_any_layout_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choosing, "pretrained", _absent)
    splits = {name: part for part, names in LISTS.items() for name in names}
    told = captions(NAMES)
    chosen = [
        choosing.choose(made(tmp_path / "flickr")),
        choosing.choose(str(table(tmp_path / "csv" / "all.csv", told, splits))),
        choosing.choose(str(coco(tmp_path / "coco" / "captions.json", tmp_path / "coco", told))),
    ]
    assert {config.recipe for config, _ in chosen} == {"caption"}
    assert chosen[0][1] == chosen[1][1] == chosen[2][1], "a fifth of 15 images is the test, where there are no splits"
