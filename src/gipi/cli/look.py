"""gipi inspect and list: looking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gipi.cli.common import Json, parse, print_json
from gipi.errors import ConfigError
from gipi.recipes import overview


@dataclass(frozen=True)
class InspectArgs:
    """Look inside a model or a net: the layer table, or a picture."""

    model: Positional[
        Annotated[str, arg(help="a model file, a run folder, a shipped model or a net (see: gipi list)", metavar="MODEL")]
    ]
    mistakes: Annotated[str | None, arg(help="draw what is misread in the test images of this data set")] = None
    features: Annotated[Path | None, arg(help="draw what each layer sees in this picture", metavar="IMAGE")] = None
    out: Annotated[Path | None, arg(help="where the picture goes; mistakes.png or features.png if not given")] = None
    json: Json = False


def inspect(argv: list[str]) -> int:
    args = parse(InspectArgs, "gipi inspect", argv)
    if args.mistakes and args.features:
        raise ConfigError("ask for one picture at a time: --mistakes DATA or --features IMAGE")
    from gipi import api

    if not (args.mistakes or args.features):
        if args.out:
            raise ConfigError("--out is where a picture goes: add --mistakes DATA or --features IMAGE")
        table = api.layers(args.model)
        print_json(table.json()) if args.json else print(table.text())
        return 0
    picture = api.mistakes(args.model, args.mistakes) if args.mistakes else api.features(args.model, args.features or Path())
    out = args.out or Path("mistakes.png" if args.mistakes else "features.png")
    try:
        picture.save(out)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write the picture {out}: {error}") from error
    print_json({"picture": str(out)}) if args.json else print(out)
    return 0


@dataclass(frozen=True)
class ListArgs:
    """What there is: recipes, shipped models, nets and data sets."""

    json: Json = False


def list_all(argv: list[str]) -> int:
    args = parse(ListArgs, "gipi list", argv)
    tables = overview()
    if args.json:
        print_json(tables)
        return 0
    for title, table in tables.items():
        print(title, *(f"  {name:18}  {about}" for name, about in table.items()), sep="\n")
    return 0
