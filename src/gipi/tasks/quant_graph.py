"""Which operators of an ONNX graph compute with fewer bits, and what is changed in it before and after."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

LAYERS = {"int8": ("Conv", "Gemm", "MatMul"), "fp16": ("Conv", "Gemm", "MatMul", "ConvTranspose")}  # have weights
TRANSPARENT = ("Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Reshape", "Flatten", "Gather")
BETWEEN = ("Add", "Concat", *TRANSPARENT)  # what lies between two layers; of the transparent ones only the first input is data
LARGEST = 65504.0  # half precision has no larger number
FEW = 32  # 3x3 of three channels are fewer, 7x7 are more
Precision = Literal["fp16", "int8"]


def low(model: ModelProto, precision: Precision) -> list[str]:
    """The names of the nodes that compute with fewer bits: layers with weights, and what lies between two of them.

    What comes before the first layer scales pixels, what comes after the last one may work out boxes: both keep their bits. With
    int8 two kinds of convolution do so, too: one behind which no layer comes, as it gives scores or boxes, for which 256 values
    are few, and one that adds up fewer than `FEW` products, as a first one does, which takes longer with int8.
    """
    weights, layers = {weight.name: weight for weight in model.graph.initializer}, LAYERS[precision]
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input[:1] if node.op_type in TRANSPARENT else node.input:
            readers.setdefault(name, []).append(node)
    chosen: list[str] = []
    leads: set[str] = set()  # nodes that are a layer, or of those between, before one
    for node in reversed(model.graph.node):
        layer = node.op_type in layers and node.input[1] in weights
        before = any(reader.name in leads for name in node.output for reader in readers.get(name, []))
        if layer or (before and node.op_type in BETWEEN):
            leads.add(node.name)
            if node.op_type != "Conv" or precision == "fp16" or (before and _worth(node, weights[node.input[1]])):
                chosen.append(node.name)
    return chosen


def _worth(convolution: NodeProto, weight: TensorProto) -> bool:
    """Whether int8 may be faster; there are special programs for convolutions in groups."""
    groups = {each.name: each.i for each in convolution.attribute}.get("group", 1)
    return groups > 1 or prod(weight.dims[1:]) >= FEW


def activate_first(model: ModelProto) -> None:
    """Turn max pooling - ReLU round, which changes nothing but lets the ReLU become a part of the layer before."""
    nodes = list(model.graph.node)
    maker = {name: place for place, node in enumerate(nodes) for name in node.output}
    for place, relu in enumerate(nodes):
        before = maker.get(relu.input[0], -1) if relu.op_type == "Relu" else -1
        pool = nodes[before]
        if before < 0 or pool.op_type != "MaxPool" or len(pool.output) > 1:
            continue
        if sum(pool.output[0] in node.input for node in nodes) > 1:
            continue
        between = pool.output[0]
        relu.input[0], pool.output[0] = pool.input[0], relu.output[0]
        relu.output[0] = pool.input[0] = between
        nodes[before], nodes[place] = relu, pool
    _replace(model, nodes)
    del model.graph.value_info[:]  # shapes of what is now another tensor


def halve(model: ModelProto, chosen: Sequence[str]) -> ModelProto:
    """With the chosen nodes in half precision, and casts where their numbers come from or go to others.

    ONNX Runtime's own converter would round what passes between the others, too, such as boxes in pixels.
    """
    model = onnx.shape_inference.infer_shapes(model)
    graph, half = model.graph, set(chosen)
    known = {each.name: each.type.tensor_type.elem_type for each in (*graph.value_info, *graph.input, *graph.output)}
    weights = {weight.name: weight for weight in graph.initializer}
    known |= {name: weight.data_type for name, weight in weights.items()}
    wide = {name for node in graph.node if node.name not in half for name in node.input} | {each.name for each in graph.output}
    nodes: list[NodeProto] = []
    made: dict[str, TensorProto | None] = {}  # tensors that there are in half precision, too

    def cast(source: str, target: str, kind: int) -> NodeProto:
        return helper.make_node("Cast", [source], [target], f"to {target}", to=kind)

    for node in graph.node:
        nodes.append(node)
        if node.name not in half:
            continue
        for place, name in enumerate(node.input):
            if known.get(name) == TensorProto.FLOAT:
                if name not in made and name in weights:
                    number = numpy_helper.to_array(weights[name]).clip(-LARGEST, LARGEST).astype(np.float16)
                    made[name] = numpy_helper.from_array(number, f"{name} half")
                elif name not in made:
                    nodes.insert(-1, cast(name, f"{name} half", TensorProto.FLOAT16))
                    made[name] = None
                node.input[place] = f"{name} half"
        for place, name in enumerate(node.output):
            if known.get(name) == TensorProto.FLOAT:
                node.output[place], made[name] = f"{name} half", None
                if name in wide:
                    nodes.append(cast(f"{name} half", name, TensorProto.FLOAT))
    kept = [weight for name, weight in weights.items() if name in wide or name not in made]
    kept += [weight for weight in made.values() if weight]
    _replace(model, nodes)
    del graph.value_info[:], graph.initializer[:]
    graph.initializer.extend(kept)
    return model


def bare_answers(model: ModelProto, chosen: Sequence[str]) -> None:
    """Without rounding what affine layers give to nodes that are not chosen: it need not fit 8 bits, as convolutions' must."""
    maker = {name: node for node in model.graph.node for name in node.output}
    needed = {name for node in model.graph.node if node.name in chosen for name in node.input}
    gone: list[NodeProto] = []
    for dequantise in model.graph.node:
        if dequantise.op_type != "DequantizeLinear" or dequantise.output[0] in needed:
            continue
        quantise = maker.get(dequantise.input[0])  # none for weights
        if quantise and (layer := maker.get(quantise.input[0])) and layer.op_type in ("Gemm", "MatMul"):
            layer.output[0] = dequantise.output[0]
            gone += [quantise, dequantise]
    names = {node.name for node in gone}
    nodes = [node for node in model.graph.node if node.name not in names]
    unread = {name for node in gone for name in node.input}.difference(*(node.input for node in nodes))
    weights = [weight for weight in model.graph.initializer if weight.name not in unread]
    _replace(model, nodes)
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)


def tidy(model: ModelProto, metadata: dict[str, str]) -> bytes:
    """The file, with this metadata, and without mention of operators that it does not use."""
    used = {node.domain for node in model.graph.node} | {""}
    versions = [version for version in model.opset_import if version.domain in used]
    del model.opset_import[:], model.metadata_props[:]
    model.opset_import.extend(versions)
    helper.set_model_props(model, metadata)
    return model.SerializeToString()


def _replace(model: ModelProto, nodes: list[NodeProto]) -> None:
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
