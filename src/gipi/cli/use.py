"""gipi eval, predict and import: using models."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from gipi.cli.common import Json, Model, parse, print_json
from gipi.errors import ConfigError, GipiError


@dataclass(frozen=True)
class EvalArgs:
    """Score a model on a data set, in float32."""

    model: Positional[Model]
    data: Annotated[str, arg(help="a data set of the catalogue (see: gipi list)")] = "mnist"
    split: Annotated[str, arg(help="test or train")] = "test"
    json: Json = False


def evaluate(argv: list[str]) -> int:
    args = parse(EvalArgs, "gipi eval", argv)
    from gipi import api

    metrics = api.evaluate(args.model, args.data, split=args.split).metrics
    result, count = {name: mean.value for name, mean in metrics.items()}, metrics["accuracy"].count
    if args.json:
        print_json({**result, "count": count, "data": args.data, "split": args.split, "model": args.model})
    else:
        scores = f"accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f}"
        print(f"{args.model} on {args.data} ({args.split}, {count:,} images): {scores}")
    return 0


@dataclass(frozen=True)
class PredictArgs:
    """Read pictures: PNG, JPEG, WebP or BMP, photographed, scanned or drawn."""

    model: Positional[Model]
    files: Positional[Annotated[tuple[Path, ...], arg(help="pictures", metavar="FILE")]]
    json: Json = False


def predict(argv: list[str]) -> int:
    args = parse(PredictArgs, "gipi predict", argv)
    if not args.files:
        raise ConfigError("name at least one picture: gipi predict MODEL FILE...")
    from gipi import api

    rows: list[dict[str, Any]] = []
    for file, answer in api.predict(args.model, args.files):
        if isinstance(answer, GipiError):
            rows.append({"file": str(file), "error": str(answer)})
            print(f"gipi: {answer}", file=sys.stderr)
            continue
        rows.append({"file": str(file), **answer.json()})
        if not args.json:
            print(f"{file}: {answer.label} ({answer.score:.1%})")
    if args.json:
        print_json(rows)
    return 1 if any("error" in row for row in rows) else 0


@dataclass(frozen=True)
class ImportArgs:
    """Turn the textbook's pickled weights into a model file; nothing in the pickle is executed."""

    net: Positional[Annotated[str, arg(help="deepconvnet", metavar="NET")]]
    file: Positional[Annotated[Path, arg(help="the pickled weights", metavar="FILE.pkl")]]
    out: Annotated[Path, arg(aliases=["-o"], help="the model file to write")] = Path("model.safetensors")


def import_weights(argv: list[str]) -> int:
    args = parse(ImportArgs, "gipi import", argv)
    from gipi import api

    print(api.import_weights(args.net, args.file, args.out))
    return 0
