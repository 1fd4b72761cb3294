"""The verbs of gipi as Python functions; the command line is a thin client of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

from gipi import __version__, catalog
from gipi.config import Config, Views
from gipi.data.box_findings import BoxSurvey
from gipi.data.box_layout import is_box_folder
from gipi.data.box_survey import box_survey
from gipi.data.caption_findings import CaptionSurvey
from gipi.data.caption_layout import is_caption_folder
from gipi.data.caption_survey import caption_survey
from gipi.data.mask_findings import MaskSurvey
from gipi.data.mask_layout import is_mask_folder
from gipi.data.mask_survey import mask_survey
from gipi.data.survey import Survey, survey
from gipi.engine.machine import give_memory_back as give_memory_back
from gipi.engine.place import Place, decide_place
from gipi.engine.ranks import launched
from gipi.errors import ConfigError, DataError, GipiError, RunError
from gipi.foreign import read_numpy_pickle
from gipi.model import Card, find_model, read_card, save_model
from gipi.models import deepconvnet
from gipi.ops.image import FORMATS as FORMATS
from gipi.preprocess import Preprocess
from gipi.runs import Run, new_run_path
from gipi.tasks.act_score import ActEvaluation as ActEvaluation
from gipi.tasks.answers import Classification, read_files
from gipi.tasks.boxes import load_boxes as load_boxes
from gipi.tasks.captioner import Captioner
from gipi.tasks.captioning import Captioning
from gipi.tasks.captions import load_captions as load_captions
from gipi.tasks.choose import choose
from gipi.tasks.classifier import Classifier
from gipi.tasks.committee import Committee
from gipi.tasks.detection import Detection
from gipi.tasks.detector import Detector
from gipi.tasks.evaluation import Evaluations, Loaded, score_model
from gipi.tasks.export import Exported, Format, Precision
from gipi.tasks.export import export as export_model
from gipi.tasks.generator import Generator
from gipi.tasks.generator_score import GenerateEvaluation as GenerateEvaluation
from gipi.tasks.images import load_images as load_images
from gipi.tasks.masks import load_masks as load_masks
from gipi.tasks.members import join, train_members
from gipi.tasks.player import Player
from gipi.tasks.pretrained import pretrained
from gipi.tasks.segmentation import Segmentation
from gipi.tasks.segmenter import Segmenter as Segmenter
from gipi.tasks.start import resolve
from gipi.tasks.together import check_processes, train_together
from gipi.tasks.training import Echo, for_processes, train_one

Models = str | Path | Sequence[str | Path]


def train(
    config: Config, *, out: Path | None = None, echo: Echo | None = None, report: bool = True, max_restarts: int = 0
) -> Run:
    """Train by `config` into the folder `out` (runs/RECIPE-NNN if None); `echo` is called with every row of metrics.

    report: write report.html, too, which takes a few seconds.
    With `config.run.processes` above 1 so many processes are started for it, and all of them again, from the last saved state, up
    to `max_restarts` times when one dies. Under torchrun this process is one of them; a run in `out` is then gone on with.
    Ctrl-C and SIGTERM save and return; `run.ended()` tells "stopped" from "done".
    Raises ConfigError, DataError or DeviceError before anything is written, RunError if the training cannot go on.
    """
    config = resolve(for_processes(config, out))
    _check_restarts(max_restarts, config.run.processes)
    path, (_, world) = out or new_run_path(config.recipe or config.net.name), launched()

    def create() -> Run:
        return Run.create(config.to_json(), path, echo)

    if config.run.members > 1:
        if config.kind != "classify":
            raise ConfigError(
                f"--members {config.run.members}: ensembles are for classifiers, this does {config.kind}: leave it out"
            )
        return train_members(config, (lambda: join(config, path, echo)) if world > 1 else create, echo, report)
    if chain := _chain(config):
        _check_restarts(max_restarts, 1)
        return chain(config, create, echo, report)
    if world > 1:
        return _train_with_others(config, path, create, echo, report)
    if config.run.processes > 1:
        check_processes(config, config.run.processes)
        run = create()
        try:
            return train_together(run, config.run.processes, max_restarts=max_restarts, report=report, echo=echo)
        except GipiError:
            if not run.rows():  # nothing has begun
                shutil.rmtree(path)
            raise
    return train_one(config, create, report)


def _chain(config: Config) -> Callable[[Config, Callable[[], Run], Echo | None, bool], Run] | None:
    """What trains a net by several runs, if one is not enough."""
    name = catalog.entry(catalog.NETS, config.net.name, "net").chain
    return catalog.resolve(name) if name else None


def _train_with_others(config: Config, path: Path, create: Callable[[], Run], echo: Echo | None, report: bool) -> Run:
    """As one of the processes that torchrun has started, perhaps again."""
    if not (path / "config.json").exists():
        return train_one(config, create, report)
    run = Run.open(path, echo, writes=launched()[0] == 0)
    begun = Config.from_json(run.config())
    if replace(begun, run=replace(begun.run, processes=config.run.processes)) != config:
        raise RunError(f"{path} already holds another training: choose another folder with --out")
    return run if run.ended() == "done" else train_one(begun, lambda: run, report)


def _check_restarts(max_restarts: int, processes: int) -> None:
    if max_restarts and (processes == 1 or launched()[1] > 1):
        raise ConfigError(f"--max-restarts {max_restarts} is for several processes that gipi starts: give --processes 2 or more")


def recipe_for(data: str) -> tuple[Config, str]:
    """(a configuration for pictures of one's own, a sentence that says what was found and chosen): see `tasks/choose.py`."""
    return choose(data)


def resume(
    path: Path, *, processes: int | None = None, echo: Echo | None = None, report: bool = True, max_restarts: int = 0
) -> Run:
    """Go on with a run that was stopped or killed, as if it had never been. Raises RunError if there is nothing to go on with.

    processes: another number than the run began with; batch and learning rate stay.
    """
    rank, world = launched()
    run = Run.open(path, echo, writes=rank == 0)
    config = Config.from_json(run.config())
    if world == 1 and run.ended() == "done":
        raise RunError(f"{path} is done: train again with another --out, or look at it: gipi eval {path}")
    if processes and (world > 1 or config.run.members > 1):
        raise ConfigError(f"--processes {processes}: torchrun says how many there are, and an ensemble's members share nothing")
    if config.run.members > 1:
        _check_restarts(max_restarts, 1)
        return train_members(config, lambda: run, echo, report)
    if run.ended() == "done":
        return run
    if chain := _chain(config):
        _check_restarts(max_restarts, 1)
        return chain(replace(config, run=replace(config.run, processes=processes or 1)), lambda: run, echo, report)
    count = processes or config.run.processes
    _check_restarts(max_restarts, count)
    if count == 1 and config.run.shard:
        raise ConfigError("the weights of this run are saved in shards: go on with --processes 2 or more")
    if world == 1 and count > 1:
        check_processes(config, count)
    run.end("running", "resumed")
    if world == 1 and count > 1:
        return train_together(run, count, max_restarts=max_restarts, report=report, echo=echo)
    return train_one(config, lambda: run, report)


@overload
def load(model: str | Path, *, place: Place | None = None) -> Loaded: ...
@overload
def load(model: Models, *, vote: bool = False, tta: Views = "none", place: Place | None = None) -> Loaded | Committee: ...
def load(model: Models, *, vote: bool = False, tta: Views = "none", place: Place | None = None) -> Loaded | Committee:
    """A model file, a run folder or a shipped model, ready to predict or make images; in float32 on the CPU without a `place`.

    Several classifiers of the same classes answer together with the mean of their probabilities, or what most of them say with
    `vote`. tta: "shift" answers with the mean over the picture and it moved by a pixel each way, "flip" over it and its mirror
    image.
    Raises WeightsError for what is no model, ConfigError for models of different classes, a vote of one, mirrored digits, and
    models that are no classifiers where these are wanted.
    """
    names = [model] if isinstance(model, str | Path) else model
    place = place or decide_place(device="cpu", precision="fp32")
    paths = {str(name): find_model(name) for name in names}
    kinds = {name: read_card(path).kind for name, path in paths.items()}
    if len(names) == 1 and not vote and tta == "none":
        [(name, path)] = paths.items()
        alone = catalog.resolve(catalog.entry(catalog.KINDS, kinds[name], "kind").model).load(path, place)
        return alone if isinstance(model, str | Path) or kinds[name] != "classify" else Committee([(name, alone)])
    for name, kind in kinds.items():
        if kind != "classify":
            raise ConfigError(f"{name} does {kind}: several models together, --vote and --tta are for classifiers")
    return Committee([(str(name), Classifier.load(paths[str(name)], place)) for name in names], vote=vote, tta=tta)


def evaluate(
    model: Models,
    data: str,
    *,
    split: str = "test",
    vote: bool = False,
    tta: Views = "none",
    judge: str | None = None,
    episodes: int | None = None,
    epsilon: float | None = None,
    place: Place | None = None,
) -> Evaluations:
    """Score of a model, or of several as in `load`, on a data set of the catalogue or one's own; of a player in an environment.

    judge: of a generator, whose features images are compared by, as `GanConfig` has it, "auto" if None.
    episodes, epsilon: of a player, how many it plays, with which share of random decisions; 30 and 0.05 if None.
    Raises ConfigError for these where they mean nothing, and if the model's classes or sizes are not the data's; DataError if it
    cannot be had.
    """
    loaded = load(model, vote=vote, tta=tta, place=place)
    return score_model(loaded, data, split, judge=judge, episodes=episodes, epsilon=epsilon)


def check(data: Path) -> Survey | BoxSurvey | CaptionSurvey | MaskSurvey:
    """What there is in a folder of pictures, or a CSV file of them, or in images with masks, boxes or captions, and what hinders
    training: `.text()`, `.json()`. Of a folder with boxes and captions, as COCO's, it tells the boxes; name the file of captions.
    """
    if is_box_folder(data):
        return box_survey(data)
    if is_caption_folder(data):
        return caption_survey(data)
    return mask_survey(data) if is_mask_folder(data) else survey(data)


def predict(
    model: Models,
    files: Iterable[Path],
    *,
    vote: bool = False,
    tta: Views = "none",
    score: float | None = None,
    overlap: float | None = None,
    beam: int | None = None,
    best: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
) -> Iterator[tuple[Path, Captioning | Classification | Detection | Segmentation | DataError]]:
    """An answer for each file, or the error that kept it from one; one bad file does not stop the others. Models as in `load`.

    score, overlap: of a detector, see `Detector.threshold`.  beam, best, temperature, seed: of a captioner, see `Speech`.
    ConfigError for other models.
    Pictures are read some at once, in the number format in which this CPU is fastest. ConfigError for models that read none.
    """
    files, loaded = list(files), load(model, vote=vote, tta=tta, place=decide_place(device="cpu"))
    if isinstance(loaded, Player):
        raise ConfigError(f"{model} plays and reads no pictures: gipi.watch({str(model)!r})")
    if isinstance(loaded, Generator):
        raise ConfigError(f"{model} makes images of noise and reads none: gipi.load({str(model)!r}).make(64)")
    if isinstance(loaded, Detector):
        loaded.threshold(score=score, overlap=overlap)
    elif score is not None or overlap is not None:
        raise ConfigError(f"--score and --overlap are for detectors: {model} draws no boxes, leave them out")
    if isinstance(loaded, Captioner):
        loaded.speak(beam=beam, best=best, temperature=temperature, seed=seed)
    elif any(value is not None for value in (beam, best, temperature, seed)):
        raise ConfigError(
            f"--beam, --best, --temperature and --seed are for captioners: {model} writes no sentences, leave them out"
        )
    loaded.expect(len(files))
    yield from read_files(loaded, files)


def export(
    model: str | Path,
    out: Path | None = None,
    *,
    to: Format = "onnx",
    precision: Precision = "fp32",
    calibrate: str | None = None,
    check: Path | None = None,
) -> Exported:
    """Write a model as a file for other programs, compared with our own answers before: see `tasks/export.py`."""
    return export_model(load(model), out, to=to, precision=precision, calibrate=calibrate, check=check)


def import_weights(net: str, source: str | Path, out: Path) -> Path:
    """Make a model file of weights of `net`: published for ImageNet ("imagenet"), in a .safetensors or .pth file, or, of
    DeepConvNet, in the textbook's pickle (any other file). Nothing in a file is executed.

    Raises ConfigError, DataError or WeightsError.
    """
    if net != "deepconvnet" or Path(source).suffix in (".safetensors", ".pth", ".pt"):
        catalog.entry(catalog.NETS, net, "net")
        save_model(out, *pretrained(str(source), net))
        return out
    weights = deepconvnet.from_book(read_numpy_pickle(Path(source)))
    card = Card(
        kind="classify",
        net="deepconvnet",
        args={"classes": 10, "channels": 1, "last_dropout": 0.5},
        classes=tuple("0123456789"),
        preprocess=Preprocess((1, 28, 28), "digit"),
        parents=(Path(source).name,),
        gipi=__version__,
    )
    save_model(out, weights, card)
    return out
