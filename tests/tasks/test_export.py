"""Exporting what reads pictures: ONNX Runtime answers as we do; what cannot be exported says why and leaves nothing behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gipi.decode import read
from gipi.errors import ConfigError, DeviceError
from gipi.model import Card, find_model
from gipi.models.faster_rcnn import fast_rcnn_resnet18_fpn, faster_rcnn_resnet18_fpn
from gipi.models.rcnn import rcnn_resnet18
from gipi.models.region_net import Found
from gipi.ops.boxes import clip, nms, nms_by_class
from gipi.preprocess import Preprocess
from gipi.tasks import export_check, export_graphs
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector
from gipi.tasks.export import export
from gipi.tasks.export_graphs import Graph
from gipi.tasks.export_run import runtime
from gipi.tasks.segmenter import Segmenter
from gipi.tasks.trained import ALONE

onnx_graph = pytest.importorskip("gipi.tasks.onnx_graph", reason="the extra onnx is not installed")
onnxruntime = runtime()

SMALL: dict[str, Any] = {"classes": 3, "width": 0.125, "stem": "small", "fixed": 0, "finest": 4, "pyramid": 16, "hidden": 32}


@pytest.fixture(autouse=True)
def _any_size():
    """Comparing shapes, as annotations do in tests, would fix a size that the graph is to keep open."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def digits() -> Classifier:
    return Classifier.load(find_model("digitnet-tiny-mnist"), ALONE)


