"""gipi bench."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from gipi import catalog
from gipi.cli.common import Json, Model, parse, print_json
from gipi.config import Config
from gipi.errors import ConfigError
from gipi.recipes import DEFAULT, RECIPES

HELP = """usage: gipi bench QUESTION ...     gipi bench QUESTION --help
Measure speed on this machine: at least 5 repeats, median, lowest and highest.

  ladder   each way to train a net faster, with its accuracy             [RECIPE] --data --steps --out --json
  step     the training step, and how near its bound it comes            [RECIPE] --data --net --batch --json
  data     the images that a training is fed, and their share of a step  [RECIPE] --data --json
  predict  latency and images/s of a model                               MODEL --json
  scale    one training by more and more processes                       [RECIPE] --data --processes --steps --json
"""
Steps = Annotated[int, arg(help="of training before the accuracy is checked")]


@dataclass(frozen=True)
class _RecipeArgs:
    recipe: Positional[Annotated[str | None, arg(help="whose net and data (see: gipi list)", metavar="[RECIPE]")]] = None
    data: Annotated[str | None, arg(help="a data set or a folder of pictures instead of the recipe's")] = None
    json: Json = False

    def config(self) -> Config:
        """The recipe, on other data if they are given; of pictures of any size and no recipe, `finetune`."""
        data, known = self.data or "", catalog.DATASETS.get(self.data or "")
        pictures = known.framing == "crop" if known else os.sep in data or (data != "" and Path(data).exists())
        config = catalog.entry(RECIPES, self.recipe or ("finetune" if pictures else DEFAULT), "recipe").config
        return replace(config, data=replace(config.data, name=data)) if data else config


@dataclass(frozen=True)
class LadderArgs(_RecipeArgs):
    """Measure every way to train a net faster that this machine has, each in its own process and with its accuracy."""

    steps: Steps = 160
    out: Annotated[Path | None, arg(help="the folder of the table and the picture; runs/bench-ladder-NNN if not given")] = None


def ladder(argv: list[str]) -> int:
    args = parse(LadderArgs, "gipi bench ladder", argv)
    from gipi.bench.ladder import ladder as measure

    found = measure(args.config(), steps=args.steps, out=args.out, say=_say)
    _show(found, args.json)
    _say(f"written   {found.folder / 'ladder.json'}, {found.folder / 'ladder.png'}")
    return _verdict(found.wrong)


@dataclass(frozen=True)
class StepArgs(_RecipeArgs):
    """Measure the engine's training step against the device's peak and against its bound: the same layers timed alone."""

    net: Annotated[str | None, arg(help="a net of the catalogue on random images, instead of a recipe", metavar="NET")] = None
    batch: Annotated[int | None, arg(help="images in a step; the recipe's if not given, 32 with --net")] = None


def step(argv: list[str]) -> int:
    args = parse(StepArgs, "gipi bench step", argv)
    if args.net and (args.recipe or args.data):
        raise ConfigError("--net is measured on random images: leave the recipe and --data out, or --net")
    config = args.config()
    batch = args.batch if args.batch is not None else 32 if args.net else config.data.batch
    config = replace(config, data=replace(config.data, batch=batch))
    from gipi.bench.step import random_task
    from gipi.bench.step import step as measure

    return _show(measure(*random_task(args.net, batch)) if args.net else measure(config), args.json)


@dataclass(frozen=True)
class DataArgs(_RecipeArgs):
    """Measure the images that a training is fed, drawn, augmented and scaled, and their share of a step."""


def data(argv: list[str]) -> int:
    args = parse(DataArgs, "gipi bench data", argv)
    from gipi.bench.data import data as measure

    return _show(measure(args.config()), args.json)


@dataclass(frozen=True)
class BenchPredictArgs:
    """Measure the answers of a model at batch 1 and 32, as gipi gives them and as plain PyTorch does."""

    model: Positional[Model]
    json: Json = False


def predict(argv: list[str]) -> int:
    args = parse(BenchPredictArgs, "gipi bench predict", argv)
    from gipi.bench.predict import predict as measure

    return _show(measure(args.model), args.json)


@dataclass(frozen=True)
class ScaleArgs(_RecipeArgs):
    """Measure one training by 1, 2, 4, ... processes, which share its batch and the machine."""

    processes: Annotated[int | None, arg(help="up to so many; as many as there are cores or CUDA devices if not given")] = None
    steps: Steps = 160


def scale(argv: list[str]) -> int:
    args = parse(ScaleArgs, "gipi bench scale", argv)
    from gipi.bench.scale import scale as measure

    found = measure(args.config(), processes=args.processes, steps=args.steps, say=_say)
    _show(found, args.json)
    return _verdict(found.wrong)


QUESTIONS = {"ladder": ladder, "step": step, "data": data, "predict": predict, "scale": scale}


def bench(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(HELP, end="")
        sys.exit(0 if argv else 2)
    return catalog.entry(QUESTIONS, argv[0], "bench")(argv[1:])


def _show(found: Any, as_json: bool) -> int:
    print_json(found.json()) if as_json else print(found.text())
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _verdict(wrong: tuple[str, ...]) -> int:
    for name in wrong:
        _say(f"gipi: {name} learns less than it should: the table says WRONG")
    return 1 if wrong else 0
