"""What the page shows: the answers, maps, images and games that the rest of the package gives."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gipi import live
from gipi.api import load
from gipi.data.scenes import scene
from gipi.errors import ConfigError, DataError
from gipi.inspect.layers import feature_maps, layer_table
from gipi.inspect.maps import strip
from gipi.tasks.generator import Generator
from gipi.tasks.watch import film_of_game


@pytest.fixture(scope="module")
def models():
    names = ["deepconvnet-mnist", "digitnet-fashion", "fcn-scenes", "attend-scenes", "dcgan-mnist", "dqn-catch"]
    return {name: load(name) for name in names}


@pytest.fixture
def seven(root: Path) -> bytes:
    return (root / "docs/images/seven.png").read_bytes()


def test_a_look_is_the_answer_and_every_layers_maps(models, seven: bytes) -> None:
    model = models["deepconvnet-mnist"]
    seen = live.look(model, seven)
    assert seen.answer.json() == model.predict(seven).json()
    assert seen.answer.label == "7"
    maps = feature_maps(model.net, model.inputs(seen.answer.framed[None]))
    assert [f"{stage.name} {stage.kind}" for stage in seen.stages] == [name for name, _ in maps]
    for stage, (_, values) in zip(seen.stages, maps, strict=True):
        assert stage.shape == tuple(values.shape)
        assert np.array_equal(np.asarray(stage.picture), np.asarray(strip(values)))
    assert np.array_equal(np.asarray(seen.framed), seen.answer.framed[0].numpy())
    assert seen.seconds > 0


@pytest.mark.parametrize("name", ["fcn-scenes", "attend-scenes", "digitnet-fashion"])
def test_pictures_of_other_kinds_are_looked_at_too(models, name: str) -> None:
    model = models[name]
    picture = live.png(live.example(model, 3))
    seen = live.look(model, picture)
    assert seen.answer.json() == model.predict(picture).json()
    assert seen.framed.size == (model.card.image[2], model.card.image[1])
    assert len(seen.stages) > 10


def test_what_cannot_be_looked_at_is_refused(models) -> None:
    blank = BytesIO()
    Image.new("L", (50, 50)).save(blank, "PNG")
    with pytest.raises(DataError, match="no digit found"):
        live.look(models["deepconvnet-mnist"], blank.getvalue())
    with pytest.raises(DataError, match="is not a PNG"):
        live.look(models["fcn-scenes"], b"nonsense")
    for name in ("dcgan-mnist", "dqn-catch"):
        with pytest.raises(ConfigError, match="reads no pictures"):
            live.look(models[name], b"")


def test_about_says_what_can_be_done(models) -> None:
    told = {name: live.about(model) for name, model in models.items()}
    inputs = {name: each["input"] for name, each in told.items()}
    assert inputs == {
        "deepconvnet-mnist": "drawing",
        "digitnet-fashion": "picture",
        "fcn-scenes": "picture",
        "attend-scenes": "picture",
        "dcgan-mnist": "noise",
        "dqn-catch": "game",
    }
    assert [name for name, each in told.items() if each["example"]] == list(models)[:4]
    assert told["dcgan-mnist"]["classes"] == list("0123456789")
    assert told["dcgan-mnist"]["directions"] == 8
    assert told["dqn-catch"]["environment"] == "catch"


def test_examples_are_of_what_the_model_has_not_learnt_from(models) -> None:
    pixels = np.asarray(live.example(models["fcn-scenes"], 1024 + 5))
    assert np.array_equal(pixels, scene("test", 5).image.transpose(1, 2, 0))
    fashion = models["digitnet-fashion"]
    read = [fashion.predict(live.png(live.example(fashion, number))).label for number in range(10)]
    assert sum(label == asked for label, asked in zip(read, fashion.card.classes, strict=True)) >= 8
    assert live.example(models["deepconvnet-mnist"], 360).size == (28, 28)
    with pytest.raises(ConfigError, match="numbered from 0"):
        live.example(fashion, -1)
    with pytest.raises(ConfigError, match="reads no pictures"):
        live.example(models["dqn-catch"], 0)


def test_made_images_are_those_of_the_command_line_until_a_slider_moves(models) -> None:
    model = models["dcgan-mnist"]
    plain = model.make(6, 7)
    for sliders in ((), (0.0,) * 8):
        made = live.make(model, seed=7, sliders=sliders, count=6)
        assert torch.equal(made.images, plain.images)
        assert made.classes == plain.classes
    far = live.make(model, seed=7, sliders=(0.0, 3.0), count=6)
    way = live.directions(model)[1]
    noise = torch.cat([model.noise(1, 7 + number) for number in range(6)]) + 3 * way[None, :, None, None]
    assert torch.equal(far.images, model.images(noise))
    assert not torch.equal(far.images, plain.images)
    assert set(live.make(model, seed=0, label="4", sliders=(1.0,)).classes) == {"4"}


def test_directions_are_those_that_the_first_layer_answers_to_most(models) -> None:
    model = models["dcgan-mnist"]
    ways, weights = live.directions(model), model.maker.project.weight[:, :100].double()
    assert torch.allclose(ways @ ways.T, torch.eye(8), atol=1e-5)
    found = torch.linalg.eigvalsh(weights.T @ weights).flip(0)[:8]
    assert torch.allclose((weights @ ways.T.double()).square().sum(0), found, rtol=1e-4)
    assert (ways.gather(1, ways.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"seed": -1}, "seed -1"),
        ({"seed": 0, "count": 65}, "count is 65"),
        ({"seed": 0, "count": 0}, "count is 0"),
        ({"seed": 0, "label": "eleven"}, "no such class"),
        ({"seed": 0, "sliders": (0.0,) * 9}, "at most 8"),
        ({"seed": 0, "sliders": (4.5,)}, "from -4 to 4"),
        ({"seed": 0, "sliders": (float("nan"),)}, "from -4 to 4"),
    ],
)
def test_what_cannot_be_made_is_refused(models, asked: dict, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        live.make(models["dcgan-mnist"], **asked)


def test_walks_are_the_generators(models) -> None:
    mine, theirs = live.walk(models["dcgan-mnist"], (1, 2), label="3", count=2), models["dcgan-mnist"].walk((1, 2), 2, "3")
    assert [frame.tobytes() for frame in mine.frames] == [frame.tobytes() for frame in theirs.frames]
    with pytest.raises(ConfigError, match="2 to 8"):
        live.walk(models["dcgan-mnist"], tuple(range(9)))
    with pytest.raises(ConfigError, match="noise is for generators"):
        live.walk(models["dqn-catch"], (1, 2))


def test_games_are_the_films(models) -> None:
    reel, drawn = live.game(models["dqn-catch"], seed=3, epsilon=0.2)
    other = film_of_game(models["dqn-catch"], seed=3, epsilon=0.2)
    assert reel.json() == other.json()
    assert [frame.tobytes() for frame in drawn] == [frame.tobytes() for frame in other.frames]
    assert len(drawn.kept) == len(drawn)
    assert drawn.kept[-1].total == reel.total
    for steps in (0, 501):
        with pytest.raises(ConfigError, match="1 to 500"):
            live.game(models["dqn-catch"], steps=steps)
    with pytest.raises(ConfigError, match="for players"):
        live.game(models["fcn-scenes"])


def test_the_table_is_that_of_inspect(models) -> None:
    assert live.table(models["fcn-scenes"]) == layer_table(models["fcn-scenes"].net, (3, 64, 96))
    assert isinstance(models["dcgan-mnist"], Generator)
    assert live.table(models["dcgan-mnist"]).image == (100, 1, 1)
