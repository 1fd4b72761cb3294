"""gipi eval and import: using models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from gipi.cli.common import Json, parse, print_json
from gipi.config import Views
from gipi.errors import ConfigError

WORDS = {
    "accuracy": "accuracy",
    "top5": "among the best five",
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "class_accuracy": "class accuracy",
    "boundary_f1": "boundary F1",
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP small",
    "ap_medium": "AP medium",
    "ap_large": "AP large",
    "ar100": "AR100",
    "voc_ap": "VOC AP",
    "voc_ap11": "VOC AP of 11 points",
    "bleu1": "BLEU-1",
    "bleu2": "BLEU-2",
    "bleu3": "BLEU-3",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "exact": "exact",
    "precision": "precision",
    "recall": "recall",
    "confidence": "confidence",
    "least_class": "rarest class",
    "most_class": "commonest class",
    "as_asked": "as asked for",
}  # of metrics that are shares
PLAIN = {
    "loss": "loss",
    "cider": "CIDEr-D",
    "perplexity": "perplexity",
    "frechet": "Fréchet distance",
    "diversity": "diversity",
}  # of those that are not
MODELS = "model files, run folders or names of shipped models; several answer together with the mean of their probabilities"
Vote = Annotated[bool, arg(help="take the answer that most of the models give, not that of the mean probabilities")]
Tta = Annotated[Views, arg(help="average over a picture and it moved by a pixel each way (shift) or mirrored (flip)")]


@dataclass(frozen=True)
class EvalArgs:
    """Score a model, or several together, on a data set, in float32."""

    models: Positional[Annotated[tuple[str, ...], arg(help=MODELS, metavar="MODEL")]]
    data: Annotated[str, arg(help="a data set of the catalogue (see: gipi list)")] = "mnist"
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
    json: Json = False


def evaluate(argv: list[str]) -> int:
    args = parse(EvalArgs, "gipi eval", argv)
    if not args.models:
        raise ConfigError("name at least one model: gipi eval MODEL...")
    from gipi import api

    model = one_or_several(args.models)
    evaluation = api.evaluate(model, args.data, split=args.split, vote=args.vote, tta=args.tta, judge=args.judge)
    result, count = {name: mean.value for name, mean in evaluation.metrics.items()}, len(evaluation.answers)
    made = isinstance(evaluation, api.GenerateEvaluation)
    judged: dict[str, Any] = {"judge": evaluation.judge, "floor": evaluation.floor} if made else {}
    if args.json:
        about = {"count": count, "data": args.data, "split": args.split, **named(args.models, args.vote, args.tta)}
        print_json({**result, **about, **judged})
        return 0
    together = (", by vote" if args.vote else "") + (f", tta {args.tta}" if args.tta != "none" else "")
    judge = judged.get("judge", "")
    print(f"{', '.join(args.models)} on {args.data} ({args.split}, {count:,} images{together}): {_scores(result, judge)}")
    if made:
        print(f"by the features of {judge}; other real images: {_scores(evaluation.floor, judge)}")
    return 0


def _scores(result: Mapping[str, float], judge: str) -> str:
    plain = {**PLAIN, "frechet": "FID"} if judge == "Inception" else PLAIN
    return ", ".join(
        f"{plain[name]} {value:.4f}" if name in plain else f"{WORDS[name]} {value:.2%}" for name, value in result.items()
    )


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