def detector(net: nn.Module) -> Detector:
    """With weights that make it find a lot."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in net.named_parameters():
        if "cls_" in name:
            weight.data.normal_(std=1, generator=generator)
        elif "bbox_pred.weight" in name:
            weight.data.normal_(std=0.03, generator=generator)
    size = Preprocess((3, 64, 96), "whole", 64, (0.5,) * 3, (0.25,) * 3)
    return Detector(net.eval(), Card("detect", "a detector", {}, ("a", "b", "c"), size), ALONE)


def answers(path: Path, *inputs: Tensor) -> list[Tensor]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    outputs = session.run(None, {name: part.numpy() for name, part in zip(names, inputs, strict=True)})
    return [torch.from_numpy(part) for part in outputs]


def test_classifier(tmp_path: Path):
    model = digits()
    exported = export(model, tmp_path / "m.onnx")
    [file] = exported.parts
    assert (file.inputs, file.outputs) == ({"pixels": "uint8 (batch, 1, 28, 28)"}, {"logits": "float (batch, 10)"})
    for count in (1, 3):
        pixels = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8)
        torch.testing.assert_close(answers(exported.parts[0].path, pixels)[0], model.logits(pixels), rtol=1e-4, atol=1e-4)
    told = onnxruntime.InferenceSession(file.path).get_modelmeta().custom_metadata_map["gipi"]
    assert read(Card, json.loads(told), "card") == model.card
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_other_answers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export_graphs.Reader, "forward", lambda self, pixels: self.net(self.model.scale(pixels)) * 0.9)
    (tmp_path / "m.onnx").write_bytes(b"as it was")
    with pytest.raises(DeviceError, match=r"probabilities differ by up to 0\.\d+ .*not written"):
        export(digits(), tmp_path / "m.onnx")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("m.onnx", b"as it was")]


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = digits()
    for wrong, asked in (
        (r"ending \.onnx", {"out": tmp_path / "m.safetensors"}),
        (r"ending \.pt2", {"to": "pt2"}),
        ("allowed are onnx, pt2", {"to": "tflite"}),
        ("allowed are fp32, fp16, int8", {"precision": "int4"}),
        ("with --calibrate", {"precision": "int8"}),
        ("--precision int8 and fp16", {"calibrate": "digits"}),
        ("for ONNX files", {"to": "pt2", "out": tmp_path / "m.pt2", "precision": "fp16"}),
        ("no label for each image", {"precision": "int8", "calibrate": "scenes"}),
    ):
        with pytest.raises(ConfigError, match=wrong):
            export(model, **{"out": tmp_path / "m.onnx", **asked})
    with pytest.raises(ConfigError, match="there is no folder"):
        export(model, tmp_path / "none" / "m.onnx")
    with pytest.raises(ConfigError, match="not one graph"):
        export(detector(rcnn_resnet18(classes=3, width=0.125, side=32)), tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match=r"pip install gipi\[onnx\]"):
        export(model, tmp_path / "m.onnx")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("by_class", [True, False])
def test_suppression_is_ours(by_class: bool):
    """Boxes as they come, with equal scores, and none at all."""

    class Suppress(nn.Module):
        def forward(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
            return (nms_by_class(boxes, scores, labels, 0.5) if by_class else nms(boxes, scores, 0.5)) + labels[:0].sum()

    def case(count: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(count)
        corners = torch.rand(count, 2, generator=generator) * 60
        sizes = torch.rand(count, 2, generator=generator) * 50
        scores = torch.randint(1, 20, (count,), generator=generator) / 20
        return torch.cat([corners, corners + sizes], 1), scores, torch.randint(0, 4, (count,), generator=generator)

    axes = {name: {0: "n"} for name in ("boxes", "scores", "labels")}
    data = onnx_graph.onnx_file(digits().card, Graph(Suppress(), case(10), axes, ("kept",)))
    session = onnxruntime.InferenceSession(data)
    for count in (300, 1, 0):
        boxes, scores, labels = case(count)
        [kept] = session.run(None, {name: part.numpy() for name, part in zip(axes, (boxes, scores, labels), strict=True)})
        ours = nms_by_class(boxes, scores, labels, 0.5) if by_class else nms(boxes, scores, 0.5)
        np.testing.assert_array_equal(kept, ours.numpy())


def test_likeness_tells_what_is_missing_or_moved():
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40], [0, 0, 5, 5]])
    one = Found(boxes, torch.tensor([0.9, 0.8, 0.05]), torch.tensor([0, 1, 0]))
    likeness = export_check._half(one, one, 0.1)
    assert (likeness.score, likeness.boxes, likeness.overlap) == (0, 2, 1)  # the third may be on either side of a limit
    moved = one._replace(boxes=boxes + torch.tensor([0.0, 0, 1, 0]))
    assert export_check._half(one, moved, 0.1).overlap == pytest.approx(100 / 110)
    renamed = one._replace(labels=torch.tensor([1, 1, 0]))
    assert export_check._half(one, renamed, 0.1).overlap == 0.25  # the next best of its label
    assert export_check._half(one, Found(*(part[:1] for part in one)), 0.1).overlap == 0
    assert export_check._half(one, Found(*(part[:0] for part in one)), 0.1).overlap == 0
    assert export_check._half(one, one._replace(scores=one.scores - 0.01), 0.1).score == pytest.approx(0.01)


@pytest.mark.slow
def test_segmenter(tmp_path: Path):
    model = Segmenter.load(find_model("fcn-scenes"), ALONE)
    exported = export(model, tmp_path / "m.onnx")
    for size in ((64, 96), (50, 71), (17, 201)):
        pixels = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
        torch.testing.assert_close(answers(exported.parts[0].path, pixels)[0], model.logits(pixels), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True])
def test_detector(tmp_path: Path, given: bool):
    torch.manual_seed(0)
    net = fast_rcnn_resnet18_fpn(**SMALL) if given else faster_rcnn_resnet18_fpn(**SMALL, anchor=16, proposals=100)
    exported = export(detector(net), tmp_path / "m.onnx")
    assert exported.parts[0].inputs["pixels"] == "uint8 (1, 3, 64, 96)"
    assert exported.likeness.boxes > 50
    regions = [torch.rand(2000, 2, 2).sort(1).values.flatten(1) * 60] if given else []
    boxes, scores, labels = answers(exported.parts[0].path, torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8), *regions)
    assert len(boxes) == len(scores) == len(labels)
    assert torch.equal(boxes, clip(boxes, (64, 96)))
    assert (scores.diff() <= 0).all()
