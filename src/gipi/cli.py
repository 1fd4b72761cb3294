"""The command line: reads the arguments, calls the Python API, prints, exits. Nothing here that Python cannot do.

Results go to stdout (JSON with --json), progress to stderr.
Exit 0 done, 1 it failed, 2 asked wrongly, 130 or 143 stopped and saved.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from gipi import __version__, catalog
from gipi.config import DataConfig, OptimConfig, RunConfig
from gipi.errors import ConfigError, GipiError
from gipi.recipes import DEFAULT, RECIPES, overview
from gipi.screen import Screen

Json = Annotated[bool, arg(help="print JSON")]
Model = Annotated[str, arg(help="a model file, a run folder or the name of a shipped model", metavar="MODEL")]
T = TypeVar("T")
STOPPED = {"SIGINT": 130, "SIGTERM": 143}


@dataclass(frozen=True)
class TrainArgs:
    """Train by a recipe; every flag replaces one value of it. `--data NAME` is short for `--data.name NAME`."""

    data: DataConfig
    optim: OptimConfig
    run: Annotated[RunConfig, arg(name="")]
    out: Annotated[Path | None, arg(help="the run folder; runs/RECIPE-NNN if not given")] = None
    resume: Annotated[Path | None, arg(help="go on with this run folder instead, exactly where it was")] = None
    json: Json = False


def train(argv: list[str]) -> int:
    named = bool(argv) and not argv[0].startswith("-")
    name = argv.pop(0) if named else DEFAULT
    recipe = catalog.entry(RECIPES, name, "recipe").config
    argv = [re.sub(r"^--data(?=$|=)", "--data.name", word) for word in argv]
    args = _parse(TrainArgs, f"gipi train {name}", argv, TrainArgs(recipe.data, recipe.optim, recipe.run))
    config = replace(recipe, data=args.data, optim=args.optim, run=args.run)
    if args.resume and (named or config != recipe or args.out):
        raise ConfigError("--resume goes on with the run's own values: leave the other flags out")

    from gipi import api

    with Screen() as screen:
        run = api.resume(args.resume, echo=screen.show) if args.resume else api.train(config, out=args.out, echo=screen.show)
    last, data = (run.rows() or [{"step": 0}])[-1], run.config()["data"]["name"]
    if run.ended() == "stopped":
        go_on = f"gipi train --resume {shlex.quote(str(run.path))}"
        print(f"stopped at step {last['step']:,} and saved; go on with: {go_on}", file=sys.stderr)
        return STOPPED[run.why()]
    if args.json:
        result = {key: last[key] for key in last if key not in ("step", "steps", "split")}
        _print_json({"run": str(run.path), "model": str(run.model_path), "data": data, **result})
    else:
        print(f"test accuracy {last['accuracy']:.2%} on {data}, {last['time_s']:.0f} s of training")
        print(f"model   {run.model_path}\nreport  {run.path / 'report.html'}")
        print(f"next    gipi inspect {run.path} --mistakes {data}\n        gipi predict {run.path} your-own-digit.png")
    return 0


@dataclass(frozen=True)
class EvalArgs:
    """Score a model on a data set, in float32."""

    model: Positional[Model]
    data: Annotated[str, arg(help="a data set of the catalogue (see: gipi list)")] = "mnist"
    split: Annotated[str, arg(help="test or train")] = "test"
    json: Json = False


def evaluate(argv: list[str]) -> int:
    args = _parse(EvalArgs, "gipi eval", argv)
    from gipi import api

    metrics = api.evaluate(args.model, args.data, split=args.split).metrics
    result, count = {name: mean.value for name, mean in metrics.items()}, metrics["accuracy"].count
    if args.json:
        _print_json({**result, "count": count, "data": args.data, "split": args.split, "model": args.model})
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
    args = _parse(PredictArgs, "gipi predict", argv)
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
        _print_json(rows)
    return 1 if any("error" in row for row in rows) else 0


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
    args = _parse(InspectArgs, "gipi inspect", argv)
    if args.mistakes and args.features:
        raise ConfigError("ask for one picture at a time: --mistakes DATA or --features IMAGE")
    from gipi import api

    if not (args.mistakes or args.features):
        if args.out:
            raise ConfigError("--out is where a picture goes: add --mistakes DATA or --features IMAGE")
        table = api.layers(args.model)
        _print_json(table.json()) if args.json else print(table.text())
        return 0
    picture = api.mistakes(args.model, args.mistakes) if args.mistakes else api.features(args.model, args.features or Path())
    out = args.out or Path("mistakes.png" if args.mistakes else "features.png")
    try:
        picture.save(out)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write the picture {out}: {error}") from error
    _print_json({"picture": str(out)}) if args.json else print(out)
    return 0


@dataclass(frozen=True)
class ImportArgs:
    """Turn the textbook's pickled weights into a model file; nothing in the pickle is executed."""

    net: Positional[Annotated[str, arg(help="deepconvnet", metavar="NET")]]
    file: Positional[Annotated[Path, arg(help="the pickled weights", metavar="FILE.pkl")]]
    out: Annotated[Path, arg(aliases=["-o"], help="the model file to write")] = Path("model.safetensors")


def import_weights(argv: list[str]) -> int:
    args = _parse(ImportArgs, "gipi import", argv)
    from gipi import api

    print(api.import_weights(args.net, args.file, args.out))
    return 0


@dataclass(frozen=True)
class ListArgs:
    """What there is: recipes, shipped models, nets and data sets."""

    json: Json = False


def list_all(argv: list[str]) -> int:
    args = _parse(ListArgs, "gipi list", argv)
    tables = overview()
    if args.json:
        _print_json(tables)
        return 0
    for title, table in tables.items():
        print(title, *(f"  {name:18}  {about}" for name, about in table.items()), sep="\n")
    return 0


VERBS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "train": (train, "train a net by a recipe"),
    "eval": (evaluate, "score a model on a data set"),
    "predict": (predict, "read pictures"),
    "inspect": (inspect, "look inside: layer table, mistakes, what each layer sees"),
    "import": (import_weights, "make a model of the textbook's own weights"),
    "list": (list_all, "recipes, shipped models, nets, data sets"),
}

USAGE = f"""gipi {__version__}: the landmark deep-vision systems, to run and to look inside

usage: gipi VERB ...     gipi VERB --help     gipi --version

{chr(10).join(f"  {verb:8} {about}" for verb, (_, about) in VERBS.items())}

start with: gipi train {DEFAULT}
--traceback after any verb shows where an error comes from
"""


def main() -> None:
    """Entry point of the command `gipi`."""
    argv = [word for word in sys.argv[1:] if word != "--traceback"]
    try:
        sys.exit(_run(argv))
    except GipiError as error:
        if "--traceback" in sys.argv:
            raise
        print(f"gipi: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except BrokenPipeError:  # the reader, such as `head`, has gone
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"gipi {__version__}")
        return 0
    return catalog.entry(VERBS, argv[0], "verb")[0](argv[1:])


def _parse(args: type[T], prog: str, argv: list[str], default: T | None = None) -> T:
    return tyro.cli(args, prog=prog, args=argv, default=default, config=(FlagCreatePairsOff,))  # pyright: ignore[reportReturnType]


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
