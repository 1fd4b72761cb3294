"""What `gipi predict` writes of models that draw: masks, boxes and sentences on pictures, videos, COCO's files of boxes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gipi.cli.common import print_json
from gipi.cli.inputs import is_video
from gipi.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

    from gipi.api import Detection, Detector, Segmenter
    from gipi.cli.predict import PredictArgs


@dataclass(frozen=True)
class Drawing:
    """Of a kind of model. does: in words.  name: of the folder if none is given, and of a video behind its own name; "" for one
    that draws only where it is told to, and no videos.

    what: is drawn of pictures.  endings: of the names of those files, behind the picture's name.
    """

    does: str
    name: str
    what: str
    endings: tuple[str, ...]


DRAWINGS = {
    "segment": Drawing("names pixels", "segmented", "masks and overlays", ("", "-overlay")),
    "detect": Drawing("finds boxes", "detected", "pictures with their boxes", ("",)),
    "caption": Drawing("writes sentences", "", "pictures with their sentences", ("", "-words")),
    "generate": Drawing("makes images of noise", "", "images", ()),
    "act": Drawing("plays a game", "", "a film", ()),
}
NO_READERS = ("generate", "act")
OF_KIND = {
    "detect": ("a detector", ("score", "overlap", "coco")),
    "caption": ("a captioner", ("beam", "best", "temperature", "seed")),
    "generate": ("a generator", ("seed", "count", "class_", "walk", "between", "arithmetic", "epochs")),
    "act": ("a player", ("seed", "epsilon", "steps")),
}  # what some flags of `gipi predict` are for


def check_kinds(args: PredictArgs, kinds: Sequence[tuple[str, str]], files: Sequence[Path]) -> None:
    """Raises ConfigError for what is asked of a model, of (name, kind) each, whose kind cannot do it."""
    drawer, video = next((pair for pair in kinds if pair[1] in DRAWINGS), None), next(filter(is_video, files), None)
    if drawer and (len(kinds) > 1 or args.vote or args.tta != "none"):
        name, does = drawer[0], DRAWINGS[drawer[1]].does
        raise ConfigError(f"{name} {does}: answering with several models, --vote and --tta are for classifiers")
    does = DRAWINGS[drawer[1]].does if drawer else "names what is in a picture"
    for flag in dict.fromkeys(flag for _, flags in OF_KIND.values() for flag in flags):
        able = [kind for kind, (_, flags) in OF_KIND.items() if flag in flags]
        value = getattr(args, flag)
        if value is not None and value is not False and (not drawer or drawer[1] not in able):
            given = f"{flag.rstrip('_')}{'' if value is True else f' {_plain(value)}'}"
            raise ConfigError(f"--{given} is for {' or '.join(OF_KIND[kind][0] for kind in able)}; {args.model} {does}")
    if args.out is not None and not drawer:
        raise ConfigError(f"--out {args.out} is where a segmentation model, a detector or a captioner draws; {args.model} {does}")
    if video and not (drawer and (DRAWINGS[drawer[1]].name or drawer[1] in NO_READERS)):
        raise ConfigError(f"{video} is a video: {args.model} reads pictures, a segmentation model or a detector both")
    if video and args.coco:
        raise ConfigError(f"--coco {args.coco} is for pictures, and {video} is a video: leave one of them out")


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def saved(files: Sequence[Path], images: Mapping[str, Image]) -> dict[str, str]:
    """Write what was drawn of a picture into its files; where each is."""
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for image, file in zip(images.values(), files, strict=True):
            image.save(file)
    except OSError as error:
        raise ConfigError(f"cannot write into {files[0].parent}: {error.strerror}; choose another folder with --out") from error
    return dict(zip(images, map(str, files), strict=True))


@dataclass(frozen=True)
class Coco:
    """A COCO results file to be, and beside it the images and categories that its numbers mean, as COCO lists them."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.suffix.lower() != ".json" or self.path.is_dir():
            raise ConfigError(f"--coco {self.path}: wanted is a file that ends with .json")

    @property
    def beside(self) -> Path:
        return self.path.with_name(f"{self.path.stem}-images.json")

    def add(self, image_id: int, file: Path, answer: Detection) -> None:
        _, height, width = answer.pixels.shape
        self.rows.extend(answer.coco(image_id))
        self.images.append({"id": image_id, "file_name": str(file), "width": width, "height": height})

    def write(self, classes: Sequence[str]) -> None:
        categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.rows), encoding="utf-8")
            names = {"images": self.images, "categories": categories}
            self.beside.write_text(json.dumps(names, indent=1, ensure_ascii=False), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {self.path}: {error.strerror}; choose another file with --coco") from error


def draw_video(model: Segmenter | Detector, files: Sequence[Path], out: Path | None, drawing: Drawing, as_json: bool) -> None:
    if len(files) > 1:
        raise ConfigError(f"a video is read alone, got {len(files)} files: one command for each video, and one for the pictures")
    [file] = files
    film = model.predict_video(file, out or Path(f"{file.stem}-{drawing.name}.mp4"), echo=_progress)
    if as_json:
        print_json({"file": str(file), **film.json()})
    else:
        print(f"{file}: {', '.join(map(str, film.classes)) or 'nothing'}")
        print(f"{film.path}: {film.frames:,} frames, {film.frames_per_s:.1f} frames/s, without sound")


def _progress(done: int, count: int, speed: float) -> None:
    """On a terminal one line that is written over."""
    start, end = ("\r\033[K", "\n" if done == count else "") if sys.stderr.isatty() else ("", "\n")
    print(f"{start}frame {done:,}{f' of {count:,}' if count else ''}, {speed:.1f} frames/s", end=end, file=sys.stderr, flush=True)
