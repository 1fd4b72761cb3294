"""The command line's flags are a snapshot: it grows on purpose only. After a wanted change, write what the test prints into flags.txt."""

import re
from pathlib import Path

import pytest

from gipi import cli

SNAPSHOT = Path(__file__).with_name("flags.txt")


def flags(verb, capsys):
    with pytest.raises(SystemExit) as end:
        cli.VERBS[verb][0](["--help"])
    assert end.value.code == 0
    return sorted(set(re.findall(r"(?<!\S)--[a-z][\w.-]*\w", capsys.readouterr().out)))


def test_flags_are_those_of_the_snapshot(capsys):
    now = "".join(f"{verb} {' '.join(flags(verb, capsys))}\n" for verb in cli.VERBS)
    assert now == SNAPSHOT.read_text(), now
