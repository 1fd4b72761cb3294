"""Graphs as files of bytes, and running them: ONNX by ONNX Runtime, PT2 by PyTorch."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import asdict
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from gipi.engine.compiled import ONNXRuntime
from gipi.errors import DeviceError
from gipi.model import Card
from gipi.tasks.export_check import Run
from gipi.tasks.export_feeds import Feed
from gipi.tasks.export_graphs import Graph

Format = Literal["onnx", "pt2"]


class File(NamedTuple):
    """run: what the file answers, read again.  inputs, outputs: type and shape of each by its name."""

    data: bytes
    run: Run
    inputs: dict[str, str]
    outputs: dict[str, str]


def runtime() -> Any:
    """ONNX Runtime. Raises DeviceError without the extra "onnx"."""
    try:
        import onnxscript  # noqa: F401 (torch.onnx needs it)

        return ONNXRuntime.package()
    except ImportError as error:
        raise DeviceError("exporting takes ONNX and its runtime, which are not installed here: pip install gipi[onnx]") from error


def onnx(card: Card, graph: Graph) -> File:
    """The graph as an ONNX file. Raises DeviceError without the extra "onnx"."""
    runtime()
    from gipi.tasks.onnx_graph import onnx_file

    return onnx_opened(onnx_file(card, graph))


def onnx_opened(data: bytes) -> File:
    """The bytes of an ONNX file, ready to run."""
    module = runtime()
    options = module.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = module.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(fed: Feed) -> list[Tensor]:
        feeds = {name: part.numpy() for name, part in zip(names, fed, strict=True)}
        return [torch.from_numpy(part) for part in session.run(None, feeds)]

    inputs, outputs = (
        {each.name: _said(each.type.removeprefix("tensor(").removesuffix(")"), each.shape) for each in part}
        for part in (session.get_inputs(), session.get_outputs())
    )
    return File(data, run, inputs, outputs)


def pt2(card: Card, graph: Graph) -> File:
    """The graph as a file of torch.export, the card its extra file "gipi"."""
    open_axes = tuple(dict.fromkeys(axes, Dim.DYNAMIC) for axes in graph.inputs.values())
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's advice to who writes modules
        program = torch.export.export(graph.module, graph.example, dynamic_shapes=open_axes)
        for part in program.graph_module.modules():
            for node in part.graph.nodes if isinstance(part, GraphModule) else ():
                node.meta.pop("stack_trace", None)  # which lines of which file it is from, on this machine
        torch.export.save(program, file, extra_files={"gipi": json.dumps(asdict(card), ensure_ascii=False)})
        loaded = torch.export.load(io.BytesIO(file.getvalue()))
    answering = loaded.module()

    def run(fed: Feed) -> list[Tensor]:
        with torch.no_grad():
            found = answering(*fed)
        return [found] if isinstance(found, Tensor) else [*found]

    return File(file.getvalue(), run, *_shapes(loaded, graph))


def _shapes(program: ExportedProgram, graph: Graph) -> tuple[dict[str, str], dict[str, str]]:
    """Of the inputs and outputs of a program, axes by the graph's names for them."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    signature = program.graph_signature
    inputs, outputs = ([values[name] for name in part] for part in (signature.user_inputs, signature.user_outputs))
    axes = {
        str(value.shape[axis]): called
        for value, names in zip(inputs, graph.inputs.values(), strict=True)
        for axis, called in names.items()
    }

    def said(value: Tensor) -> str:
        return _said(str(value.dtype).removeprefix("torch."), [axes.get(str(length), str(length)) for length in value.shape])

    return (
        {name: said(value) for name, value in zip(graph.inputs, inputs, strict=True)},
        {name: said(value) for name, value in zip(graph.outputs, outputs, strict=True)},
    )


def _said(kind: str, shape: list[Any]) -> str:
    """Type and shape; lengths that are found or worked out only then have numbered or long names, and are "?"."""
    names = [str(length) for length in shape]
    lengths = [name if name.isdecimal() or (name.isidentifier() and not name[1:].isdecimal()) else "?" for name in names]
    return f"{kind} ({', '.join(lengths)})"
