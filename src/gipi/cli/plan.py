"""gipi plan: what a training will need, before anything is rented."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from tyro.conf import Positional, arg

from gipi import catalog
from gipi.cli.common import Json, parse, print_json
from gipi.config import NetConfig, Precision
from gipi.recipes import RECIPES

IMAGENET = "resnet50-imagenet"


@dataclass(frozen=True)
class PlanArgs:
    """Plan a training before anything is rented: memory of a GPU, time of a step, scaling, time and cost of the whole."""

    recipe: Positional[Annotated[str, arg(help="the recipe (see: gipi list)", metavar="[RECIPE]")]] = IMAGENET
    device: Annotated[str, arg(help="v100, t4, a10, l4, a100-40, a100, h100, h200, or here: this machine, measured")] = "h100"
    gpus: Annotated[int, arg(help="GPUs in a node")] = 1
    nodes: Annotated[int, arg(help="nodes, machines with such GPUs")] = 1
    net: Annotated[str | None, arg(help="another net than the recipe's (see: gipi list nets)")] = None
    image: Annotated[int, arg(help="side of the images in pixels; 0 takes that of the data or the net")] = 0
    batch: Annotated[
        int, arg(help="images in a step of each GPU; 0 takes the recipe's data.batch, which is of all GPUs together")
    ] = 0
    images: Annotated[int, arg(help="training images of an epoch; 0 takes those of the recipe's data")] = 0
    shard: Annotated[bool, arg(help="split weights, gradients and optimiser state over the GPUs (FSDP)")] = False
    precision: Annotated[Precision, arg(help="number format of the heavy layers; auto takes bf16 where the device has it")] = (
        "auto"
    )
    bandwidth: Annotated[float, arg(help="network of a node in GB/s; 0 takes that of the device's table")] = 0.0
    latency: Annotated[float, arg(help="of a message between nodes, in microseconds")] = 10.0
    price: Annotated[float, arg(help="of a GPU for an hour")] = 0.0
    json: Json = False


def plan(argv: list[str]) -> int:
    args = parse(PlanArgs, "gipi plan", argv)
    config = catalog.entry(RECIPES, args.recipe, "recipe").config
    if args.net is not None and args.net != config.net.name:
        catalog.entry(catalog.NETS, args.net, "net")
        config = replace(config, net=NetConfig(args.net))
    config = replace(config, run=replace(config.run, shard=args.shard))
    from gipi.plan.plan import Ask
    from gipi.plan.plan import plan as planned
    from gipi.plan.report import text

    ask = Ask(
        config, args.device, args.gpus, args.nodes, args.image, args.batch, args.images, args.precision, args.bandwidth,
        args.latency, args.price,
    )  # fmt: skip
    outcome = planned(ask)
    print_json(outcome.json()) if args.json else print(text(outcome))
    return 0
