"""gipi eval and import: using models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from gipi.cli.common import Json, parse, print_json
from gipi.cli.words import scores
from gipi.config import Views
from gipi.errors import ConfigError

if TYPE_CHECKING:
    from gipi.api import ActEvaluation

MODELS = "model files, run folders or names of shipped models; several answer together with the mean of their probabilities"
Vote = Annotated[bool, arg(help="take the answer that most of the models give, not that of the mean probabilities")]
Tta = Annotated[Views, arg(help="average over a picture and it moved by a pixel each way (shift) or mirrored (flip)")]


@dataclass(frozen=True)
class EvalArgs:
    """Score a model, or several together, on a data set, or a player in an environment, in float32."""

    models: Positional[Annotated[tuple[str, ...], arg(help=MODELS, metavar="MODEL")]]
    data: Annotated[
        str | None,
        arg(
            help="a data set of the catalogue (see: gipi list), of a player an environment; mnist or its own if not given",
            metavar="NAME",
        ),
    ] = None
    split: Annotated[str, arg(help="test or train; of masks, boxes and captions, validation too")] = "test"
    vote: Vote = False
    tta: Tta = "none"
    judge: Annotated[
        str | None,
        arg(
            help="of a generator: whose features its images are compared by with real ones: a classifier, inception or random; "
            "auto if not given, as in gipi train",
            metavar="NAME",
        ),
    ] = None
    episodes: Annotated[int | None, arg(help="of a player: how many it plays; 30 if not given", metavar="N")] = None
    epsilon: Annotated[
        float | None, arg(help="of a player: share of its decisions that are random, 0 to 1; 0.05 if not given", metavar="E")
    ] = None
    json: Json = False


def evaluate(argv: list[str]) -> int:
    args = parse(EvalArgs, "gipi eval", argv)
    if not args.models:
        raise ConfigError("name at least one model: gipi eval MODEL...")
    from gipi import api

    data = args.data or api.read_card(api.find_model(args.models[0])).environment or "mnist"
    evaluation = api.evaluate(
        one_or_several(args.models), data, split=args.split, vote=args.vote, tta=args.tta, judge=args.judge,
        episodes=args.episodes, epsilon=args.epsilon,
    )  # fmt: skip
    if isinstance(evaluation, api.ActEvaluation):
        return _played(args, data, evaluation)
    result, count = {name: mean.value for name, mean in evaluation.metrics.items()}, len(evaluation.answers)
    made = isinstance(evaluation, api.GenerateEvaluation)
    judged: dict[str, Any] = {"judge": evaluation.judge, "floor": evaluation.floor} if made else {}
    if args.json:
        about = {"count": count, "data": data, "split": args.split, **named(args.models, args.vote, args.tta)}
        print_json({**result, **about, **judged})
        return 0
    together = (", by vote" if args.vote else "") + (f", tta {args.tta}" if args.tta != "none" else "")
    judge = judged.get("judge", "")
    print(f"{', '.join(args.models)} on {data} ({args.split}, {count:,} images{together}): {scores(result, judge)}")
    if made:
        print(f"by the features of {judge}; other real images: {scores(evaluation.floor, judge)}")
    return 0


def _played(args: EvalArgs, data: str, evaluation: ActEvaluation) -> int:
    result = {name: mean.value for name, mean in evaluation.metrics.items()}
    count, published = len(evaluation.games.returns), evaluation.reference
    if args.json:
        about = {"count": count, "data": data, "epsilon": evaluation.epsilon, "returns": evaluation.games.returns}
        print_json({**result, **about, "published": published and published._asdict(), **named(args.models, False, "none")})
        return 0
    random = result.pop("random")
    print(f"{args.models[0]} on {data} ({count:,} episodes, {100 * evaluation.epsilon:g} % random moves): {scores(result)}")
    beside = f"; published: random play {published.random:,.2f}, a human {published.human:,.2f}" if published else ""
    print(f"random play {random:,.2f}{beside}")
    return 0


def one_or_several(models: tuple[str, ...]) -> str | tuple[str, ...]:
    return models[0] if len(models) == 1 else models


def named(models: tuple[str, ...], vote: bool, tta: Views) -> dict[str, Any]:
    """What answered, for JSON."""
    who = {"model": models[0]} if len(models) == 1 else {"models": models, "vote": vote}
    return who if tta == "none" else {**who, "tta": tta}


@dataclass(frozen=True)
class ImportArgs:
    """Turn published weights, a state dict in a file or the textbook's pickle into a model file; nothing in it is executed."""

    net: Positional[Annotated[str, arg(help="the net they are of (see: gipi list nets)", metavar="NET")]]
    source: Positional[
        Annotated[
            str,
            arg(
                help="imagenet, imagenet-v2, a .safetensors or .pth file, or the textbook's pickle of deepconvnet",
                metavar="WEIGHTS",
            ),
        ]
    ]
    out: Annotated[Path, arg(aliases=["-o"], help="the model file to write")] = Path("model.safetensors")


def import_weights(argv: list[str]) -> int:
    args = parse(ImportArgs, "gipi import", argv)
    from gipi import api

    print(api.import_weights(args.net, args.source, args.out))
    return 0
