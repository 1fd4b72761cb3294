"""A folder of pictures in, a tested model out, as a user does it: check, train, eval, predict, look inside, start from it again."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from gipi import cli
from gipi.data import fetch
from gipi.errors import GipiError, GipiWarning

SIZE = (
    "--data.size",
    "32",
    "--data.batch",
    "8",
    "--data.holdout",
    "0.2",
    "--epochs",
    "3",
    "--device",
    "cpu",
    "--precision",
    "fp32",
)


@dataclass
class Done:
    """What a command printed, or the error that it ended with."""

    stdout: str
    stderr: str


def gipi(*words, ok=True):
    """The command line in this process, in the current folder."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        if ok:
            assert cli._run([*map(str, words)]) == 0
            return Done(out.getvalue(), err.getvalue())
        with pytest.raises(GipiError) as caught:
            cli._run([*map(str, words)])
    return Done(out.getvalue(), str(caught.value))


def draw(path, label, number):
    """A reddish picture with a bright left half or a bluish one with a bright upper half, of any shape."""
    rng = np.random.default_rng((number, len(label)))
    height, width = rng.integers(40, 90, 2)
    pixels = rng.integers(0, 90, (height, width, 3))
    if label == "red":
        pixels[:, : width // 2, 0] += 150
    else:
        pixels[: height // 2, :, 2] += 150
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for part, count in (("train", 20), ("val", 6)):
        for label in ("red", "blue"):
            for number in range(count):
                draw(folder / "mine" / part / label / f"{part}{number}.jpg", label, number + (1000 if part == "val" else 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GIPI_CACHE", str(folder / "cache"))
        gipi("train", "scratch", "--data", "mine", *SIZE, "--out", "run", "--json")
    return folder


@pytest.fixture
def home(trained, monkeypatch):
    """The folder with the pictures and the model, where no weights can be had."""
    monkeypatch.chdir(trained)
    monkeypatch.setenv("GIPI_DATA", str(trained))
    monkeypatch.setattr(fetch, "CHECKOUT", trained / "nowhere")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return trained


def test_the_model_is_tested_on_val_and_reads_new_pictures(home):
    row = json.loads((home / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["split"] == "test"
    scored = json.loads(gipi("eval", "run", "--data", "mine", "--json").stdout)
    assert scored["count"] == 12
    assert scored["accuracy"] == pytest.approx(row["accuracy"])
    draw(home / "new.png", "red", 77)
    answer = json.loads(gipi("predict", "run", "new.png", "--json").stdout)[0]
    assert set(answer["probabilities"]) == {"red", "blue"}
    assert answer["top"][0]["label"] == answer["label"]


@pytest.mark.parametrize("words", [("--why", "new.png"), ("--mistakes", "mine")])
def test_pictures_of_what_it_sees_are_drawn(home, words):
    draw(home / "new.png", "red", 77)
    gipi("inspect", "run", *words, "--out", "out.png")
    with Image.open(home / "out.png") as picture:
        assert picture.size[0] > 100


def test_check_counts_what_there_is(home):
    found = gipi("check", "mine").stdout
    assert "red" in found
    assert "40" in found or "20" in found


def test_a_model_of_ones_own_is_a_start_for_other_classes(home):
    for label in ("red", "blue"):
        for number in range(10):
            draw(home / "other" / f"more {label}" / f"{number}.png", label, number + 500)
    words = ("--from", "run", "--transfer.frozen", "1", "--data.size", "32", "--data.batch", "4", "--epochs", "2")
    done = gipi("train", "scratch", "--data", "other", *words, "--out", "again", "--json")
    assert json.loads(done.stdout)["model"].endswith("model.safetensors")
    config = json.loads((home / "again" / "config.json").read_text())
    assert config["transfer"]["weights"] == "run"
    refused = gipi("eval", "again", "--data", "mine", ok=False)
    assert "the model tells more blue, more red apart, but 'mine' has blue, red" in refused.stderr


def test_without_a_recipe_one_is_chosen_and_said(home):
    done = gipi("train", "--data", "mine", *SIZE[:6], "--epochs", "1", "--out", "chosen")
    assert "40 training pictures of 2 classes (blue, red): recipe scratch, since no ImageNet weights" in done.stderr


def test_broken_pictures_are_left_out_only_if_that_is_said(home):
    for label in ("red", "blue"):
        for number in range(10):
            draw(home / "broken" / label / f"{number}.png", label, number)
    (home / "broken" / "red" / "cut.png").write_bytes((home / "broken" / "red" / "0.png").read_bytes()[:60])
    words = ("train", "scratch", "--data", "broken", *SIZE[:2], "--data.batch", "4", "--data.holdout", "0", "--epochs", "1")
    refused = gipi(*words, "--out", "b1", ok=False)
    assert "gipi check" in refused.stderr
    assert "--data.broken" in refused.stderr
    assert not (home / "b1").exists()
    with pytest.warns(GipiWarning, match=r"cut.png"):
        gipi(*words, "--data.broken", "0.2", "--out", "b2")


def test_what_cannot_be_trained_on_says_so(home):
    for words, says in (
        (("--data", "nowhere/x"), "nowhere"),
        (("--data", ""), "by --data"),
        (("--data", "mine", "--net", "alexnet", "--data.size", "16"), "does not take images of 16x16"),
        (("--data", "mine", "--from", "imagenet"), "resnet10"),
        (("--data", "mine", "--net", "deepconvnet"), "takes images of 28x28"),
    ):
        assert says in gipi("train", "scratch", *words, ok=False).stderr, words
