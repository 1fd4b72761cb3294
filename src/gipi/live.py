"""What the page shows of models that are loaded: an answer with every layer's maps, images of noise that is moved, a game.

Layer 4: the service asks here, and nothing here knows of HTTP. All pictures are drawn by what the command line draws with.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gipi import catalog
from gipi.api import load
from gipi.data.digits import digits
from gipi.data.scenes import COUNTS, scene
from gipi.engine.place import Place
from gipi.errors import ConfigError
from gipi.inspect.layers import LayerTable, fed, layer_table, stages
from gipi.inspect.maps import strip
from gipi.model import find_model, read_card
from gipi.ops.gallery import as_picture
from gipi.tasks.answers import Classification
from gipi.tasks.captioning import Captioning
from gipi.tasks.detection import Detection
from gipi.tasks.evaluation import Loaded
from gipi.tasks.films import Reel
from gipi.tasks.generation import Generation
from gipi.tasks.generator import SEEDS, Generator
from gipi.tasks.player import Player
from gipi.tasks.seen import Reader, seen
from gipi.tasks.segmentation import Segmentation
from gipi.tasks.watch import Drawn, GameReel, film_of_game

DIRECTIONS = 8
FARTHEST = 4.0  # standard deviations of the noise that an image may be moved along a direction
MOST_IMAGES, MOST_STOPS, MOST_STEPS = 64, 8, 500


@dataclass(frozen=True)
class Stage:
    """What one layer makes of a picture. shape: of all of its output.  picture: the first 16 channels, see `inspect/maps.py`."""

    name: str
    kind: str
    shape: tuple[int, ...]
    picture: Image.Image


@dataclass(frozen=True)
class Look:
    """An answer; framed: what the net saw; stages: its layers, shallow to deep; seconds: that it all took."""

    answer: Captioning | Classification | Detection | Segmentation
    framed: Image.Image
    stages: tuple[Stage, ...]
    seconds: float


def about(model: Loaded) -> dict[str, Any]:
    """What a person can do with a model, ready for JSON: "input" is "drawing", "picture", "noise" or "game"; "example": whether
    `example` has pictures for it; "classes" that can be asked for; "directions": how many; "environment".
    """
    if isinstance(model, Generator):
        classes = list(model.card.classes) if model.maker.conditional else []
        return {"input": "noise", "example": False, "classes": classes, "directions": len(directions(model)), "environment": ""}
    if isinstance(model, Player):
        return {"input": "game", "example": False, "classes": [], "directions": 0, "environment": model.environment}
    drawn = model.card.preprocess.framing == "digit"
    there = drawn or _of_scenes(model) or bool(_maker_for(model.card.classes))
    return {"input": "drawing" if drawn else "picture", "example": there, "classes": [], "directions": 0, "environment": ""}


def table(model: Loaded) -> LayerTable:
    """The layers of a model for an image of its own size, as `gipi inspect MODEL` tells them."""
    return layer_table(model.net, fed(model.net, model.card.image))


def look(model: Loaded, source: bytes) -> Look:
    """A model's answer for a picture in memory, and what each layer makes of it.

    Raises DataError if the picture cannot be read or holds no digit, ConfigError for a model that reads none.
    """
    reader, layers, start = _reader(model), list[Stage](), time.perf_counter()
    framed = reader.frame(source)
    small = seen(reader, framed)

    def keep(name: str, kind: str, values: Tensor) -> None:
        layers.append(Stage(name, kind, tuple(values.shape), strip(values)))

    [answer] = reader.answer([framed])  # pyright: ignore[reportArgumentType]
    stages(reader.net, reader.inputs(small[None]), keep)
    return Look(answer, as_picture(small), tuple(layers), time.perf_counter() - start)


def example(model: Loaded, number: int) -> Image.Image:
    """A picture for somebody who has none at hand: a handwritten digit, a scene, or what a shipped generator makes, none of which
    the model has learnt from. Raises ConfigError where there is none for this model, or for a negative number.
    """
    reader, classes = _reader(model), model.card.classes
    if number < 0:
        raise ConfigError(f"example {number}: they are numbered from 0")
    if reader.card.preprocess.framing == "digit":
        images = digits("test").images
        return as_picture(images[number % len(images)])
    if _of_scenes(reader):
        return as_picture(torch.from_numpy(scene("test", number % COUNTS["test"]).image))
    if name := _maker_for(classes):
        label = classes[number % len(classes)]
        return _maker(name, reader.place).make(1, number % SEEDS, label).pictures()[0]
    raise ConfigError("there are no example pictures for this model: show it one of your own")


def make(model: Loaded, *, seed: int, label: str | None = None, sliders: tuple[float, ...] = (), count: int = 16) -> Generation:
    """The images of `seed` and of those that follow, as `Generator.make` gives them, all moved alike: by each of `sliders`, in
    standard deviations of the noise, along the direction of its number.

    Raises ConfigError as `Generator.make`, for another model, and for sliders or a count out of range.
    """
    generator = _generator(model)
    if not 1 <= count <= MOST_IMAGES:
        raise ConfigError(f"count is {count}, allowed are 1 to {MOST_IMAGES}")
    if len(sliders) > DIRECTIONS or not all(abs(value) <= FARTHEST for value in sliders):
        raise ConfigError(f"sliders are {sliders}, allowed are at most {DIRECTIONS} numbers from {-FARTHEST:g} to {FARTHEST:g}")
    made = generator.make(count, seed, label)
    if not any(sliders):
        return made
    labels = torch.tensor([generator.card.classes.index(name) for name in made.classes]) if made.classes else None
    noise = torch.cat([generator.noise(1, seed + number) for number in range(count)])
    moved = noise + (torch.tensor(sliders) @ directions(generator)[: len(sliders)])[None, :, None, None]
    return Generation(generator.images(moved, labels), made.classes, made.asked)


@lru_cache(maxsize=32)
def directions(generator: Generator) -> Float[Tensor, "k z"]:
    """Unit vectors of noise, at right angles to each other, along which the first layer's output changes most, the strongest
    first: the right singular vectors of its weights. Their signs are chosen so that the largest number of each is positive.

    Source: Shen and Zhou, arXiv 2007.06600 ("closed-form factorization").
    """
    weights = generator.maker.project.weight.detach().float().cpu()[:, : generator.maker.noise]
    ways = torch.linalg.svd(weights, full_matrices=False).Vh[:DIRECTIONS]
    largest = ways.gather(1, ways.abs().argmax(1, keepdim=True))
    return ways * largest.sign()


def walk(model: Loaded, seeds: tuple[int, ...], *, label: str | None = None, count: int = 16) -> Reel:
    """A film from seed to seed and back, as `gipi predict MODEL --walk` makes it. Raises ConfigError as `Generator.walk` does."""
    if len(seeds) > MOST_STOPS:
        raise ConfigError(f"a walk past {len(seeds)} seeds: allowed are 2 to {MOST_STOPS}")
    if count > MOST_IMAGES:
        raise ConfigError(f"count is {count}, allowed are 1 to {MOST_IMAGES}")
    return _generator(model).walk(seeds, count, label)


def game(model: Loaded, *, seed: int = 0, epsilon: float = 0.0, steps: int = MOST_STEPS) -> tuple[GameReel, Drawn]:
    """(the film of a seed's game, its frames with what was expected in each), as `gipi predict MODEL -o game.gif` draws it.

    epsilon: share of random moves.  steps: decisions at most, 1 to 500. Raises ConfigError for values out of range and a model
    that does not play.
    """
    if not isinstance(model, Player):
        raise ConfigError(f"a game is for players, and this model does {model.card.kind}")
    if not 1 <= steps <= MOST_STEPS:
        raise ConfigError(f"steps is {steps}, allowed are 1 to {MOST_STEPS}")
    reel = film_of_game(model, seed=seed, epsilon=epsilon, most=steps)
    return reel, cast(Drawn, reel.frames)


def png(image: Image.Image) -> bytes:
    """A picture as a small PNG file, quickly: those of a page come by the hundred."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _reader(model: Loaded) -> Reader:
    if isinstance(model, Generator | Player):
        raise ConfigError(f"this model reads no pictures: it does {model.card.kind}")
    return model


def _generator(model: Loaded) -> Generator:
    if not isinstance(model, Generator):
        raise ConfigError(f"noise is for generators, and this model does {model.card.kind}")
    return model


def _of_scenes(model: Loaded) -> bool:
    """Whether a model has learnt from the scenes that are made here."""
    return any(name.split("/")[0] == "scenes" for name in model.card.data)


@cache
def _maker_for(classes: tuple[str, ...]) -> str:
    """The shipped generator that makes images of these classes on request, or ""."""
    for name in catalog.SHIPPED:
        card = read_card(find_model(name))
        if card.kind == "generate" and card.classes == classes and card.args.get("conditional"):
            return name
    return ""


@cache
def _maker(name: str, place: Place) -> Generator:
    return cast(Generator, load(name, place=place))
