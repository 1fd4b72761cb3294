"""Files with fewer bits: their arithmetic against a twin that is worked out here, what stays float32, and the loss that is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.data.boxes import BoxSet
from gipi.data.masks import MaskSet
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError
from gipi.model import Card, find_model
from gipi.models.faster_rcnn import faster_rcnn_resnet18_fpn
from gipi.preprocess import Preprocess
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector
from gipi.tasks.images import load_images
from gipi.tasks.segmenter import Segmenter
from gipi.tasks.trained import ALONE

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnx_graph = pytest.importorskip("gipi.tasks.onnx_graph", reason="the extra onnx is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from gipi.tasks import quant_loss  # noqa: E402
from gipi.tasks.export_graphs import graphs  # noqa: E402
from gipi.tasks.quant_graph import low  # noqa: E402
from gipi.tasks.quant_loss import File, Loss, loss_of  # noqa: E402
from gipi.tasks.quantise import lower  # noqa: E402

FAR = 257.1  # half precision knows 257 and 257.25


class Small(nn.Module):
    """A first convolution of few products, one with batch norm before a pooling and its ReLU, an affine layer, and numbers that
    are larger than half precision tells apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.affine = nn.Linear(16 * 16, 4)

    def forward(self, images: Tensor) -> Tensor:
        pooled = F.max_pool2d(self.norm(self.conv2(F.relu(self.conv1(images)))), 2).relu()
        return self.affine(pooled.flatten(1)) + FAR


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def small() -> tuple[Classifier, bytes]:
    torch.manual_seed(0)
    net = Small()
    net.norm.running_mean.uniform_(-0.1, 0.1)  # pyright: ignore[reportOptionalMemberAccess]
    net.norm.running_var.uniform_(0.1, 0.3)  # pyright: ignore[reportOptionalMemberAccess]
    card = Card("classify", "small", {}, tuple("abcd"), Preprocess((3, 8, 8), "resize", 0, (0.4,) * 3, (0.3,) * 3))
    model = Classifier(net.eval(), card, ALONE)
    jaxtyping.config.update("jaxtyping_disable", True)  # comparing shapes would fix a size that the graph is to keep open
    [graph] = graphs(model, (pictures(1),))
    data = onnx_graph.onnx_file(model.card, graph)
    jaxtyping.config.update("jaxtyping_disable", False)
    return model, data


@pytest.fixture(scope="module")
def int8(small: tuple[Classifier, bytes]) -> bytes:
    return lower(small[1], "int8", [(one,) for one in pictures(64).split(1)])


def numbers(data: bytes) -> dict[str, Tensor]:
    """The weights and scales in a file."""
    return {
        each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in onnx.load_from_string(data).graph.initializer
    }


def test_int8_is_rounded_as_by_hand(small: tuple[Classifier, bytes], int8: bytes):
    """A twin by torch, of the ranges on the calibration images alone: all else follows from what int8 is."""
    model, net = small[0], small[0].net
    assert isinstance(net, Small)
    factor = net.norm.weight / (net.norm.running_var + net.norm.eps).sqrt()  # pyright: ignore
    weight = net.conv2.weight * factor[:, None, None, None]
    bias = (net.conv2.bias - net.norm.running_mean) * factor + net.norm.bias  # pyright: ignore
    groups = pictures(64).split(32)

    def by_channel(weight: Tensor) -> Tensor:
        scale = weight.flatten(1).abs().amax(1).view(-1, *[1] * (weight.ndim - 1)) / 127
        return (weight / scale).round().clamp(-127, 127) * scale

    def rounded(values: Tensor, largest: list[Tensor]) -> Tensor:
        scale = torch.stack(largest).mean() / 255  # of what is not negative
        return (values / scale).round().clamp(0, 255) * scale

    with torch.no_grad():
        first = lambda pixels: F.relu(net.conv1(model.scale(pixels)))  # noqa: E731
        second = lambda images: F.relu(F.conv2d(images, weight, bias, padding=1))  # noqa: E731
        seen = pictures(32, seed=1)
        hidden = rounded(first(seen), [first(part).max() for part in groups])
        hidden = F.relu(F.conv2d(hidden, by_channel(weight), bias, padding=1))
        hidden = F.max_pool2d(rounded(hidden, [second(first(part)).max() for part in groups]), 2)
        twin = hidden.flatten(1) @ by_channel(net.affine.weight).T + net.affine.bias + FAR
        exact = model.logits(seen)
    theirs = File(int8).run(seen)[0]
    lost = (exact - theirs).abs().mean()
    assert 1e-4 < lost < 0.02
    assert (twin - theirs).abs().max() < 3e-3
    assert (twin - theirs).abs().mean() < lost / 10  # what is left are values half way between two steps


