"""gipi predict with a generator: grids, single files, films, sums and JSON; what is refused of it and of other models; gipi eval."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import gipi
from gipi import api, looks
from gipi.cli.look import inspect
from gipi.cli.predict import predict
from gipi.cli.use import evaluate
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, RunError
from gipi.tasks import generator_score
from gipi.tasks.judge import random_judge
from gipi.tasks.trained import ALONE
from oracle.films import watched
from oracle.maker import CLASSES, generator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """m.safetensors makes what it likes, c.safetensors what it is asked for, run is a run folder with pictures of three epochs."""
    path = tmp_path_factory.mktemp("models")
    generator().save(path / "m.safetensors")
    generator(conditional=True).save(path / "c.safetensors")
    (path / "run" / "samples").mkdir(parents=True)
    generator().save(path / "run" / "model.safetensors")
    for epoch in (1, 2, 3):
        Image.new("L", (120, 60), 60 * epoch).save(path / "run" / "samples" / f"epoch-{epoch:04d}.png")
    return path


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    for name in ("m.safetensors", "c.safetensors", "run"):
        (tmp_path / name).symlink_to(folder / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder):
    return sorted(path.name for path in folder.iterdir() if not path.is_symlink())


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_grid_of_64_is_written_beside_and_told(here, capsys):
    assert predict(["m.safetensors"]) == 0
    assert capsys.readouterr().out == "m.png: 64 images\n"
    assert written(here) == ["m.png"]
    assert pixels("m.png").shape == (8 * 58 - 2, 8 * 58 - 2)
    assert np.array_equal(pixels("m.png"), np.asarray(api.load("m.safetensors").make(64, seed=0).draw()))


def test_same_seed_gives_the_same_file_another_one_another(here):
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        predict(["m.safetensors", "--count", "9", "--seed", seed, "-o", f"{name}.png"])
    a, b, c = ((here / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_single_images_go_into_a_folder(here, capsys):
    predict(["m.safetensors", "--count", "3", "-o", "new/images", "--json"])
    assert written(here / "new" / "images") == ["0000.png", "0001.png", "0002.png"]
    assert json.loads(capsys.readouterr().out) == {"model": "m.safetensors", "out": "new/images", "count": 3, "seed": 0}
    assert pixels("new/images/0001.png").shape == (28, 28)
    (here / "there.d").mkdir()
    predict(["m.safetensors", "--count", "1", "-o", "there.d"])
    assert written(here / "there.d") == ["0000.png"]


def test_a_class_is_made_alone(here, capsys):
    predict(["c.safetensors", "--count", "4", "--class", "eel", "--json"])
    assert json.loads(capsys.readouterr().out)["classes"] == ["eel"] * 4
    assert np.array_equal(pixels("c.png"), np.asarray(api.load("c.safetensors").make(4, label="eel").draw()))
    predict(["c.safetensors", "--count", "4", "--json"])
    assert json.loads(capsys.readouterr().out)["classes"] == [*CLASSES, "cat"]


def test_walks_are_films_of_either_kind(here, capsys):
    predict(["c.safetensors", "--walk", "1", "2", "3", "--count", "1", "-o", "walk.gif"])
    assert capsys.readouterr().out == "walk.gif: 90 frames, 4.5 s\n"
    with Image.open("walk.gif") as film:
        assert film.n_frames == 90
    predict(["m.safetensors", "--walk", "1", "2", "--json", "-o", "walk.mp4"])
    assert json.loads(capsys.readouterr().out)["count"] == 16
    assert len(watched(here / "walk.mp4")[0]) == 60
    predict(["m.safetensors", "--walk", "1", "2", "--count", "1"])
    assert "m.gif" in written(here)


def test_between_two_seeds_is_a_row_or_a_film(here):
    predict(["m.safetensors", "--between", "3", "8", "-o", "row.png"])
    assert pixels("row.png").shape == (56, 10 * 58 - 2)
    predict(["m.safetensors", "--between", "3", "8", "--count", "2", "-o", "rows.png"])
    assert pixels("rows.png").shape == (2 * 58 - 2, 10 * 58 - 2)
    predict(["m.safetensors", "--between", "3", "8", "-o", "row.gif"])
    with Image.open("row.gif") as film:
        assert (film.n_frames, film.size) == (60, (56, 56))


def test_a_sum_is_drawn(here, capsys):
    predict(["m.safetensors", "--arithmetic", "1,2,3-4,5,6+7,8,9", "-o", "sum.png"])
    assert capsys.readouterr().out == "sum.png: 3 terms and what comes of them\n"
    assert np.array_equal(pixels("sum.png"), np.asarray(api.load("m.safetensors").arithmetic("1,2,3-4,5,6+7,8,9").draw()))
    predict(["m.safetensors", "--arithmetic=-1+2"])
    assert "m.png" in written(here)


def test_epochs_of_a_run_are_a_film(here, capsys):
    predict(["run", "--epochs", "-o", "film.gif"])
    assert capsys.readouterr().out == "film.gif: 3 frames, 2.4 s\n"
    with Image.open("film.gif") as film:
        assert film.n_frames == 3
    predict(["run", "--epochs", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "model": "run", "out": "run.gif", "frames": 3, "seconds": 2.4, "run": "run", "epochs": [1, 2, 3],
    }  # fmt: skip
    with pytest.raises(ConfigError, match="--epochs wants the run folder"):
        predict(["m.safetensors", "--epochs"])
    (here / "other").mkdir()
    (here / "other" / "model.safetensors").symlink_to(here / "m.safetensors")
    with pytest.raises(RunError, match="holds no pictures"):
        predict(["other", "--epochs"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["m.safetensors", "a.png"], r"m\.safetensors makes images of noise and reads none: leave a\.png out"),
        (["m.safetensors", "c.safetensors"], "makes images of noise: answering with several models"),
        (["deepconvnet-mnist", "m.safetensors", "a.png"], r"m\.safetensors makes images of noise: answering with several models"),
        (["m.safetensors", "--vote"], "--vote and --tta are for classifiers"),
        (["m.safetensors", "--score", "0.5"], r"--score 0\.5 is for a detector; m\.safetensors makes images of noise"),
        (["m.safetensors", "--beam", "5"], "--beam 5 is for a captioner"),
        (["m.safetensors", "--temperature", "1"], r"--temperature 1\.0 is for a captioner"),
        (["m.safetensors", "--class", "cat"], r"--class cat: .* was not trained with --gan\.conditional"),
        (["c.safetensors", "--class", "dgo"], "--class dgo: .* did you mean 'dog'"),
        (["m.safetensors", "--count", "0"], "--count is 0, allowed are 1 to 100,000"),
        (["m.safetensors", "--between", "1", "2", "--count", "0", "-o", "x.gif"], "--count is 0, allowed are 1 to 100"),
        (["m.safetensors", "--seed", "-1"], "seed -1: allowed are 0"),
        (["m.safetensors", "--walk"], "--walk : name two seeds or more"),
        (["m.safetensors", "--walk", "1", "2", "--between", "1", "2"], "--walk and --between are two pictures"),
        (["m.safetensors", "--walk", "1", "2", "--seed", "0"], "--seed 0 and --walk, whose noise is given"),
        (["m.safetensors", "--arithmetic", "1+2", "--count", "4"], "--count 4 and --arithmetic"),
        (["run", "--epochs", "--class", "cat"], "--class cat and --epochs"),
        (["m.safetensors", "--arithmetic", "one"], "--arithmetic 'one': wanted are seeds"),
        (["m.safetensors", "--walk", "1", "2", "-o", "walk.png"], r"cannot write a film walk\.png: allowed are \.gif, \.mp4"),
        (["m.safetensors", "-o", "grid.pdf"], r"cannot write a picture grid\.pdf"),
        (["m.safetensors", "--arithmetic", "1+2", "-o", "folder"], "--arithmetic gives one picture, and folder is a folder"),
        (["deepconvnet-mnist", "--count", "4"], "--count 4 is for a generator; deepconvnet-mnist names what is in a picture"),
        (["deepconvnet-mnist", "a.png", "--class", "4"], "--class 4 is for a generator"),
        (["deepconvnet-mnist", "a.png", "--walk", "1", "2"], "--walk 1 2 is for a generator"),
        (["deepconvnet-mnist", "a.png", "--epochs"], "--epochs is for a generator"),
        (["deepconvnet-mnist", "a.png", "--seed", "3"], "--seed 3 is for a captioner or a generator"),
        (["deepconvnet-mnist"], "name at least one picture"),
    ],
)
def test_what_does_not_go_together_is_refused_and_nothing_is_written(words, says, here):
    with pytest.raises(ConfigError, match=says):
        predict(words)
    assert written(here) == []


def test_python_makes_and_writes_them_too(here):
    model = gipi.load("m.safetensors")
    model.make(64, seed=7).draw().save("grid.png")
    predict(["m.safetensors", "--seed", "7"])
    assert np.array_equal(pixels("grid.png"), pixels("m.png"))
    gipi.epochs("run").save("film.gif")
    assert "film.gif" in written(here)


def test_verbs_for_models_that_read_pictures_refuse_one_that_makes_them(here):
    for verb in (
        lambda: list(api.predict("m.safetensors", [here / "a.png"])),
        lambda: looks.mistakes("m.safetensors", "mnist"),
        lambda: looks.features("m.safetensors", here / "a.png"),
        lambda: looks.fields("m.safetensors", here / "a.png"),
    ):
        with pytest.raises(ConfigError, match=r"m\.safetensors makes images"):
            verb()
    for words in (["--why", "a.png"], ["--exciting", "mnist"], ["--regions", "a.png"], ["--words", "a.png"]):
        with pytest.raises(ConfigError, match="generate"):
            inspect(["m.safetensors", *words])
    with pytest.raises(ConfigError, match="several models together"):
        api.load(["m.safetensors", "deepconvnet-mnist"])
    assert written(here) == []


def test_layers_begin_with_the_noise(here):
    table = looks.layers("m.safetensors")
    assert table.parameters == sum(weight.numel() for weight in api.load("m.safetensors").net.parameters())
    assert table.layers[-1].shape == (1, 28, 28)


@pytest.fixture
def reals(monkeypatch):
    """Real images of both splits: what the generator itself makes, sorted by class; asked for by a side of 28."""
    model = generator(conditional=True)

    def load(name, split, *, side):
        labels = torch.arange(300) // 100
        images = model.images(model.noise(300, {"train": 1, "test": 2}[split]), labels)
        return ImageSet(name, split, CLASSES, images[:, :, :side], labels)

    monkeypatch.setattr(generator_score, "load_reals", load)


def test_a_generator_scores_as_real_images_do_where_it_makes_those(reals, here, capsys):
    assert evaluate(["c.safetensors", "--data", "own", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["count"], row["judge"], row["data"], row["split"]) == (300, "random weights", "own", "test")
    assert set(row["floor"]) == {"frechet", "precision", "recall", "diversity"}
    assert row["frechet"] == pytest.approx(row["floor"]["frechet"], rel=0.5)
    assert abs(row["precision"] - row["floor"]["precision"]) < 0.1
    evaluate(["m.safetensors", "--data", "own"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("m.safetensors on own (test, 300 images): Fréchet distance ")
    assert second.startswith("by the features of random weights; other real images: Fréchet distance ")


def test_split_and_judge_are_heard(reals, here, capsys):
    rows = []
    for words in ([], ["--split", "train"], ["--judge", "random"], ["--judge", "deepconvnet-mnist"]):
        evaluate(["c.safetensors", "--data", "own", "--json", *words])
        rows.append(json.loads(capsys.readouterr().out))
    assert rows[0] == rows[2]
    assert rows[0]["frechet"] != rows[1]["frechet"]
    assert rows[0]["floor"]["frechet"] == pytest.approx(rows[1]["floor"]["frechet"], rel=1e-4)  # either way
    assert rows[3]["judge"] == "deepconvnet-mnist"
    assert "as_asked" not in rows[3]  # that judge knows no cats
    with pytest.raises(ConfigError, match="--judge random is for generators"):
        evaluate(["deepconvnet-mnist", "--judge", "random"])


def test_the_distance_is_called_fid_if_inception_judges(reals, here, capsys, monkeypatch):
    judge = replace(random_judge((1, 28, 28), ALONE), name="Inception")
    monkeypatch.setattr(generator_score, "find_judge", lambda *asked: judge)
    evaluate(["m.safetensors", "--data", "own"])
    assert all("FID " in line and "chet" not in line for line in capsys.readouterr().out.splitlines())


def test_images_of_another_size_are_refused(here, monkeypatch):
    images = torch.zeros(9, 3, 28, 28, dtype=torch.uint8)
    monkeypatch.setattr(
        generator_score, "load_reals", lambda name, split, side: ImageSet(name, split, ("a",), images, torch.zeros(9).long())
    )
    with pytest.raises(ConfigError, match=r"makes images of \(1, 28, 28\) .* those of 'own' are of \(3, 28, 28\)"):
        evaluate(["m.safetensors", "--data", "own"])
