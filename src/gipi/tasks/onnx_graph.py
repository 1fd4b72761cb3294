"""A graph as an ONNX file. Needs onnxscript, of the extra "onnx": import it only when that is there."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from onnx_ir.traversal import RecursiveGraphIterator
from onnxscript import opset18

from gipi.model import Card
from gipi.tasks.export_graphs import Graph

op: Any = opset18  # ONNX Runtime knows it since 1.14
MOST = 2**62  # boxes that nms may keep
OTHER, LOWER = -3e38, -1e38  # a score that stands for "of another class", and what is below every score but above that


def onnx_file(card: Card, graph: Graph) -> bytes:
    """The graph as an ONNX model, with the card as its metadata "gipi"."""
    with _quiet():
        program: Any = torch.onnx.export(
            graph.module,
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
    for node in RecursiveGraphIterator(program.model.graph):
        node.metadata_props.clear()  # which lines of which file it is from, on this machine
    program.model.metadata_props["gipi"] = json.dumps(asdict(card), ensure_ascii=False)
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
