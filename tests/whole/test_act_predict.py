"""gipi predict and inspect with a player: films and pictures, what is told of them, what is refused of it and of other models."""

import json

import numpy as np
import pytest
from PIL import Image

import gipi
from gipi import api, looks
from gipi.cli.look import inspect
from gipi.cli.predict import predict
from gipi.errors import ConfigError
from oracle.films import watched
from oracle.gamer import gamer
from oracle.maker import generator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    gamer().save(path / "m.safetensors")
    gamer("CartPole-v1", "dqn-mlp").save(path / "cart.safetensors")
    generator().save(path / "g.safetensors")
    return path


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder):
    return sorted(path.name for path in folder.iterdir() if not path.is_symlink())


def test_a_film_of_the_game_is_written_beside_and_told(here, capsys):
    assert predict(["m.safetensors"]) == 0
    game = list(api.load("m.safetensors").game(seed=0, epsilon=0.0))
    assert capsys.readouterr().out == f"m.gif: return {game[-1].total:g}, {len(game)} steps\n"
    assert written(here) == ["m.gif"]
    with Image.open("m.gif") as film:
        assert film.n_frames == len(game) + 1


def test_same_seed_gives_the_same_file_another_one_or_chance_another(here):
    for name, words in (("a", ["--seed", "5"]), ("b", ["--seed", "5", "--epsilon", "0"]), ("c", ["--seed", "6"])):
        predict(["m.safetensors", *words, "-o", f"{name}.gif"])
    predict(["m.safetensors", "--seed", "5", "--epsilon", "1", "-o", "d.gif"])
    a, *others = ((here / f"{name}.gif").read_bytes() for name in "abcd")
    assert [a == other for other in others] == [True, False, False]


def test_steps_cut_the_game_and_json_tells_it(here, capsys):
    predict(["cart.safetensors", "--steps", "6", "--seed", "2", "--json", "-o", "cart.mp4"])
    assert json.loads(capsys.readouterr().out) == {
        "model": "cart.safetensors", "out": "cart.mp4", "return": 6.0, "steps": 6, "over": False, "frames": 7, "seconds": 2.12,
        "environment": "CartPole-v1", "seed": 2, "epsilon": 0.0,
    }  # fmt: skip
    pictures, times, rate, _ = watched(here / "cart.mp4")
    assert rate == 50
    assert times[1] == pytest.approx(0.02)
    assert len(pictures) == 6 + 100  # the last one is shown for two seconds
    predict(["cart.safetensors", "--steps", "6", "--seed", "2"])
    assert capsys.readouterr().out == "cart.gif: return 6 so far, 6 steps\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["m.safetensors", "a.png"], r"m\.safetensors plays a game and reads no pictures: leave a\.png out"),
        (["m.safetensors", "a.mp4"], r"m\.safetensors plays a game and reads no pictures: leave a\.mp4 out"),
        (["m.safetensors", "cart.safetensors"], "plays a game: answering with several models"),
        (["m.safetensors", "--vote"], "--vote and --tta are for classifiers"),
        (["m.safetensors", "--count", "4"], r"--count 4 is for a generator; m\.safetensors plays a game"),
        (["m.safetensors", "--score", "0.5"], r"--score 0\.5 is for a detector"),
        (["g.safetensors", "--epsilon", "0.1"], r"--epsilon 0\.1 is for a player; g\.safetensors makes images of noise"),
        (["g.safetensors", "--steps", "9"], "--steps 9 is for a player"),
        (["deepconvnet-mnist", "a.png", "--epsilon", "0.0"], r"--epsilon 0\.0 is for a player; deepconvnet-mnist names"),
        (["deepconvnet-mnist", "a.png", "--seed", "3"], "--seed 3 is for a captioner or a generator or a player"),
        (["m.safetensors", "--epsilon", "2"], r"--epsilon is 2\.0, allowed are 0 to 1"),
        (["m.safetensors", "--steps", "0"], "--steps is 0, allowed are 1 to 100,000"),
        (["m.safetensors", "--seed", "-1"], "--seed is -1"),
        (["m.safetensors", "-o", "game.png"], r"cannot write a film game\.png: allowed are \.gif, \.mp4"),
    ],
)
def test_what_does_not_go_together_is_refused_and_nothing_is_written(words, says, here):
    with pytest.raises(ConfigError, match=says):
        predict(words)
    assert written(here) == []


def test_what_moves_a_player_is_drawn(here, capsys):
    assert inspect(["m.safetensors", "--pixels", "0"]) == 0
    assert capsys.readouterr().out == "pixels.png\n"
    assert inspect(["cart.safetensors", "--pixels", "1", "--out", "cart.png"]) == 0
    sizes = {}
    for name in ("pixels.png", "cart.png"):
        with Image.open(name) as picture:
            sizes[name] = picture.size
            assert np.asarray(picture.convert("L")).std() > 5
    assert sizes["pixels.png"] != sizes["cart.png"]
    with pytest.raises(ConfigError, match=r"--pixels is for players, but g\.safetensors does generate"):
        inspect(["g.safetensors", "--pixels", "0"])


def test_verbs_for_models_that_read_pictures_refuse_a_player(here):
    for verb in (
        lambda: looks.mistakes("m.safetensors", "mnist"),
        lambda: looks.features("m.safetensors", here / "a.png"),
        lambda: looks.fields("m.safetensors", here / "a.png"),
    ):
        with pytest.raises(ConfigError, match=r"m\.safetensors plays a game and reads no pictures"):
            verb()
    for words in (["--why", "a.png"], ["--exciting", "mnist"], ["--regions", "a.png"], ["--words", "a.png"]):
        with pytest.raises(ConfigError, match=r"but m\.safetensors does act"):
            inspect(["m.safetensors", *words])
    assert written(here) == []


def test_python_watches_and_looks_too(here):
    reel = gipi.watch("m.safetensors", seed=5)
    reel.save("game.gif")
    predict(["m.safetensors", "--seed", "5"])
    assert (here / "game.gif").read_bytes() == (here / "m.gif").read_bytes()
    gipi.pixels("m.safetensors", seed=0).save("pixels.png")
    assert "pixels.png" in written(here)
