"""gipi inspect and list: looking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from gipi import catalog
from gipi.cli.common import Json, parse, print_json
from gipi.cli.nets import SCORES, net_lines, net_rows
from gipi.errors import ConfigError
from gipi.recipes import RECIPES, overview
from gipi.studies import MEASUREMENTS, STUDIES

PICTURES = {
    "mistakes": "DATA", "features": "IMAGE", "fields": "IMAGE", "why": "IMAGE", "exciting": "DATA", "dense": "IMAGE",
    "regions": "IMAGE", "words": "IMAGE", "pixels": "SEED", "augment": "RECIPE",
}  # fmt: skip


@dataclass(frozen=True)
class InspectArgs:
    """Look inside a model or a net: the layer table, or one picture."""

    model: Positional[
        Annotated[
            str | None, arg(help="a model file, a run folder, a shipped model or a net (see: gipi list)", metavar="[MODEL]")
        ]
    ] = None
    mistakes: Annotated[
        str | None, arg(help="draw what is misread, or missed, in the test images of this data set", metavar="DATA")
    ] = None
    features: Annotated[Path | None, arg(help="draw what each layer sees in this picture", metavar="IMAGE")] = None
    fields: Annotated[Path | None, arg(help="draw how much of this picture a value of each layer sees", metavar="IMAGE")] = None
    why: Annotated[Path | None, arg(help="draw where in this picture the best two answers come from", metavar="IMAGE")] = None
    label: Annotated[str | None, arg(help="with --why: where this class would come from instead", metavar="NAME")] = None
    exciting: Annotated[
        str | None, arg(help="draw the parts of this data set's test images that excite each channel most", metavar="DATA")
    ] = None
    layer: Annotated[str | None, arg(help="with --exciting: more channels of this convolution", metavar="NAME")] = None
    channel: Annotated[int | None, arg(help="with --layer: more images for this channel", metavar="N")] = None
    dense: Annotated[
        Path | None,
        arg(help="count and time naming this picture's pixels by an FCN: a window around each against one pass", metavar="IMAGE"),
    ] = None
    regions: Annotated[
        Path | None, arg(help="draw how a detector comes from regions of this picture to boxes, stage by stage", metavar="IMAGE")
    ] = None
    words: Annotated[
        Path | None, arg(help="draw where in this picture a captioner that attends looks at each word", metavar="IMAGE")
    ] = None
    pixels: Annotated[
        int | None, arg(help="play the game of this seed and draw which pixels move a player's values in it", metavar="SEED")
    ] = None
    augment: Annotated[
        str | None, arg(help="draw training images as this recipe augments them; takes no MODEL", metavar="RECIPE")
    ] = None
    out: Annotated[
        Path | None, arg(help="where the picture goes; mistakes.png, features.png, ... if not given", metavar="FILE")
    ] = None
    json: Json = False


def inspect(argv: list[str]) -> int:
    args = parse(InspectArgs, "gipi inspect", argv)
    asked = [name for name in PICTURES if getattr(args, name) is not None]
    if len(asked) > 1:
        raise ConfigError(f"ask for one picture at a time, got {' and '.join(f'--{name}' for name in asked)}")
    if (args.layer is not None or args.channel is not None) and args.exciting is None:
        raise ConfigError("--layer and --channel choose what --exciting draws: add --exciting DATA")
    if args.label is not None and args.why is None:
        raise ConfigError("--label is the class that --why explains: add --why IMAGE")
    if args.out and not asked:
        flags = ", ".join(f"--{name} {what}" for name, what in PICTURES.items())
        raise ConfigError(f"--out is where a picture goes: add one of {flags}")
    from gipi import looks

    told: dict[str, Any] = {}
    if args.model is None:
        if args.augment is None:
            raise ConfigError("name what to look inside: gipi inspect MODEL, or gipi inspect --augment RECIPE")
        picture = looks.augmented(catalog.entry(RECIPES, args.augment, "recipe").config)
    elif args.augment is not None:
        raise ConfigError(f"--augment draws the recipe's training images, whatever the model: leave {args.model!r} out")
    elif args.mistakes is not None:
        picture = looks.mistakes(args.model, args.mistakes)
    elif args.why is not None:
        picture = looks.why(args.model, args.why, label=args.label)
    elif args.exciting is not None:
        picture = looks.exciting(args.model, args.exciting, layer=args.layer, channel=args.channel)
    elif args.dense is not None:
        found, picture = looks.dense(args.model, args.dense)
        told = found.json()
        print(*([] if args.json else [found.text(), ""]), sep="\n", end="")
    elif args.pixels is not None:
        picture = looks.pixels(args.model, args.pixels)
    elif asked:
        draw = {"features": looks.features, "fields": looks.fields, "regions": looks.regions, "words": looks.words}[asked[0]]
        picture = draw(args.model, getattr(args, asked[0]))
    else:
        table = looks.layers(args.model)
        print_json(table.json()) if args.json else print(table.text())
        return 0
    out = args.out or Path(f"{asked[0]}.png")
    try:
        picture.save(out)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write the picture {out}: {error}") from error
    print_json({**told, "picture": str(out)}) if args.json else print(out)
    return 0


@dataclass(frozen=True)
class ListArgs:
    """What there is: recipes, shipped models, nets, data sets, games of our own and studies."""

    what: Positional[
        Annotated[
            str | None, arg(help="recipes, models, nets, data, games or studies; nets with all known of them", metavar="[WHAT]")
        ]
    ] = None
    json: Json = False


def list_all(argv: list[str]) -> int:
    args = parse(ListArgs, "gipi list", argv)
    tables: dict[str, dict[str, Any]] = {
        **overview(),
        "studies": {name: f"{study.about} {study.cost}" for name, study in {**STUDIES, **MEASUREMENTS}.items()},
    }
    if args.what is not None:
        tables = {args.what: catalog.entry(tables, args.what, "list of")}
    if args.what == "nets":
        tables["nets"] = net_rows()
    if args.json:
        print_json(tables)
    elif args.what == "nets":
        print(*net_lines(), "", SCORES, sep="\n")
    else:
        width = max(len(name) for table in tables.values() for name in table)
        for title, table in tables.items():
            print(title, *(f"  {name:{width}}  {about}" for name, about in table.items()), sep="\n")
    return 0
