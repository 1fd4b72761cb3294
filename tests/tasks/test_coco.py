"""Detectors' weights as torchvision saves them: read by name, by today's names and those of the first release."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gipi import api
from gipi.engine.place import decide_place
from gipi.errors import WeightsError
from gipi.models.kinds import build_net
from gipi.tasks.coco import CLASSES
from gipi.tasks.pretrained import pretrained

NET = "faster-rcnn-resnet50-fpn"


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Of the net itself; norms that differ from each other and from 1."""
    torch.manual_seed(0)
    state = build_net(NET, {"classes": 90}).state_dict()
    return {name: torch.rand_like(value) + 0.5 if "running_var" in name else value for name, value in state.items()}


def old(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """By the names of the first release."""
    names = {name: name.replace("conv.0.0.", "conv.") for name in weights}
    return {(short.replace(".0.", ".") if "inner_blocks" not in short and "layer_blocks" not in short else
             ".".join(short.split(".")[:-2] + short.split(".")[-1:])) if "blocks" in short else short: weights[name]
            for name, short in names.items()}  # fmt: skip


def test_coco_has_eighty_classes_and_ten_unused_ids():
    assert len(CLASSES) == 90
    assert len({name for name in CLASSES if not name.startswith("(")}) == 80
    assert [CLASSES[number - 1] for number in (1, 13, 44, 90)] == ["person", "stop sign", "bottle", "toothbrush"]
    assert [int(name[1:-1]) for name in CLASSES if name.startswith("(")] == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    assert all(CLASSES[number - 1] == f"({number})" for number in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))


@pytest.mark.slow
def test_weights_of_coco_become_a_model(weights: dict[str, Tensor], tmp_path: Path):
    torch.save(weights, tmp_path / "coco.pth")
    api.import_weights(NET, tmp_path / "coco.pth", tmp_path / "coco.safetensors")
    model = api.load(tmp_path / "coco.safetensors", place=decide_place(device="cpu", precision="fp32"))
    assert model.card.classes == CLASSES
    assert (model.card.kind, model.card.preprocess.short, model.card.parents) == ("detect", 800, ("coco.pth",))
    assert all(torch.equal(value, weights[name]) for name, value in model.net.state_dict().items())


def test_names_of_the_first_release_are_read_and_its_norms_have_no_epsilon(weights: dict[str, Tensor], tmp_path: Path):
    torch.save(old(weights), tmp_path / "coco.pth")
    read, _ = pretrained(str(tmp_path / "coco.pth"), "resnet50", whole=NET)
    assert read.keys() == weights.keys()
    norm = "backbone.body.layer1.0.bn1."
    by_ours = read[f"{norm}weight"] / (weights[f"{norm}running_var"] + 1e-5).sqrt()
    torch.testing.assert_close(by_ours, weights[f"{norm}weight"] / weights[f"{norm}running_var"].sqrt(), rtol=1e-6, atol=0)
    assert torch.equal(read["rpn.head.conv.0.0.weight"], weights["rpn.head.conv.0.0.weight"])


def test_what_is_no_detector_is_refused(weights: dict[str, Tensor], tmp_path: Path):
    torch.save({name: value for name, value in weights.items() if name.startswith("backbone.")}, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match="has no roi_heads"):
        pretrained(str(tmp_path / "part.pth"), NET)
    torch.save({**weights, "more": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(WeightsError, match="unexpected more"):
        pretrained(str(tmp_path / "more.pth"), NET)
