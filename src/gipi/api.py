"""The verbs of gipi as Python functions; the command line is a thin client of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

from gipi import __version__, catalog
from gipi.config import Config
from gipi.engine.loop import fit
from gipi.engine.place import Place, decide_place
from gipi.errors import DataError, RunError, WeightsError, nearest
from gipi.foreign import read_numpy_pickle
from gipi.inspect import figures
from gipi.inspect.layers import LayerTable, feature_maps, layer_table
from gipi.model import Card, find_model, save_model
from gipi.models import deepconvnet
from gipi.runs import Row, Run, new_run_path
from gipi.tasks.classifier import Classification, Classifier, Evaluation, load_images

Echo = Callable[[Row], None]


def train(config: Config, *, out: Path | None = None, echo: Echo | None = None) -> Run:
    """Train by `config` into the folder `out` (runs/RECIPE-NNN if None); `echo` is called with every row of metrics.

    Ctrl-C and SIGTERM save and return; `run.ended()` tells "stopped" from "done".
    Raises ConfigError, DataError or DeviceError before anything is written, RunError if the training cannot go on.
    """
    return _train(config, lambda: Run.create(config.to_json(), out or new_run_path(config.recipe or config.net.name), echo))


def resume(path: Path, *, echo: Echo | None = None) -> Run:
    """Go on with a run that was stopped or killed, as if it had never been. Raises RunError if there is nothing to go on with."""
    run = Run.open(path, echo)
    if run.ended() == "done":
        raise RunError(f"{path} is done: train again with another --out, or look at it: gipi eval {path}")
    config = Config.from_json(run.config())
    run.end("running", "resumed")
    return _train(config, lambda: run)


def _train(config: Config, open_run: Callable[[], Run]) -> Run:
    place = decide_place(device=config.run.device, precision=config.run.precision, seed=config.run.seed)
    with torch.random.fork_rng(enabled=True):  # the caller's random numbers are left as they are
        torch.manual_seed(place.seed)
        task = catalog.resolve(catalog.entry(catalog.KINDS, config.kind, "kind").factory)(config, place)
        run = open_run()
        try:
            run.write_json("env.json", {**run.environment(), "place": str(place)})
            if stopped := fit(task, place, run, task.steps, task.every):
                run.end("stopped", stopped)
                return run
            task.finish(run)
        except Exception as error:
            with suppress(RunError):  # on a full disk even that cannot be written
                run.end("failed", f"{type(error).__name__}: {error}")
            raise
    run.end("done", "all steps trained")
    return run


def load(model: str | Path, *, place: Place | None = None) -> Classifier:
    """A model file, a run folder or a shipped model, ready to predict; in float32 on the CPU unless `place` says otherwise."""
    return Classifier.load(find_model(model), place or decide_place(device="cpu", precision="fp32"))


def evaluate(model: str | Path, data: str, *, split: str = "test", place: Place | None = None) -> Evaluation:
    """Score of a model on a data set of the catalogue. Raises ConfigError if their classes differ."""
    return load(model, place=place).evaluate(load_images(data, split))


def predict(model: str | Path, files: Iterable[Path]) -> Iterator[tuple[Path, Classification | DataError]]:
    """An answer for each file, or the error that kept it from one; one bad file does not stop the others."""
    classifier = load(model)
    for file in files:
        try:
            yield file, classifier.predict(file)
        except DataError as error:
            yield file, error


def layers(model: str | Path) -> LayerTable:
    """The layer table of a model, or of a net of the catalogue: shape, parameters, multiply-adds, receptive field."""
    if str(model) in catalog.NETS:
        net = catalog.NETS[str(model)]
        return layer_table(catalog.resolve(net.factory)(), net.input)
    classifier = load(model)
    return layer_table(classifier.net, classifier.card.image)


def mistakes(model: str | Path, data: str, *, split: str = "test") -> Image.Image:
    """A picture of the images that a model misreads, the surest first."""
    images = load_images(data, split)
    result = load(model).evaluate(images)
    return _picture(figures.mistakes(images.images, images.labels, result.answers, result.scores, images.classes))


def features(model: str | Path, image: Path) -> Image.Image:
    """A picture of what each layer of a model sees in an image, shallow to deep."""
    classifier = load(model)
    framed = classifier.frame(image)
    return _picture(figures.features(feature_maps(classifier.net, classifier.scale(framed[None])), framed))


def _picture(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(figures.png_bytes(figure)))


def import_weights(net: str, file: Path, out: Path) -> Path:
    """Make a model file of a textbook's pickled weights, without ever executing what is in the pickle. Raises WeightsError."""
    if net != "deepconvnet":
        raise WeightsError(f"no import for net {net!r}{nearest(net, ('deepconvnet',))}")
    weights = deepconvnet.from_book(read_numpy_pickle(file))
    card = Card(
        kind="classify",
        net="deepconvnet",
        args={"classes": 10, "channels": 1, "last_dropout": 0.5},
        classes=tuple("0123456789"),
        image=(1, 28, 28),
        framing="digit",
        parents=(file.name,),
        gipi=__version__,
    )
    save_model(out, weights, card)
    return out
