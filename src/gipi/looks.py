"""Looking inside nets, models and data as Python functions: tables and pictures. The other half of `api.py`."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from gipi import catalog
from gipi.api import load
from gipi.config import Config
from gipi.engine.place import place_for
from gipi.errors import ConfigError, nearest
from gipi.inspect import caption_figures, detect_figures, figures, segment_figures
from gipi.inspect import exciting as excite
from gipi.inspect.augmented import EPOCHS, augmented_figure, versions
from gipi.inspect.dense import Dense, compare, dense_figure, fcn_of_vgg
from gipi.inspect.fields import fields_figure, middle_fields
from gipi.inspect.layers import LayerTable, feature_maps, fed, layer_table
from gipi.inspect.regions import regions_figure
from gipi.inspect.why import grad_cam, why_figure
from gipi.model import Card
from gipi.models.kinds import build_net
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from gipi.tasks.boxes import load_boxes
from gipi.tasks.captioner import Captioner
from gipi.tasks.captions import load_captions
from gipi.tasks.classifier import Classifier
from gipi.tasks.detect import Detect
from gipi.tasks.detector import Detector
from gipi.tasks.films import Reel, film_of_epochs
from gipi.tasks.generator import Generator
from gipi.tasks.images import load_images
from gipi.tasks.masks import load_masks
from gipi.tasks.player import Player
from gipi.tasks.seen import Reader, seen
from gipi.tasks.segmenter import Segmenter
from gipi.tasks.trained import ALONE
from gipi.tasks.training import new_task
from gipi.tasks.watch import MOST, GameReel, film_of_game, what_moves


def layers(model: str | Path) -> LayerTable:
    """The layer table of a model, or of a net of the catalogue: shape, parameters, multiply-adds, receptive field."""
    if str(model) in catalog.NETS:
        net = catalog.NETS[str(model)]
        return layer_table(catalog.resolve(net.factory)(), net.input)
    loaded = load(model)
    return layer_table(loaded.net, fed(loaded.net, loaded.card.image))


def mistakes(model: str | Path, data: str, *, split: str = "test") -> Image.Image:
    """A picture of the images that a classifier misreads, the surest first, or of those that another model reads worst."""
    classifier = _reader(model)
    if isinstance(classifier, Segmenter):
        masks = load_masks(data, split)
        result = classifier.evaluate(masks, boundaries=False)
        return _picture(segment_figures.worst(masks, result.answers, result.ious))
    if isinstance(classifier, Detector):
        boxes = load_boxes(data, split)
        result = classifier.evaluate(boxes)
        return _picture(detect_figures.worst(boxes, result.found, result.f1))
    if isinstance(classifier, Captioner):
        captions = load_captions(data, split, side=classifier.card.image[1:])
        result = classifier.evaluate(captions)
        return _picture(caption_figures.worst(captions, result.answers, result.cider))
    images = load_images(data, split, short=classifier.short)
    result = classifier.evaluate(images)
    return _picture(figures.mistakes(images.images, images.labels, result.answers, result.scores, images.classes))


def features(model: str | Path, image: Path) -> Image.Image:
    """A picture of what each layer of a model sees in an image, shallow to deep."""
    loaded = _reader(model)
    framed = _framed(loaded, image)
    return _picture(figures.features(feature_maps(loaded.net, loaded.inputs(framed[None])), framed))


def fields(model: str | Path, image: Path) -> Image.Image:
    """A picture of how much of an image one value of each layer of a model sees: its receptive field."""
    loaded = _reader(model)
    framed = _framed(loaded, image)
    channels, height, width = loaded.inputs(framed[None]).shape[1:]
    return _picture(fields_figure(middle_fields(loaded.net, (channels, height, width)), framed))


def exciting(model: str | Path, data: str, *, layer: str | None = None, channel: int | None = None) -> Image.Image:
    """A picture of the parts of a data set's test images that excite the channels of each convolution most.

    layer: the name of one convolution, to see more of its channels.  channel: one of them, to see more images.
    Raises ConfigError for an unknown layer, a channel that it does not have, a channel without a layer, or images that the
    model does not take.
    """
    classifier = _classifier(model, "--exciting")
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
    classifier = _classifier(model, "--why")
    classes = classifier.card.classes
    if label is not None and label not in classes:
        raise ConfigError(f"the model knows no class {label!r}{nearest(label, classes)}")
    answer = classifier.predict(image)
    names = [name for name, _ in answer.top(2)] if label is None else [label]
    inputs = classifier.inputs(answer.framed[None])
    shown = [(name, answer.probabilities[name], grad_cam(classifier.net, inputs, classes.index(name))) for name in names]
    return _picture(why_figure(answer.framed, shown))


def dense(model: str | Path, image: Path) -> tuple[Dense, Image.Image]:
    """What naming every pixel of an image costs an FCN made of VGG-16, window by window and in one pass, and a picture of it.

    model: a trained one, or a net of the catalogue, which gets fresh weights and the image with a shorter side of 375 pixels.
    Raises ConfigError for another net, DataError if the image cannot be read.
    """
    if str(model) in catalog.NETS:
        usual = Preprocess((3, 375, 500), "whole", 375, IMAGENET_MEAN, IMAGENET_STD)  # of PASCAL VOC's images
        with torch.random.fork_rng(enabled=True):
            torch.manual_seed(0)
            net = build_net(str(model), {})
        loaded = Segmenter(net, Card("segment", str(model), {}, ("any",), usual), ALONE)
    else:
        loaded = _reader(model)
    framed = _framed(loaded, image)
    found = compare(fcn_of_vgg(loaded.net), loaded.inputs(framed[None]))
    return found, _picture(dense_figure(found, framed))


def regions(model: str | Path, image: Path) -> Image.Image:
    """A picture of how a detector comes to its boxes in an image: where it looks, what it proposes, what is found, what is left.

    Raises ConfigError for a model that finds no boxes, DataError if the image cannot be read.
    """
    loaded = load(model)
    if not isinstance(loaded, Detector):
        raise ConfigError(f"--regions explains detectors, but {model} does {loaded.card.kind}")
    framed = _framed(loaded, image)
    return _picture(regions_figure(loaded.net, loaded.inputs(framed[None]), framed, loaded.card.classes))


def words(model: str | Path, image: Path) -> Image.Image:
    """A picture of where a captioner that attends looked in an image as it said each word of its sentence.

    Raises ConfigError for another model, DataError if the image cannot be read.
    """
    loaded = load(model)
    if not isinstance(loaded, Captioner):
        raise ConfigError(f"--words explains captioners, but {model} does {loaded.card.kind}")
    picture = loaded.predict(image).draw_words()
    if picture is None:
        raise ConfigError(
            f"--words draws where a net looks for each word, but {loaded.card.net!r} of {model} looks once, at all of the image: "
            "take a net that attends, such as 'attend-resnet18'"
        )
    return picture


def epochs(run: str | Path) -> Reel:
    """What a generator made of the same noise after each epoch of its training, as a film: `.save("film.gif")`, or .mp4.

    Raises ConfigError for what is no run folder, RunError for one without pictures of epochs.
    """
    return film_of_epochs(Path(run))


def watch(model: str | Path, *, seed: int = 0, epsilon: float = 0.0, most: int = MOST) -> GameReel:
    """The game of a seed as a film, with what a player expects of each action beside it: `.save("game.gif")`, or .mp4.

    epsilon: share of random moves.  most: decisions at most. Raises ConfigError for another model and values out of range.
    """
    return film_of_game(_player(model, "a game"), seed=seed, epsilon=epsilon, most=most)


def pixels(model: str | Path, seed: int = 0) -> Image.Image:
    """A picture of what moves the values of a player in six moments of a seed's game: pixels, or the numbers that it sees."""
    return _picture(what_moves(_player(model, "--pixels"), seed))


