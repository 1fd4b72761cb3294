"""The OpenAPI document says what the service does: schemathesis looks for a request of which that is not true."""

import subprocess
import sys
from pathlib import Path

import pytest

from oracle.service import service

pytest.importorskip("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.parametrize("token", ["", "correct-horse"])
def test_no_request_is_found_that_the_document_does_not_foresee(tmp_path, token):
    phases = "coverage,fuzzing,stateful" if token else "coverage"
    with service(models=("deepconvnet-mnist", "dcgan-mnist"), token=token) as served:
        words = ["--max-examples", "4", "--seed", "1", "--phases", phases]
        shown = ["-H", f"Authorization: Bearer {token}"] if token else []
        program = str(Path(sys.executable).with_name("schemathesis"))
        command = [program, "--no-color", "--config-file", str(CONFIG), "run", *words, *shown]
        done = subprocess.run([*command, f"{served.url}/openapi.json"], capture_output=True, text=True, cwd=tmp_path, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
