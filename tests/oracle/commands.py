"""A gipi command run in the process of the test, which need not import torch for each."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from gipi import cli


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def gipi_here(
    words: Sequence[str | Path], cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Done:
    """What `gipi WORDS...` gives in the folder `cwd`: as long as it trains nothing, the same as in a process of its own."""
    monkeypatch.chdir(cwd)
    monkeypatch.setattr(sys, "argv", ["gipi", *map(str, words)])
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        cli.main()
    return Done(end.value.code if isinstance(end.value.code, int) else 0, *capsys.readouterr())