def test_int8_file(small: tuple[Classifier, bytes], int8: bytes):
    kinds = {name: value.dtype for name, value in numbers(int8).items() if value.ndim > 1}
    assert sorted(map(str, kinds.values())) == ["torch.float32", "torch.float32", "torch.float32", "torch.int8", "torch.int8"]
    assert {tuple(value.shape) for value in numbers(int8).values() if value.dtype == torch.int8 and value.ndim > 1} == {
        (16, 8, 3, 3),
        (4, 256),
    }
    nodes = [node.op_type for node in onnx.load_from_string(int8).graph.node if node.op_type != "DequantizeLinear"]
    assert nodes.count("Relu") == 1  # behind the first convolution; the other one is done by rounding
    assert "BatchNormalization" not in nodes


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_file_is_what_it_was(small: tuple[Classifier, bytes], int8: bytes, precision: str, capfd: pytest.CaptureFixture[str]):
    data = int8 if precision == "int8" else lower(small[1], "fp16", ())
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    before, after = onnx.load_from_string(small[1]), onnx.load_from_string(data)
    assert {each.key: each.value for each in after.metadata_props} == {each.key: each.value for each in before.metadata_props}
    assert [version.domain for version in after.opset_import] == [""]
    assert [*after.graph.input] == [*before.graph.input]
    assert [each.type.tensor_type.elem_type for each in after.graph.output] == [TensorProto.FLOAT]
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])  # with all that it has to say
    for count in (1, 5):
        [logits] = session.run(None, {"pixels": pictures(count).numpy()})
        assert logits.shape == (count, 4)
    assert capfd.readouterr() == ("", "")


def test_fp16_halves_the_layers_alone(small: tuple[Classifier, bytes]):
    data = lower(small[1], "fp16", ())
    halves = {tuple(value.shape) for value in numbers(data).values() if value.dtype == torch.float16}
    assert {(8, 3, 3, 3), (16, 8, 3, 3), (4, 256), (8,), (16,), (4,)} == halves
    difference = (File(data).run(pictures(32))[0] - small[0].logits(pictures(32))).abs().max()
    assert 1e-5 < difference < 5e-3  # 0.1 if what follows the last layer were half


def test_one_strange_image_changes_little(small: tuple[Classifier, bytes]):
    def widest(images: Tensor) -> Tensor:
        scales = numbers(lower(small[1], "int8", [(one,) for one in images.split(1)]))
        return torch.stack([value for name, value in scales.items() if name.endswith("_scale") and value.ndim == 0]).max()

    dull = pictures(128) // 8 + 112
    strange = torch.cat([dull[1:], pictures(1)])
    assert widest(strange) < 2 * widest(dull)
    assert widest(pictures(128)) > 3 * widest(dull)