def augmented(config: Config) -> Image.Image:
    """A picture of some training images and of what a training by `config` feeds the net for them in its first epochs.

    Of a captioner, what its encoder is fed once it learns; while it is frozen, it sees no change but the mirror.
    Raises ConfigError, DataError or DeviceError as `train` does.
    """
    place = place_for(config.run)
    if config.kind == "caption":  # what is fed behind a frozen encoder are features of these images
        config = replace(config, transfer=replace(config.transfer, frozen=0.0))
    with torch.random.fork_rng(enabled=True):
        task = new_task(config, place)
    epochs = min(EPOCHS, config.run.epochs)
    boxes = task.boxes if isinstance(task, Detect) else None
    shown = versions(islice(task.source(), epochs * task.every), task.prepare, boxes=boxes)
    title = f"What a training by {config.recipe or config.net.name} feeds its net for the same images of {config.data.name!r}."
    card = task.model.card
    return _picture(augmented_figure(shown, card.classes, epochs, pixels=task.model.pixels, title=title, colours=card.colours))


def _reader(model: str | Path) -> Reader:
    loaded = load(model)
    if isinstance(loaded, Generator):
        raise ConfigError(f"{model} makes images of noise and reads none: look at what it makes, or score it with gipi eval")
    if isinstance(loaded, Player):
        raise ConfigError(f"{model} plays a game and reads no pictures: look at a game with gipi predict, or --pixels SEED")
    return loaded


def _player(model: str | Path, what: str) -> Player:
    loaded = load(model)
    if not isinstance(loaded, Player):
        raise ConfigError(f"{what} is for players, but {model} does {loaded.card.kind}")
    return loaded


def _framed(loaded: Reader, image: Path) -> Tensor:
    """The image as the net is to see it, uint8 (c, h, w), before its sides are padded."""
    return seen(loaded, loaded.frame(image))


def _classifier(model: str | Path, flag: str) -> Classifier:
    loaded = load(model)
    if not isinstance(loaded, Classifier):
        raise ConfigError(f"{flag} explains classifiers, but {model} does {loaded.card.kind}; look at it with --mistakes DATA")
    return loaded


def _picture(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(figures.png_bytes(figure)))
