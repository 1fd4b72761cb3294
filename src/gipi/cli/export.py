"""gipi export: a model for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from gipi.cli.common import Json, Model, parse, print_json


@dataclass(frozen=True)
class ExportArgs:
    """Write a model of any kind as a file for other programs: uint8 pixels, noise or observations in, answers out.

    ONNX takes pip install gipi[onnx]. The file is compared with gipi's own answers before it is written. A captioner becomes two
    files, an encoder and a decoder; examples/onnx_run.py runs any ONNX file.
    """

    model: Positional[Model]
    to: Annotated[Literal["onnx", "pt2"], arg(help="ONNX, or torch.export's format, which PyTorch runs")] = "onnx"
    out: Annotated[Path | None, arg(aliases=["-o"], help="the file to write; model.onnx or model.pt2 if left out")] = None
    precision: Annotated[Literal["fp32", "fp16", "int8"], arg(help="of an ONNX file's numbers")] = "fp32"
    calibrate: Annotated[
        str | None, arg(help="a data set, or a folder of your own: int8 is fitted to its training images; the loss is told")
    ] = None
    check: Annotated[Path | None, arg(help="a picture on which both must answer alike, instead of noise and drawn scenes")] = None
    json: Json = False


def export(argv: list[str]) -> int:
    args = parse(ExportArgs, "gipi export", argv)
    from gipi import api

    exported = api.export(args.model, args.out, to=args.to, precision=args.precision, calibrate=args.calibrate, check=args.check)
    print_json(exported.json()) if args.json else print(exported.text())
    return 0
