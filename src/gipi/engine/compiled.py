"""A net as OpenVINO runs it: converted once, kept in two files, compiled for this CPU."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from importlib.metadata import version as version_of
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}  # a CPU without the unit computes in f32


def installed() -> bool:
    return importlib.util.find_spec("openvino") is not None


def version() -> str:
    return version_of("openvino")


def openvino() -> ModuleType:
    """The package, imported only now, and so that it does not report its use to its makers, as it does by default."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)  # to import it is now an error, for which OpenVINO has a stub
    import openvino

    return openvino


def convert(net: nn.Module, image: tuple[int, int, int], path: Path) -> None:
    """Write a net in evaluation mode to `path` (.xml) and a .bin beside it: float32, for any number of images of one size."""
    ov = openvino()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's tracer, about shapes that are fixed here
        traced = torch.jit.trace(net, torch.zeros(2, *image), check_trace=False)  # to trace it twice would take as long again
        model = ov.convert_model(traced, input=[(-1, *image)])
    ov.save_model(model, path, compress_to_fp16=False)


class Compiled:
    """The net in OpenVINO's files, ready: images (n, c, h, w) -> logits (n, classes), float32, as many threads as PyTorch has.

    dtype: of the heavy layers.  Several threads may call it: they wait for each other.
    """

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        core = openvino().Core()
        how = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",  # all threads at one batch
            "ENABLE_CPU_PINNING": False,  # else two processes sit on the same cores
        }
        self._request = core.compile_model(core.read_model(path), "CPU", how).create_infer_request()
        self._lock = Lock()

    def __call__(self, images: Tensor) -> Tensor:
        with self._lock:
            return torch.from_numpy(self._request.infer([images.contiguous().numpy()], share_inputs=True)[0])
