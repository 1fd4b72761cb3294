"""The command line as a user meets it: what it prints where, exit codes, bad input."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gipi.data.digits import digits
from oracle.commands import gipi_here

SEVEN = Path(__file__).parents[2] / "docs" / "images" / "seven.png"


def gipi(*words, cwd=None, **environment):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
    return subprocess.run(
        [sys.executable, "-m", "gipi", *map(str, words)], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished training of one epoch on the embedded digits."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    done = gipi("train", "deepconvnet-digits", "--epochs", "1", "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["data"] == "digits"
    assert answer["model"] == str(folder / "model.safetensors")
    return folder


def test_run_folder_is_complete(run):
    names = {path.name for path in run.iterdir()}
    assert names == {"config.json", "env.json", "metrics.jsonl", "model.safetensors", "state-0.pt", "end.json", "report.html"}
    assert json.loads((run / "end.json").read_text())["status"] == "done"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows][-3:] == ["train", "validation", "test"]
    assert sum(row["split"] == "test" for row in rows) == 1


def test_eval_prints_the_accuracy_of_the_training(run):
    answer = json.loads(gipi("eval", run, "--data", "digits", "--json").stdout)
    trained = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert answer["accuracy"] == pytest.approx(trained["accuracy"])
    assert (answer["count"], answer["data"], answer["split"], answer["model"]) == (360, "digits", "test", str(run))


def test_shipped_model_reads_a_drawn_digit_from_anywhere(tmp_path):
    done = gipi("predict", "deepconvnet-mnist", SEVEN, "--json", cwd=tmp_path)
    [answer] = json.loads(done.stdout)
    assert (done.returncode, answer["file"], answer["label"]) == (0, str(SEVEN), "7")
    assert answer["score"] > 0.9


def test_bad_files_do_not_stop_the_good_ones(tmp_path):
    good = tmp_path / "good.png"
    Image.fromarray(255 - digits("test").images[0, 0].numpy()).resize((200, 200)).save(good)
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:200])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").touch()
    files = [tmp_path / name for name in ("cut.png", "text.jpg", "empty.png", "missing.png", "good.png")]
    done = gipi("predict", "deepconvnet-mnist", *files, "--json")
    answers = json.loads(done.stdout)
    assert done.returncode == 1
    assert [("error" in answer, answer["file"]) for answer in answers] == [(name.name != "good.png", str(name)) for name in files]
    assert all(str(file.name) in answer["error"] for file, answer in zip(files[:4], answers, strict=False))
    assert "Traceback" not in done.stderr


def test_inspect_draws_and_lists(run, tmp_path, monkeypatch, capsys):
    def gipi(*words):
        return gipi_here(words, tmp_path, monkeypatch, capsys)

    table = json.loads(gipi("inspect", "deepconvnet", "--json").stdout)
    assert (table["parameters"], table["multiply_adds"]) == (123_552, 8_772_340)
    assert "123,552" in gipi("inspect", run).stdout
    for words, name in ((("--mistakes", "digits"), "mistakes.png"), (("--features", SEVEN), "features.png")):
        done = gipi("inspect", run, *words)
        assert (done.returncode, done.stdout.strip()) == (0, name), done.stderr
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 500


def test_textbook_weights_are_imported(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"W1": (16, 1, 3, 3), "W2": (16, 16, 3, 3), "W3": (32, 16, 3, 3), "W4": (32, 32, 3, 3), "W5": (64, 32, 3, 3)}
    shapes |= {"W6": (64, 64, 3, 3), "W7": (1024, 50), "W8": (50, 10)}
    params = {name: rng.normal(0, 0.05, shape) for name, shape in shapes.items()}
    params |= {f"b{n}": np.zeros(size) for n, size in enumerate((16, 16, 32, 32, 64, 64, 50, 10), 1)}
    (tmp_path / "book.pkl").write_bytes(pickle.dumps(params))
    out = tmp_path / "book.safetensors"
    done = gipi("import", "deepconvnet", tmp_path / "book.pkl", "-o", out)
    assert (done.returncode, done.stdout.strip()) == (0, str(out)), done.stderr
    assert json.loads(gipi("eval", out, "--data", "digits", "--json").stdout)["count"] == 360
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch canary'\ntR.")
    done = gipi("import", "deepconvnet", tmp_path / "evil.pkl", "-o", tmp_path / "evil.safetensors", cwd=tmp_path)
    assert done.returncode == 1
    assert "os.system" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.pkl", "book.safetensors", "evil.pkl"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "usage: gipi"),
        (("trian",), 2, "did you mean 'train'"),
        (("train", "deepconvnet-mnits"), 2, "did you mean 'deepconvnet-mnist'"),
        (("train", "--optim.lrr", "1"), 2, "--optim.lr"),
        (("train", "--optim.lr", "fast"), 2, "fast"),
        (("train", "--epochs", "0"), 2, "epochs is 0, allowed are 1 to"),
        (("train", "--data", "digits", "--data.batch", "9999", "--out", "x"), 2, "batch size 9999 does not fit"),
        (("train", "--data=digits", "--data.holdout", "0.95"), 2, "data.holdout is 0.95"),
        (("train", "--device", "tpu"), 2, "no device 'tpu'"),
        (("train", "--resume", "nowhere"), 1, "nowhere is not a run folder"),
        (("train", "--resume", "nowhere", "--epochs", "3"), 2, "of the other flags only --processes"),
        (("eval", "deepconvnet-mnits"), 1, "did you mean 'deepconvnet-mnist'"),
        (("eval", "deepconvnet-mnist", "--data", "mnits"), 2, "did you mean 'mnist'"),
        (("eval", "deepconvnet-mnist", "--data", "digits", "--split", "tset"), 2, "tset"),
        (("predict", "deepconvnet-mnist"), 2, "name at least one picture"),
        (("inspect", "deepconvnet-mnist", "--out", "x.png"), 2, "--out is where a picture goes"),
        (("inspect", "deepconvnet-mnist", "--mistakes", "digits", "--out", "x.nonsense"), 2, "cannot write the picture"),
        (("import", "vgg", "x.pth"), 2, "vgg16"),
        (("import", "deepconvnet", "missing.pkl"), 1, "missing.pkl"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_asked_wrongly(words, code, says, tmp_path, monkeypatch, capsys):
    done = gipi_here(words, tmp_path, monkeypatch, capsys)
    assert done.returncode == code, done.stderr
    assert says in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def test_a_warning_is_one_plain_line(tmp_path):
    done = gipi("train", "deepconvnet-digits", "--data.augment.flip", "0.5", "--data.batch", "9999", cwd=tmp_path)
    warned, refused = done.stderr.splitlines()
    assert warned.startswith("gipi: warning: data.augment.flip 0.5 mirrors the digits of 'digits'")
    assert refused.startswith("gipi: batch size 9999 does not fit")
    assert done.stdout == ""


def test_traceback_on_request():
    assert "Traceback" in gipi("eval", "nothing-of-that-name", "--traceback").stderr


def test_a_second_training_into_the_same_folder_is_refused(run, tmp_path, monkeypatch, capsys):
    done = gipi_here(("train", "deepconvnet-digits", "--epochs", "1", "--out", run), tmp_path, monkeypatch, capsys)
    assert done.returncode == 1
    assert "already holds a run" in done.stderr
    done = gipi_here(("train", "--resume", run), tmp_path, monkeypatch, capsys)
    assert done.returncode == 1
    assert "is done" in done.stderr
