"""What the verbs share: reading arguments, printing JSON, the words for a model."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

import tyro
from tyro.conf import FlagCreatePairsOff, arg

Json = Annotated[bool, arg(help="print JSON")]
Model = Annotated[str, arg(help="a model file, a run folder or the name of a shipped model", metavar="MODEL")]
T = TypeVar("T")
STOPPED = {"SIGINT": 130, "SIGTERM": 143}  # exit codes


def parse(args: type[T], prog: str, argv: list[str], default: T | None = None) -> T:
    """The arguments as an `args`; wrong ones, and --help, print and exit."""
    return tyro.cli(args, prog=prog, args=argv, default=default, config=(FlagCreatePairsOff,))  # pyright: ignore[reportReturnType]


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
