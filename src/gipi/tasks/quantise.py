"""An exported model with fewer bits: half of them (fp16) or a quarter (int8)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from gipi.engine.compiled import ONNXRuntime
from gipi.errors import ConfigError
from gipi.tasks.quant_graph import BETWEEN, LAYERS, Precision, activate_first, bare_answers, halve, low, tidy

GROUP = 32  # calibration images that are read at once, of
PIXELS = 2_000_000  # at most so many pixels
LEAST = 8  # images in a group whose extremes say what is usual


class _Feeds:
    """Calibration images, some at once, by the names of the graph's inputs."""

    def __init__(self, names: Sequence[str], feeds: Sequence[tuple[Tensor, ...]]) -> None:
        self._feeds = ({name: part.numpy() for name, part in zip(names, feed, strict=True)} for feed in feeds)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def lower(data: bytes, precision: Precision, calibration: Sequence[tuple[Tensor, ...]]) -> bytes:
    """A float32 ONNX file as one that computes with fewer bits; inputs, outputs and metadata are the same.

    fp16: weights and what lies between layers in half precision.  int8: weights with a scale for each output channel, activations
    uint8, their ranges those on `calibration`, a few hundred feeds of the graph.  Scaling of pixels and what follows the last
    layer stay float32, so does a last convolution with int8. Raises ConfigError for int8 without calibration.
    """
    if precision == "int8" and not calibration:
        raise ConfigError("int8 needs images by which the ranges of its numbers are chosen: name a data set with --calibrate")
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
    with tempfile.TemporaryDirectory() as folder:
        model = _folded(data, Path(folder) / "folded.onnx")
        if precision == "fp16":
            return tidy(halve(model, low(model, precision)), metadata)
        return tidy(_int8(model, calibration, Path(folder)), metadata)


def _folded(data: bytes, path: Path) -> onnx.ModelProto:
    """The graph with batch norm as a part of the convolutions and constants worked out, as ONNX Runtime does first."""
    runtime = ONNXRuntime.package()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath, options.log_severity_level = str(path), 3
    runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"unnamed {number}"
    return model


def _int8(model: onnx.ModelProto, calibration: Sequence[tuple[Tensor, ...]], folder: Path) -> onnx.ModelProto:
    """Ranges are the mean of the extremes of groups of images: those of all are as wide as one strange image makes them."""
    ONNXRuntime.package()
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static

    activate_first(model)
    chosen, groups = low(model, "int8"), _grouped(model, calibration)
    source, out = folder / "source.onnx", folder / "int8.onnx"
    onnx.save(model, source)
    logged = logging.root.manager.disable
    logging.disable(logging.WARNING)  # advice to those who use this tool by hand
    try:
        quantize_static(
            source,
            out,
            _Feeds([each.name for each in model.graph.input], groups),  # pyright: ignore[reportArgumentType]
            op_types_to_quantize=[*LAYERS["int8"], *BETWEEN],
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": len(groups) < len(calibration)},
        )
    finally:
        logging.disable(logged)
    model = onnx.load(out)
    bare_answers(model, chosen)
    return model


def _grouped(model: onnx.ModelProto, feeds: Sequence[tuple[Tensor, ...]]) -> Sequence[tuple[Tensor, ...]]:
    """Some feeds in one, where the graph takes any number of images and these are alike; else as they are."""
    open_batch = all(each.type.tensor_type.shape.dim[0].dim_param for each in model.graph.input)
    most = min(GROUP, PIXELS // max(feed[0][0, 0].numel() for feed in feeds))
    if not open_batch or most < LEAST or len({feed[0].shape[1:] for feed in feeds}) > 1:
        return feeds
    whole = [torch.cat(parts) for parts in zip(*feeds, strict=True)]
    return list(zip(*(part.tensor_split(max(1, len(part) // most)) for part in whole), strict=True))
