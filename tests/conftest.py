"""One thread for all tests, shapes checked as annotated, nothing read from or written to the user's own folders."""

import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy reads it when it is imported
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime reports its use to its makers otherwise

import pytest
import torch
from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parent))
install_import_hook(["gipi.ops", "gipi.models"], "beartype.beartype").__enter__()
torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GIPI_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def root() -> Path:
    return ROOT