def test_which_nodes_are_chosen():
    """A net that finds boxes, in short: two convolutions of scores behind a pyramid's, an affine layer behind cut-out regions."""

    def weight(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(np.zeros(shape, np.float32), name)

    weights = [weight("w1", 8, 3, 3, 3), weight("w2", 8, 8, 3, 3), weight("w3", 8, 8, 3, 3), weight("w4", 2, 8, 1, 1)]
    weights += [weight("w5", 8, 1, 3, 3), weight("w6", 8, 4), weight("far", 1)]
    rows = [
        ("Mul", ["x", "far"], "scaled"),
        ("Conv", ["scaled", "w1"], "first"),
        ("Conv", ["first", "w5"], "grouped"),
        ("Conv", ["grouped", "w2"], "left"),
        ("Add", ["left", "first"], "sum"),
        ("Relu", ["sum"], "relu"),
        ("Conv", ["relu", "w3"], "inner"),
        ("Conv", ["inner", "w4"], "scores"),
        ("Add", ["scores", "far"], "boxes"),
        ("RoiAlign", ["relu", "boxes", "some"], "cut"),
        ("Reshape", ["cut", "shape"], "flat"),
        ("Gemm", ["flat", "w6"], "out"),
        ("Mul", ["out", "far"], "told"),
    ]
    nodes = [helper.make_node(kind, inputs, [out], out) for kind, inputs, out in rows]
    nodes[2].attribute.append(helper.make_attribute("group", 8))
    model = helper.make_model(helper.make_graph(nodes, "found", [], [], weights))
    inner = {"grouped", "left", "sum", "relu", "inner", "flat", "out"}
    assert set(low(model, "int8")) == inner
    assert set(low(model, "fp16")) == inner | {"first", "scores"}


def test_int8_wants_images(small: tuple[Classifier, bytes]):
    with pytest.raises(ConfigError, match="--calibrate"):
        lower(small[1], "int8", ())


def test_loss_of_a_classifier(small: tuple[Classifier, bytes], int8: bytes):
    model, data = small
    images = pictures(200, seed=2)
    labels = torch.where(torch.arange(200) < 150, model.logits(images).argmax(1), 0)
    test = ImageSet("noise", "test", tuple("abcd"), images, labels)
    loss = loss_of(model, data, int8, test)
    shares = [float((File(file).run(images)[0].argmax(1) == labels).float().mean()) for file in (data, int8)]
    assert (loss.float32, loss.lowered) == pytest.approx(shares)
    assert loss.points == pytest.approx(100 * (shares[0] - shares[1]))
    assert loss.json()["points"] == loss.points
    with pytest.raises(ConfigError, match="tells a, b, c, d apart"):
        loss_of(model, data, int8, ImageSet("noise", "test", tuple("abcz"), images, labels))


def test_loss_is_told():
    loss = Loss("mnist", "test", 10_000, "accuracy", 0.9954, 0.9952)
    text = "accuracy on 10,000 images of mnist test: 99.52%, of the float32 file 99.54%: 0.02 points lost"
    assert loss.text() == text
    assert "mean IoU on" in Loss("scenes", "test", 9, "mean_iou", 0.9, 0.91).text()
    assert "1.00 points won" in Loss("scenes", "test", 9, "mean_iou", 0.9, 0.91).text()


class Told:
    """A file that answers what it is told, whatever it is shown."""

    def __init__(self, data: bytes) -> None:
        self.wrong, self.inputs, self.sizes = data == b"8", {"pixels": [1, 3, 32, 48]}, []

    def run(self, pixels: Tensor) -> list[Tensor]:
        self.sizes.append(tuple(pixels.shape))
        if pixels.shape[2] == 32:  # a detector's
            return [torch.tensor([[6.0, 8, 24, 16 + self.wrong * 8]]), torch.tensor([0.9]), torch.tensor([1])]
        classes = torch.zeros(len(pixels), 16, 24, dtype=torch.int64)
        classes[:, 8:] = 0 if self.wrong else 1
        return [F.one_hot(classes, 2).movedim(3, 1).float()]


def test_loss_of_masks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quant_loss, "File", Told)
    net = nn.Conv2d(3, 2, 1)
    model = Segmenter(net, Card("segment", "n", {}, ("a", "b"), Preprocess((3, 16, 24), "whole", 16)), ALONE)
    labels = torch.zeros(2, 16, 24, dtype=torch.uint8)
    labels[:, 8:] = 1
    colours = ((0, 0, 0), (1, 1, 1))
    data = MaskSet("halves", "test", ("a", "b"), torch.zeros(2, 3, 16, 24, dtype=torch.uint8), labels, colours, ("1", "2"))
    loss = loss_of(model, b"32", b"8", data)
    assert (loss.score, loss.float32, loss.lowered) == ("mean_iou", 1.0, 0.25)


def test_loss_of_boxes(monkeypatch: pytest.MonkeyPatch):
    """Pictures of another size than the file's: its boxes come back in their pixels."""
    monkeypatch.setattr(quant_loss, "File", Told)
    net = faster_rcnn_resnet18_fpn(classes=2, width=0.125, stem="small", fixed=0, finest=4, pyramid=16, hidden=32)
    model = Detector(net, Card("detect", "n", {}, ("a", "b"), Preprocess((3, 64, 96), "whole", 64)), ALONE)
    data = BoxSet(
        "one",
        "test",
        ("a", "b"),
        torch.zeros(1, 3, 64, 96, dtype=torch.uint8),
        torch.tensor([[[12.0, 16, 48, 32]]]),
        torch.tensor([[1]]),
        torch.zeros(1, 1, dtype=torch.bool),
        ("1",),
        torch.ones(1),
        torch.tensor([[64, 96]]),
    )
    loss = loss_of(model, b"32", b"8", data)
    assert (loss.score, round(loss.float32, 6)) == ("ap", 1.0)
    assert loss.lowered == pytest.approx(0.1)  # its IoU is 0.5: right at one of ten


def test_deepconvnet_loses_a_tenth_of_a_point_at_most():
    if not (Path(os.environ.get("GIPI_DATA", "")) / "mnist").is_dir():
        pytest.skip("no mnist in $GIPI_DATA")
    model, train = Classifier.load(find_model("deepconvnet-mnist"), ALONE), load_images("mnist", "train")
    jaxtyping.config.update("jaxtyping_disable", True)
    [graph] = graphs(model, (train.images[:1],))
    data = onnx_graph.onnx_file(model.card, graph)
    jaxtyping.config.update("jaxtyping_disable", False)
    small = lower(data, "int8", [(one,) for one in train.images[: 60_000 : 60_000 // 256].split(1)])
    assert len(small) < len(data) / 3
    loss = loss_of(model, data, small, load_images("mnist", "test"))
    assert loss.float32 > 0.99
    assert loss.points <= 0.1
