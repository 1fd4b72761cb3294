"""gipi eval, predict and import: using models."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from gipi import catalog
from gipi.cli.common import Json, Model, parse, print_json
from gipi.config import Views
from gipi.errors import ConfigError, GipiError

if TYPE_CHECKING:
    from gipi.api import Classification

FEW = 10  # classes; of more, predict shows the likeliest, down to
FAINT = 0.001  # probability
MODELS = "model files, run folders or names of shipped models; several answer together with the mean of their probabilities"
Vote = Annotated[bool, arg(help="take the answer that most of the models give, not that of the mean probabilities")]
Tta = Annotated[Views, arg(help="average over a picture and it moved by a pixel each way (shift) or mirrored (flip)")]


@dataclass(frozen=True)
class EvalArgs:
    """Score a model, or several together, on a data set, in float32."""

    models: Positional[Annotated[tuple[str, ...], arg(help=MODELS, metavar="MODEL")]]
    data: Annotated[str, arg(help="a data set of the catalogue (see: gipi list)")] = "mnist"
    split: Annotated[str, arg(help="test or train")] = "test"
    vote: Vote = False
    tta: Tta = "none"
    json: Json = False


def evaluate(argv: list[str]) -> int:
    args = parse(EvalArgs, "gipi eval", argv)
    if not args.models:
        raise ConfigError("name at least one model: gipi eval MODEL...")
    from gipi import api

    model = _one_or_several(args.models)
    metrics = api.evaluate(model, args.data, split=args.split, vote=args.vote, tta=args.tta).metrics
    result, count = {name: mean.value for name, mean in metrics.items()}, metrics["accuracy"].count
    if args.json:
        print_json({**result, "count": count, "data": args.data, "split": args.split, **_named(args.models, args.vote, args.tta)})
    else:
        scores = f"accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f}"
        together = (", by vote" if args.vote else "") + (f", tta {args.tta}" if args.tta != "none" else "")
        print(f"{', '.join(args.models)} on {args.data} ({args.split}, {count:,} images{together}): {scores}")
    return 0


def _one_or_several(models: tuple[str, ...]) -> str | tuple[str, ...]:
    return models[0] if len(models) == 1 else models


def _named(models: tuple[str, ...], vote: bool, tta: Views) -> dict[str, Any]:
    """What answered, for JSON."""
    who = {"model": models[0]} if len(models) == 1 else {"models": models, "vote": vote}
    return who if tta == "none" else {**who, "tta": tta}


@dataclass(frozen=True)
class PredictArgs:
    """Read pictures: PNG, JPEG, WebP, BMP, GIF or TIFF, photographed, scanned or drawn."""

    model: Positional[Model]
    words: Positional[Annotated[tuple[str, ...], arg(help="more models to answer together, then pictures", metavar="FILE")]]
    vote: Vote = False
    tta: Tta = "none"
    json: Json = False


def predict(argv: list[str]) -> int:
    args = parse(PredictArgs, "gipi predict", argv)
    models = (args.model, *takewhile(_is_model, args.words))
    files = [Path(word) for word in args.words[len(models) - 1 :]]
    if not files:
        raise ConfigError("name at least one picture: gipi predict MODEL FILE...")
    from gipi import api

    rows: list[dict[str, Any]] = []
    extra = _named(models, args.vote, args.tta) if len(models) > 1 or args.tta != "none" else {}
    for file, answer in api.predict(_one_or_several(models), files, vote=args.vote, tta=args.tta):
        if isinstance(answer, GipiError):
            rows.append({"file": str(file), "error": str(answer)})
            print(f"gipi: {answer}", file=sys.stderr)
            continue
        rows.append({"file": str(file), **answer.json(), **extra})
        if not args.json:
            print(f"{file}: {', '.join(f'{label} ({score:.1%})' for label, score in _shown(answer))}")
    if args.json:
        print_json(rows)
    return 1 if any("error" in row for row in rows) else 0


def _shown(answer: Classification) -> list[tuple[str, float]]:
    """Of many classes the likeliest five, of few the answer alone. A vote's answer stands first, likeliest or not."""
    answered = (answer.label, answer.score)
    if len(answer.probabilities) <= FEW:
        return [answered]
    others = [(label, score) for label, score in answer.top() if label != answer.label and score >= FAINT]
    return [answered, *others][:5]


def _is_model(word: str) -> bool:
    return word.endswith(".safetensors") or word in catalog.SHIPPED or Path(word).is_dir()


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
