"""A net as another runtime runs it, OpenVINO or ONNX Runtime: converted once, kept in files, compiled for this CPU."""

from __future__ import annotations

import os
import sys
import warnings
from abc import ABC, abstractmethod
from importlib import import_module, metadata, util
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}  # a CPU without the unit computes in f32


class Compiled(ABC):
    """A net that is ready: images (n, c, h, w) -> logits (n, classes), float32, by as many threads as PyTorch has.

    path: what `convert` wrote.  dtype: of the heavy layers, where the runtime can be told.  Several threads may call it.
    NAME: what people call the runtime.  PACKAGE: what it is imported as and installed as.  NEEDS: what else `convert` takes.
    ENDINGS: of the files of a net, first of that which is read.  gain: how many times as fast as PyTorch it was measured to be.
    """

    NAME: ClassVar[str]
    PACKAGE: ClassVar[str]
    NEEDS: ClassVar[tuple[str, ...]] = ()
    ENDINGS: ClassVar[tuple[str, ...]]
    gain: float = 1.0

    @abstractmethod
    def __init__(self, path: Path, dtype: torch.dtype) -> None: ...

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor: ...

    @staticmethod
    @abstractmethod
    def convert(net: nn.Module, image: tuple[int, int, int], path: Path) -> None:
        """Write a net in evaluation mode to `path`: float32, for any number of images of one size."""

    @classmethod
    def package(cls) -> Any:
        """The module, imported only now, and so that it does not report its use to its makers, as both do by default."""
        modules: dict[str, Any] = sys.modules
        modules.setdefault("openvino_telemetry", None)  # to import it is now an error, for which OpenVINO has a stub
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # which ONNX Runtime looks for when it is imported
        return import_module(cls.PACKAGE)

    @classmethod
    def installed(cls) -> bool:
        return all(util.find_spec(module) is not None for module in (cls.PACKAGE, *cls.NEEDS))

    @classmethod
    def version(cls) -> str:
        return metadata.version(cls.PACKAGE)

    def __str__(self) -> str:
        return f"{self.NAME} {self.version()}, {self.gain:.1f} x as fast as PyTorch"


class OpenVINO(Compiled):
    NAME, PACKAGE, ENDINGS = "OpenVINO", "openvino", (".xml", ".bin")

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        core = self.package().Core()
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

    @staticmethod
    def convert(net: nn.Module, image: tuple[int, int, int], path: Path) -> None:
        ov = OpenVINO.package()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's tracer, about shapes that are fixed here
            traced = torch.jit.trace(net, torch.zeros(2, *image), check_trace=False)  # to trace it twice would take as long again
            model = ov.convert_model(traced, input=[(-1, *image)])
        ov.save_model(model, path, compress_to_fp16=False)


class ONNXRuntime(Compiled):
    """Computes in float32, whatever it is told: its CPU kernels have no other number format."""

    NAME, PACKAGE, NEEDS, ENDINGS = "ONNX Runtime", "onnxruntime", ("onnx",), (".onnx",)

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        onnxruntime = self.package()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait leave the cores to those that open the next pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self._session.run(None, {"images": images.contiguous().numpy()})[0])

    @staticmethod
    def convert(net: nn.Module, image: tuple[int, int, int], path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer; the exporter without it takes ten times as long
            names, axes = ["images"], {"images": {0: "batch"}}
            torch.onnx.export(net, (torch.zeros(2, *image),), path, dynamo=False, input_names=names, dynamic_axes=axes)


RUNTIMES = (OpenVINO, ONNXRuntime)  # the first that is installed and faster than PyTorch is taken
