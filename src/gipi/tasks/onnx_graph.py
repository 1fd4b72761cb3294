"""How a model becomes a graph of ONNX operators. Needs onnxscript, of the extra "onnx": import it only when that is there."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from onnxscript import opset18
from torch import Tensor, nn

from gipi.models.region_net import Found
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector
from gipi.tasks.segmenter import Segmenter

op: Any = opset18  # ONNX Runtime knows it since 1.14
MOST = 2**62  # boxes that nms may keep
OTHER, LOWER = -3e38, -1e38  # a score that stands for "of another class", and what is below every score but above that


@dataclass(frozen=True)
class Graph:
    """A module that takes pixels, and examples of what it takes. inputs, outputs: their names; of inputs also those of axes that
    may have any length.
    """

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: dict[str, dict[int, str]]
    outputs: tuple[str, ...]


class Reader(nn.Module):
    """pixels uint8 (n, c, h, w) -> logits (n, classes) of a classifier, (n, classes, h, w) of a segmentation net."""

    def __init__(self, model: Classifier | Segmenter) -> None:
        super().__init__()
        self.net, self.model = model.net, model

    def forward(self, pixels: Tensor) -> Tensor:
        if isinstance(self.model, Classifier):
            return self.net(self.model.scale(pixels))
        height, width = pixels.shape[-2:]
        # Not by the net's forward, which looks whether the sides fit: here they are not known yet, and always do.
        return self.net.segment(self.model.inputs(pixels))[..., :height, :width]  # pyright: ignore[reportCallIssue]


class Finder(nn.Module):
    """pixels uint8 (1, 3, h, w), and regions (r, 4) where the net wants to be told -> boxes (k, 4), scores (k), labels (k)."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.net, self.model = model.net, model

    def forward(self, pixels: Tensor, regions: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        size = torch.tensor([pixels.shape[2:]])
        given = None if regions is None else regions[None]
        found: Found = self.net.detect(self.model.inputs(pixels), size, given)  # pyright: ignore[reportCallIssue]
        there = found.labels[0] >= 0
        return found.boxes[0][there], found.scores[0][there], found.labels[0][there]


def graph(model: Classifier | Segmenter | Detector, example: tuple[Tensor, ...]) -> Graph:
    """example: pixels, and regions for a detector that wants them.

    Those of a detector keep their size: how many anchors a picture of any size has is more than torch.export can reason about.
    """
    if isinstance(model, Detector):
        names = ("pixels", "regions") if model.given else ("pixels",)
        return Graph(Finder(model), example, {name: {} for name in names}, ("boxes", "scores", "labels"))
    axes = {0: "batch"} if isinstance(model, Classifier) else {0: "batch", 2: "height", 3: "width"}
    return Graph(Reader(model), example, {"pixels": axes}, ("logits",))


def onnx_file(model: Classifier | Segmenter | Detector, graph: Graph) -> bytes:
    """The graph as an ONNX model, with the model's card as its metadata "gipi"."""
    with _quiet():
        program: Any = torch.onnx.export(
            graph.module.eval(),
            graph.example,
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=op.version,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(graph.inputs.values()),
            custom_translation_table={torch.ops.gipi.suppress.default: _nms},
        )
    program.model.metadata_props["gipi"] = json.dumps(asdict(model.card), ensure_ascii=False)
    return program.model_proto.SerializeToString()


def _nms(boxes: Any, scores: Any, labels: Any, overlap: float) -> Any:
    """`ops.boxes.nms` and, with labels, `nms_by_class`, by NonMaxSuppression, for which each label is one of its classes."""
    first, scored = op.Constant(value_ints=[0]), op.Unsqueeze(scores, op.Constant(value_ints=[0]))
    if labels is not None:
        zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
        count = op.Add(op.ReduceMax(op.Concat(labels, first, axis=0), keepdims=0), one)  # no boxes have no highest label
        own = op.Equal(op.Unsqueeze(op.Range(zero, count, one), op.Constant(value_ints=[1])), op.Unsqueeze(labels, first))
        scored = op.Where(own, scored, op.Constant(value_float=OTHER))
    rows = op.NonMaxSuppression(
        op.Unsqueeze(boxes, first),
        op.Unsqueeze(scored, first),
        op.Constant(value_ints=[MOST]),
        op.Constant(value_floats=[overlap]),
        op.Constant(value_floats=[LOWER]),
    )
    kept = op.Gather(rows, op.Constant(value_int=2), axis=1)  # rows are (image, class, box), class by class
    _, order = op.TopK(kept, op.Shape(kept), largest=0)
    kept = op.Gather(kept, order)  # of equal scores TopK takes the first, and that is now the lowest index
    _, order = op.TopK(op.Gather(scores, kept), op.Shape(kept))
    return op.Gather(kept, order)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remarks on how it translates: they are no matter of who exports."""
    was = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(was)
