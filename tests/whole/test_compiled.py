"""A compiled training equals an eager one; in processes of their own, as the tests' check of shapes cannot be compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file


@pytest.mark.slow  # the compiler takes its time
@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_training_equals_an_eager_one(tmp_path: Path):
    for compile in ("off", "on"):
        words = ["train", "deepconvnet-digits", "--net", "convstack", "--epochs", "1", "--data.limit", "400", "--device", "cpu",
                 "--precision", "fp32", "--optim.name", "sgd", "--optim.lr", "0.05", "--optim.schedule", "constant",
                 "--compile", compile, "--out", str(tmp_path / compile)]  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "gipi", *words], env=os.environ, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        assert (", compiled" in done.stderr) == (compile == "on"), done.stderr
    eager, compiled = (load_file(tmp_path / name / "model.safetensors") for name in ("off", "on"))
    assert eager.keys() == compiled.keys()
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=0, atol=1e-3)
