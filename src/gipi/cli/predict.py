"""gipi predict: what is in pictures, where in pictures, where in a video."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from tyro.conf import Positional, arg

from gipi import catalog
from gipi.cli.common import Json, Model, parse, print_json
from gipi.cli.inputs import inputs, is_video, outputs
from gipi.cli.use import Tta, Vote, named, one_or_several
from gipi.errors import ConfigError, GipiError

if TYPE_CHECKING:
    from gipi.api import Classification, Segmentation, Segmenter

FEW = 10  # classes; of more, the likeliest are shown, down to
FAINT = 0.001  # probability


@dataclass(frozen=True)
class PredictArgs:
    """Read pictures: PNG, JPEG, WebP, BMP, GIF or TIFF, photographed, scanned or drawn, or all in a folder.

    A segmentation model names every pixel, of pictures or of a video: MP4, MOV, MKV, AVI or WebM.
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
            help="of a segmentation model: the folder of masks and overlays (segmented), or the video (NAME-segmented.mp4)",
        ),
    ] = None
    vote: Vote = False
    tta: Tta = "none"
    json: Json = False


def predict(argv: list[str]) -> int:
    args = parse(PredictArgs, "gipi predict", argv)
    models = (args.model, *takewhile(_is_model, args.words))
    files = list(inputs(args.words[len(models) - 1 :]))
    if not files:
        raise ConfigError("name at least one picture: gipi predict MODEL FILE...")
    from gipi import api

    segments = [model for model in models if api.read_card(api.find_model(model)).kind == "segment"]
    if segments and (len(models) > 1 or args.vote or args.tta != "none"):
        raise ConfigError(f"{segments[0]} names pixels: answering with several models, --vote and --tta are for classifiers")
    if segments and any(map(is_video, files)):
        return _video(args, files)
    if not segments:
        _only_pictures(args, files)
    outs = outputs(files, args.out or Path("segmented")) if segments else {}
    rows: list[dict[str, Any]] = []
    extra = named(models, args.vote, args.tta) if len(models) > 1 or args.tta != "none" else {}
    for file, answer in api.predict(one_or_several(models), files, vote=args.vote, tta=args.tta):
        if isinstance(answer, GipiError):
            rows.append({"file": str(file), "error": str(answer)})
            print(f"gipi: {answer}", file=sys.stderr)
            continue
        if isinstance(answer, api.Segmentation):
            extra, text = _saved(answer, *outs[file]), ", ".join(map(str, answer.areas))
        else:
            text = ", ".join(f"{label} ({score:.1%})" for label, score in _shown(answer))
        rows.append({"file": str(file), **answer.json(), **extra})
        if not args.json:
            print(f"{file}: {text}")
    if args.json:
        print_json(rows)
    elif outs:
        print(f"masks and overlays are in {args.out or Path('segmented')}", file=sys.stderr)
    return 1 if any("error" in row for row in rows) else 0


def _shown(answer: Classification) -> list[tuple[str, float]]:
    """Of many classes the likeliest five, of few the answer alone. A vote's answer stands first, likeliest or not."""
    answered = (answer.label, answer.score)
    if len(answer.probabilities) <= FEW:
        return [answered]
    others = [(label, score) for label, score in answer.top() if label != answer.label and score >= FAINT]
    return [answered, *others][:5]


def _is_model(word: str) -> bool:
    """A folder without a model is one of pictures."""
    return word.endswith(".safetensors") or word in catalog.SHIPPED or (Path(word) / "model.safetensors").is_file()


def _only_pictures(args: PredictArgs, files: Sequence[Path]) -> None:
    if args.out is not None:
        raise ConfigError(f"--out {args.out} is where a segmentation model draws; {args.model} names what is in a picture")
    if video := next(filter(is_video, files), None):
        raise ConfigError(f"{video} is a video: {args.model} reads pictures, a segmentation model both")


def _saved(answer: Segmentation, mask: Path, drawn: Path) -> dict[str, str]:
    try:
        mask.parent.mkdir(parents=True, exist_ok=True)
        answer.index_image().save(mask)
        answer.draw().save(drawn)
    except OSError as error:
        raise ConfigError(f"cannot write into {mask.parent}: {error.strerror}; choose another folder with --out") from error
    return {"mask": str(mask), "overlay": str(drawn)}


def _video(args: PredictArgs, files: Sequence[Path]) -> int:
    if len(files) > 1:
        raise ConfigError(f"a video is read alone, got {len(files)} files: one command for each video, and one for the pictures")
    from gipi import api

    model, [file] = cast("Segmenter", api.load(args.model, place=api.decide_place())), files
    film = model.predict_video(file, args.out or Path(f"{file.stem}-segmented.mp4"), echo=_progress)
    if args.json:
        print_json({"file": str(file), **film.json()})
    else:
        print(f"{file}: {', '.join(map(str, film.areas))}")
        print(f"{film.path}: {film.frames:,} frames, {film.frames_per_s:.1f} frames/s, without sound")
    return 0


def _progress(done: int, count: int, speed: float) -> None:
    """On a terminal one line that is written over."""
    start, end = ("\r\033[K", "\n" if done == count else "") if sys.stderr.isatty() else ("", "\n")
    print(f"{start}frame {done:,}{f' of {count:,}' if count else ''}, {speed:.1f} frames/s", end=end, file=sys.stderr, flush=True)
