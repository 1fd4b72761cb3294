"""gipi predict: what is in pictures, in words or sentences; where, in pictures or a video; pictures of noise; a game played."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from tyro.conf import Positional, arg

from gipi import catalog
from gipi.cli.act import ActArgs, act
from gipi.cli.common import Json, Model, parse, print_json
from gipi.cli.drawn import DRAWINGS, Coco, Drawing, check_kinds, draw_video
from gipi.cli.generate import GenerateArgs, generate
from gipi.cli.inputs import inputs, is_video, outputs
from gipi.cli.told import told
from gipi.cli.use import Tta, Vote, named, one_or_several
from gipi.errors import ConfigError, GipiError

if TYPE_CHECKING:
    from gipi.api import Detector, Segmenter


@dataclass(frozen=True)
class PredictArgs(GenerateArgs, ActArgs):
    """Read pictures: PNG, JPEG, WebP, BMP, GIF or TIFF, photographed, scanned or drawn, or all in a folder.

    A segmentation model names every pixel, a detector finds boxes: of pictures or of a video, MP4, MOV, MKV, AVI or WebM. A
    captioner says in a sentence what a picture shows. A generator reads none: it makes images of noise. A player plays a game:
    a film of it, and of what the net expects of each action.
    """

    model: Positional[Model]
    words: Positional[
        Annotated[
            tuple[str, ...],
            arg(help="more models to answer together, then pictures, folders of them, or a video", metavar="FILE"),
        ]
    ]
    out: Annotated[
        Path | None,
        arg(
            aliases=["-o"],
            help="of a segmentation model: the folder of masks and overlays (segmented), or the video (NAME-segmented.mp4); "
            "of a detector: the folder of pictures with their boxes (detected), or the video (NAME-detected.mp4); "
            "of a captioner: the folder of pictures with their sentences, if they are to be drawn; "
            "of a generator: the picture (MODEL.png), the film, or the folder of single images; "
            "of a player: the film (MODEL.gif), .gif, .mp4, .mov or .mkv",
        ),
    ] = None
    score: Annotated[
        float | None, arg(help="of a detector: least score of the boxes that it tells, 0 to 1; 0.5 if not given", metavar="SCORE")
    ] = None
    overlap: Annotated[
        float | None,
        arg(
            help="of a detector: IoU above which a box gives way to a better one of its class, 0 to 1; the model's if not given",
            metavar="IOU",
        ),
    ] = None
    coco: Annotated[
        Path | None,
        arg(
            help="of a detector: write all boxes into a COCO results file, pictures numbered from 1 as named, and their names "
            "into FILE-images.json beside it; to be scored, it wants low scores, too: --score 0.05",
            metavar="FILE.json",
        ),
    ] = None
    beam: Annotated[
        int | None,
        arg(help="of a captioner: sentences that its search keeps at a time; 5 if not given, 1 is fastest", metavar="N"),
    ] = None
    best: Annotated[
        int | None, arg(help="of a captioner: tell so many sentences, best first, with their log-probabilities", metavar="N")
    ] = None
    temperature: Annotated[
        float | None,
        arg(help="of a captioner: draw its words at random; 1 as it believes, less is surer, more is wilder", metavar="T"),
    ] = None
    vote: Vote = False
    tta: Tta = "none"
    json: Json = False


def predict(argv: list[str]) -> int:
    args = parse(PredictArgs, "gipi predict", argv)
    models = (args.model, *takewhile(_is_model, args.words))
    files = list(inputs(args.words[len(models) - 1 :]))
    from gipi import api

    cards = {model: api.read_card(api.find_model(model)) for model in models}
    check_kinds(args, [(model, cards[model].kind) for model in models], files)
    card = cards[args.model]
    if alone := {"generate": generate, "act": act}.get(card.kind):
        return alone(args, files)
    if not files:
        raise ConfigError("name at least one picture: gipi predict MODEL FILE...")
    drawing, coco = DRAWINGS.get(card.kind), Coco(args.coco) if args.coco else None
    if drawing and any(map(is_video, files)):
        return _video(args, files, drawing)
    folder = args.out or (Path(drawing.name) if drawing and drawing.name else None)
    outs = outputs(files, folder, drawing.endings) if drawing and folder else {}
    rows: list[dict[str, Any]] = []
    extra: dict[str, Any] = named(models, args.vote, args.tta) if len(models) > 1 or args.tta != "none" else {}
    answers = api.predict(
        one_or_several(models), files, vote=args.vote, tta=args.tta, score=args.score, overlap=args.overlap,
        beam=args.beam, best=args.best, temperature=args.temperature, seed=args.seed,
    )  # fmt: skip
    for number, (file, answer) in enumerate(answers, 1):
        if isinstance(answer, GipiError):
            rows.append({"file": str(file), "error": str(answer)})
            print(f"gipi: {answer}", file=sys.stderr)
            continue
        lines, pictures = told(answer, outs.get(file, ()), scores=args.best is not None)
        rows.append({"file": str(file), **answer.json(), **extra, **pictures})
        if isinstance(answer, api.Detection):
            rows[-1]["image_id"] = number
            if coco:
                coco.add(number, file, answer)
        if not args.json:
            print(*(f"{file}: {line}" for line in lines), sep="\n")
    if coco:
        coco.write(card.classes)
    if args.json:
        print_json(rows)
    elif drawing and folder:
        print(f"{drawing.what} are in {folder}", file=sys.stderr)
        if coco:
            print(f"COCO results are in {coco.path}, the images' names in {coco.beside}", file=sys.stderr)
    return 1 if any("error" in row for row in rows) else 0


def _is_model(word: str) -> bool:
    """A folder without a model is one of pictures."""
    return word.endswith(".safetensors") or word in catalog.SHIPPED or (Path(word) / "model.safetensors").is_file()


def _video(args: PredictArgs, files: Sequence[Path], drawing: Drawing) -> int:
    from gipi import api

    model = cast("Segmenter | Detector", api.load(args.model, place=api.decide_place()))
    if isinstance(model, api.Detector):
        model.threshold(score=args.score, overlap=args.overlap)
    draw_video(model, files, args.out, drawing, args.json)
    return 0
