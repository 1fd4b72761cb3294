"""gipi train."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from gipi import catalog
from gipi.cli.common import STOPPED, Json, parse, print_json
from gipi.config import ActConfig, Config, DataConfig, GanConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.errors import ConfigError
from gipi.recipes import DEFAULT, RECIPES
from gipi.screen import Screen, headline

SHORT = {"data": "data.name", "from": "transfer.weights"}  # flags that are used most, and what they stand for


@dataclass(frozen=True)
class TrainArgs:
    """Train by a recipe; every flag replaces one value of it.

    `--data NAME` is short for `--data.name NAME`, and `--from WEIGHTS` for `--transfer.weights WEIGHTS`. For a folder of pictures
    without a recipe, one is chosen by what is in it.
    """

    data: DataConfig
    optim: OptimConfig
    transfer: TransferConfig
    gan: GanConfig
    act: ActConfig
    run: Annotated[RunConfig, arg(name="")]
    net: Annotated[str | None, arg(help="another net than the recipe's (see: gipi list nets)")] = None
    out: Annotated[Path | None, arg(help="the run folder; runs/RECIPE-NNN if not given")] = None
    resume: Annotated[Path | None, arg(help="go on with this run folder instead, exactly where it was")] = None
    max_restarts: Annotated[int, arg(help="how often to start the processes again when one has died")] = 0
    json: Json = False


def train(argv: list[str]) -> int:
    named = bool(argv) and not argv[0].startswith("-")
    name = argv.pop(0) if named else DEFAULT
    recipe = catalog.entry(RECIPES, name, "recipe").config
    for short, flag in SHORT.items():
        argv = [re.sub(rf"^--{short}(?=$|=)", f"--{flag}", word) for word in argv]
    if not named and (pictures := _pictures(argv)):
        from gipi import api

        recipe, chosen = api.recipe_for(pictures)
        print(chosen, file=sys.stderr)
    default = TrainArgs(recipe.data, recipe.optim, recipe.transfer, recipe.gan, recipe.act, recipe.run)
    args = parse(TrainArgs, f"gipi train {name}", argv, default)
    config = replace(recipe, data=args.data, optim=args.optim, transfer=args.transfer, gan=args.gan, act=args.act, run=args.run)
    if args.net is not None and args.net != config.net.name:
        catalog.entry(catalog.NETS, args.net, "net")
        config = replace(config, net=NetConfig(args.net))
    processes = config.run.processes
    if args.resume and (named or args.out or replace(config, run=replace(config.run, processes=1)) != recipe):
        raise ConfigError("--resume goes on with the run's own values: of the other flags only --processes may be given")

    from gipi import api

    with Screen() as screen:
        echo = screen.show if os.environ.get("RANK", "0") == "0" else None  # of the processes that torchrun starts, the first
        if args.resume:
            count = processes if any(word.partition("=")[0] == "--processes" for word in argv) else None
            run = api.resume(args.resume, processes=count, echo=echo, max_restarts=args.max_restarts)
        else:
            run = api.train(config, out=args.out, echo=echo, max_restarts=args.max_restarts)
    if echo is None and run.config()["run"]["members"] == 1:  # the first process says what there is to say
        return STOPPED[run.why()] if run.ended() == "stopped" else 0
    config = Config.from_json(run.config())
    members, data, ended = config.run.members, config.data.name, run.ended()
    if ended == "stopped":
        where = "" if members > 1 else f" at step {(run.rows() or [{'step': 0}])[-1]['step']:,}"
        print(f"stopped{where} and saved; go on with: gipi train --resume {shlex.quote(str(run.path))}", file=sys.stderr)
        return STOPPED[run.why()]
    if ended == "running":
        print(f"members of {run.path} are with other processes: the last one writes {run.model_path}", file=sys.stderr)
        return 0
    last = run.rows()[-1]
    if args.json:
        result = {key: last[key] for key in last if key not in ("step", "steps", "split")}
        print_json({"run": str(run.path), "model": str(run.model_path), "data": data, **result})
    else:
        print(f"test {', '.join(headline(last))} on {data}, {last['time_s']:.0f} s of training")
        if members > 1:
            print(f"members {last['member_accuracy']:.2%} ± {100 * last['member_spread']:.2f} %, the mean of {members}")
        print(f"model   {run.model_path}\nreport  {run.path / 'report.html'}")
        print(*_next(run.path, config), sep="\n")
    return 0


def _next(path: Path, config: Config) -> tuple[str, str]:
    """What to do with the model."""
    if config.kind == "generate":
        return f"next    gipi predict {path} --count 64 -o grid.png", f"        gipi predict {path} --walk 1 2 3 -o walk.gif"
    if config.kind == "act":
        return f"next    gipi predict {path} -o game.gif", f"        gipi inspect {path} --pixels 1"
    return f"next    gipi inspect {path} --mistakes {config.data.name}", f"        gipi predict {path} your-own-picture.png"


def _pictures(argv: list[str]) -> str | None:
    """The folder or file that --data.name names, unless that is a data set of the catalogue."""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        flag, given, value = word.partition("=")
        if flag == "--data.name":
            name = value if given else following
            return name if name not in catalog.DATASETS and (os.sep in name or Path(name).exists()) else None
    return None
