"""gipi export: a model for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gipi.cli.common import Json, Model, parse, print_json


@dataclass(frozen=True)
class ExportArgs:
    """Write a model as one ONNX file for other programs: uint8 pixels in; logits, or boxes, scores and labels out.

    It is compared with gipi's own answers first. Takes pip install gipi[onnx].
    """

    model: Positional[Model]
    out: Annotated[Path, arg(aliases=["-o"], help="the ONNX file to write")] = Path("model.onnx")
    check: Annotated[Path | None, arg(help="a picture on which both must answer alike, instead of noise and drawn scenes")] = None
    json: Json = False


def export(argv: list[str]) -> int:
    args = parse(ExportArgs, "gipi export", argv)
    from gipi import api

    exported = api.export(args.model, args.out, check=args.check)
    print_json(exported.json()) if args.json else print(exported.text())
    return 0
