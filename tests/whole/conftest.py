"""The command line as a user calls it, on any machine with the same numbers."""

import pytest


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    """What is called in this process computes in float32, whatever its CPU is fastest in."""
    monkeypatch.setattr("gipi.engine.place.fast_bf16", lambda device: False)
