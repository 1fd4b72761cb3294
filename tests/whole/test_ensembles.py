"""Ensembles as a user meets them: processes that share the members, a kill, and several models in one command."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gipi import cli
from gipi.model import load_model, save_model

SEVEN = Path(__file__).parents[2] / "docs" / "images" / "seven.png"
TRAIN = ("train", "deepconvnet-digits", "--members", "2", "--epochs", "2", "--data.limit", "200", "--device", "cpu")
posix = pytest.mark.skipif(os.name != "posix", reason="locks and signals are POSIX")


def start(*words, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "gipi", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def gipi(monkeypatch, *words):
    """Exit code of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["gipi", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An ensemble that two processes trained, as torchrun would start them."""
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    both = [start(*TRAIN, "--out", folder, "--json", WORLD_SIZE="2", RANK=rank, LOCAL_RANK=rank) for rank in "01"]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    results = [json.loads(out) for out, _ in said if out]
    assert results, "one of them tells the result"
    assert results[0]["model"] == str(folder / "model.safetensors")
    assert {"accuracy", "member_accuracy", "member_spread"} < set(results[0])
    if len(results) == 1:
        assert any("are with other processes: the last one writes" in progress for out, progress in said if not out)
    assert "step" not in said[1][1], "only the first shows progress"
    return folder


@posix
def test_two_processes_share_the_members(run):
    assert sorted(path.name for path in run.iterdir() if path.is_dir()) == ["member-0", "member-1"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sum(row["split"] == "test" for row in rows) == 1
    for name in ("member-0", "member-1"):
        member = [json.loads(line) for line in (run / name / "metrics.jsonl").read_text().splitlines()]
        assert [(row["split"], row["step"]) for row in member] == [(row["split"], row["step"]) for row in rows]
    assert {"report.html", "env.json", "end.json", "config.json"} < {path.name for path in run.iterdir()}


@posix
@pytest.mark.parametrize("sent", ["SIGTERM", pytest.param("SIGKILL", marks=pytest.mark.slow)])
def test_ended_in_the_middle_and_resumed_is_straight(run, tmp_path, sent, monkeypatch, capsys):
    out = tmp_path / "run"
    process = start(*TRAIN, "--out", out)
    rows = out / "member-1" / "metrics.jsonl"
    while process.poll() is None and not (rows.exists() and rows.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.Signals[sent])
    _, said = process.communicate(timeout=300)
    assert process.returncode == {"SIGTERM": 143, "SIGKILL": -9}[sent], said
    if sent == "SIGTERM":
        assert f"stopped and saved; go on with: gipi train --resume {out}" in said
        assert json.loads((out / "end.json").read_text())["status"] == "stopped"
    assert not (out / "model.safetensors").exists()
    assert gipi(monkeypatch, "train", "--resume", out) == 0
    said, last = capsys.readouterr(), json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert f"test accuracy {last['accuracy']:.2%} on digits" in said.out
    assert f"members {last['member_accuracy']:.2%}" in said.out
    assert "member 1  step" in said.err
    assert "member 0  step" not in said.err
    assert (out / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert gipi(monkeypatch, "train", "--resume", out) == 1


@pytest.mark.slow
def test_torchrun_spreads_the_members(run, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    command = [*torchrun, sys.executable, "-m", "gipi", *TRAIN, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_an_ensemble_is_used_like_any_model(run, monkeypatch, capsys):
    assert gipi(monkeypatch, "eval", run, "--data", "digits", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    trained = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert answer["accuracy"] == pytest.approx(trained["accuracy"])
    assert answer["model"] == str(run)
    assert gipi(monkeypatch, "inspect", run, "--json") == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 2 * 123_552
    assert gipi(monkeypatch, "predict", run, SEVEN) == 0
    assert str(SEVEN) in capsys.readouterr().out


def test_the_members_together_score_as_the_ensemble(run, monkeypatch, capsys):
    members = [str(run / f"member-{number}") for number in range(2)]
    results = {}
    for words in ((run,), members, (*members, "--vote"), (*members, "--tta", "shift")):
        assert gipi(monkeypatch, "eval", *words, "--data", "digits", "--json") == 0
        results[words[-1]] = json.loads(capsys.readouterr().out)
    whole, several, voted, shifted = results.values()
    assert several["accuracy"] == whole["accuracy"]
    assert several["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert (several["models"], several["vote"]) == (members, False)
    assert (voted["models"], voted["vote"], voted["loss"]) == (members, True, several["loss"])
    assert shifted["tta"] == "shift"
    assert shifted["loss"] != several["loss"]
    assert gipi(monkeypatch, "eval", *members, "--data", "digits", "--vote", "--tta", "shift") == 0
    assert f"{', '.join(members)} on digits (test, 360 images, by vote, tta shift)" in capsys.readouterr().out


def test_leading_words_are_models_and_the_rest_pictures(run, monkeypatch, capsys):
    file = run / "member-0" / "model.safetensors"
    assert gipi(monkeypatch, "predict", "deepconvnet-mnist", file, "deepconvnet-mnist", SEVEN, SEVEN, "--vote", "--json") == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["file"] for answer in answers] == [str(SEVEN)] * 2
    assert all(answer["models"] == ["deepconvnet-mnist", str(file), "deepconvnet-mnist"] for answer in answers)
    assert all(answer["vote"] and answer["label"] == "7" for answer in answers)
    assert gipi(monkeypatch, "predict", "deepconvnet-mnist", SEVEN, "--json") == 0
    assert set(json.loads(capsys.readouterr().out)[0]) == {"file", "label", "score", "top", "probabilities"}


def test_asked_wrongly(run, tmp_path, monkeypatch, capsys):
    weights, card = load_model(run / "member-0" / "model.safetensors")
    letters = tmp_path / "letters.safetensors"
    save_model(letters, weights, replace(card, classes=tuple("abcdefghij")))
    for words, says in (
        (("eval",), "name at least one model"),
        (("eval", run, letters, "--data", "digits"), f"'{run}' tells 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 apart, but '{letters}' a, b"),
        (("eval", run, "--data", "digits", "--tta", "flip"), f"'{run}' reads digits, and a mirrored 2 is none"),
        (("eval", run, "--data", "digits", "--vote"), "a vote needs two models or more"),
        (("eval", run, "--tta", "turn"), "turn"),
        (("predict", run, letters), "name at least one picture"),
        (("predict", run, letters, SEVEN), "models of different classes"),
        (("train", "--members", "0"), "members is 0, allowed are 1 to 1000"),
    ):
        assert gipi(monkeypatch, *words) == 2, words
        said = capsys.readouterr()
        assert says in said.err + said.out, words
    assert gipi(monkeypatch, "eval", run, "nowhere", "--data", "digits") == 1
    assert "no model 'nowhere'" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert gipi(monkeypatch, *TRAIN) == 2
    assert "give --out FOLDER" in capsys.readouterr().err
