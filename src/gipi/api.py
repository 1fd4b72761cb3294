"""The verbs of gipi as Python functions; the command line is a thin client of them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import overload

import torch
from matplotlib.figure import Figure
from PIL import Image

from gipi import __version__, catalog
from gipi.config import Config, Views
from gipi.data.survey import Survey, survey
from gipi.engine.place import Place, decide_place, place_for
from gipi.engine.ranks import launched
from gipi.errors import ConfigError, DataError, GipiError, RunError, nearest
from gipi.foreign import read_numpy_pickle
from gipi.inspect import exciting as excite
from gipi.inspect import figures
from gipi.inspect.augmented import EPOCHS, augmented_figure, versions
from gipi.inspect.fields import fields_figure, middle_fields
from gipi.inspect.layers import LayerTable, feature_maps, layer_table
from gipi.inspect.why import grad_cam, why_figure
from gipi.model import Card, find_model, save_model
from gipi.models import deepconvnet
from gipi.preprocess import Preprocess
from gipi.runs import Run, new_run_path
from gipi.tasks.answers import Classification, read_files
from gipi.tasks.choose import choose
from gipi.tasks.classifier import Classifier, Evaluation
from gipi.tasks.classify import Classify
from gipi.tasks.committee import Committee
from gipi.tasks.images import load_images
from gipi.tasks.members import join, train_members
from gipi.tasks.pretrained import pretrained
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
        return train_members(config, (lambda: join(config, path, echo)) if world > 1 else create, echo, report)
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
def load(model: str | Path, *, place: Place | None = None) -> Classifier: ...
@overload
def load(model: Models, *, vote: bool = False, tta: Views = "none", place: Place | None = None) -> Classifier | Committee: ...
def load(model: Models, *, vote: bool = False, tta: Views = "none", place: Place | None = None) -> Classifier | Committee:
    """A model file, a run folder or a shipped model, ready to predict; in float32 on the CPU unless `place` says otherwise.

    Several models of the same classes answer together with the mean of their probabilities, or what most of them say with `vote`.
    tta: "shift" answers with the mean over the picture and it moved by a pixel each way, "flip" over it and its mirror image.
    Raises WeightsError for what is no model, ConfigError for models of different classes, a vote of one and mirrored digits.
    """
    names = [model] if isinstance(model, str | Path) else model
    place = place or decide_place(device="cpu", precision="fp32")
    loaded = [(str(name), Classifier.load(find_model(name), place)) for name in names]
    alone = isinstance(model, str | Path) and not vote and tta == "none"
    return loaded[0][1] if alone else Committee(loaded, vote=vote, tta=tta)


def evaluate(
    model: Models, data: str, *, split: str = "test", vote: bool = False, tta: Views = "none", place: Place | None = None
) -> Evaluation:
    """Score of a model, or of several as in `load`, on a data set of the catalogue or a folder of pictures.

    Raises ConfigError if its classes or sizes are not the model's, DataError if it cannot be had.
    """
    loaded = load(model, vote=vote, tta=tta, place=place)
    return loaded.evaluate(load_images(data, split, short=loaded.short))


def check(data: Path) -> Survey:
    """What there is in a folder of pictures or a CSV file of them, and what hinders training: `.text()`, `.json()`."""
    return survey(data)


def predict(
    model: Models, files: Iterable[Path], *, vote: bool = False, tta: Views = "none"
) -> Iterator[tuple[Path, Classification | DataError]]:
    """An answer for each file, or the error that kept it from one; one bad file does not stop the others. Models as in `load`.

    Pictures are read some at once, in the number format in which this CPU is fastest.
    """
    files, classifier = list(files), load(model, vote=vote, tta=tta, place=decide_place(device="cpu"))
    classifier.expect(len(files))
    yield from read_files(classifier, files)


def layers(model: str | Path) -> LayerTable:
    """The layer table of a model, or of a net of the catalogue: shape, parameters, multiply-adds, receptive field."""
    if str(model) in catalog.NETS:
        net = catalog.NETS[str(model)]
        return layer_table(catalog.resolve(net.factory)(), net.input)
    classifier = load(model)
    return layer_table(classifier.net, classifier.card.image)


def mistakes(model: str | Path, data: str, *, split: str = "test") -> Image.Image:
    """A picture of the images that a model misreads, the surest first."""
    classifier = load(model)
    images = load_images(data, split, short=classifier.short)
    result = classifier.evaluate(images)
    return _picture(figures.mistakes(images.images, images.labels, result.answers, result.scores, images.classes))


def features(model: str | Path, image: Path) -> Image.Image:
    """A picture of what each layer of a model sees in an image, shallow to deep."""
    classifier = load(model)
    framed = classifier.frame(image)
    return _picture(figures.features(feature_maps(classifier.net, classifier.scale(framed[None])), framed))


def fields(model: str | Path, image: Path) -> Image.Image:
    """A picture of how much of an image one value of each layer of a model sees: its receptive field."""
    classifier = load(model)
    return _picture(fields_figure(middle_fields(classifier.net, classifier.card.image), classifier.frame(image)))


def exciting(model: str | Path, data: str, *, layer: str | None = None, channel: int | None = None) -> Image.Image:
    """A picture of the parts of a data set's test images that excite the channels of each convolution most.

    layer: the name of one convolution, to see more of its channels.  channel: one of them, to see more images.
    Raises ConfigError for an unknown layer, a channel that it does not have, a channel without a layer, or images that the
    model does not take.
    """
    classifier = load(model)
    images = load_images(data, "test", short=classifier.short)
    _, depth, height, width = images.images.shape
    layers = excite.convolutions(classifier.net, (depth, height, width))
    channels = excite.choose(layers, layer, channel)
    count = excite.IMAGES if channel is None else excite.ALL_IMAGES
    tops = excite.most_exciting(classifier.net, map(classifier.scale, images.images.split(100)), channels, count)
    return _picture(excite.exciting_figure(tops, layers, channels, images))


def why(model: str | Path, image: Path, *, label: str | None = None) -> Image.Image:
    """A picture of where a model looks: the heat map (Grad-CAM) of its best two answers, or of the class `label`.

    Raises ConfigError for a class that the model does not know, DataError if the picture cannot be read.
    """
    classifier = load(model)
    classes = classifier.card.classes
    if label is not None and label not in classes:
        raise ConfigError(f"the model knows no class {label!r}{nearest(label, classes)}")
    answer = classifier.predict(image)
    names = [name for name, _ in answer.top(2)] if label is None else [label]
    inputs = classifier.inputs(answer.framed[None])
    shown = [(name, answer.probabilities[name], grad_cam(classifier.net, inputs, classes.index(name))) for name in names]
    return _picture(why_figure(answer.framed, shown))


def augmented(config: Config) -> Image.Image:
    """A picture of some training images and of what a training by `config` feeds the net for them in its first epochs.

    Raises ConfigError, DataError or DeviceError as `train` does.
    """
    place = place_for(config.run)
    with torch.random.fork_rng(enabled=True):
        task = Classify(config, place)
    epochs = min(EPOCHS, config.run.epochs)
    shown = versions(islice(task.source(), epochs * task.every), task.prepare)
    title = f"What a training by {config.recipe or config.net.name} feeds its net for the same images of {config.data.name!r}."
    return _picture(augmented_figure(shown, task.model.card.classes, epochs, pixels=task.model.pixels, title=title))


def _picture(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(figures.png_bytes(figure)))


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
