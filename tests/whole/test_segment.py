"""Segmentation as a user meets it: a folder of images and masks in, a tested model and a report out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from gipi import cli
from gipi.tasks import choose
from oracle.masks import rectangles

FLAGS = ("--epochs", "2", "--device", "cpu", "--data.size", "32", "--data.batch", "4")


def gipi(monkeypatch: pytest.MonkeyPatch, *words: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["gipi", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segment")
    rectangles(folder / "set")
    return folder


@pytest.fixture(scope="module")
def run(work: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "pretrained", _absent)
        assert gipi(patch, "train", "--data", work / "set", "--out", work / "run", *FLAGS) == 0
    return work / "run"


def _absent(*_: object) -> None:
    from gipi.errors import DataError

    raise DataError("no network")


def test_check_says_it_is_ready(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert gipi(monkeypatch, "check", work / "set", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trainable"] is True


def test_the_run_is_complete(run: Path, monkeypatch: pytest.MonkeyPatch):
    splits = [json.loads(line)["split"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert splits[-1] == "test"
    assert splits.count("validation") == 2
    page = (run / "report.html").read_text()
    for heading in ("Course of the training", "Classes", "Confusion", "Layers", "Configuration", "Machine"):
        assert re.search(rf"<h2>[^<]*{heading}", page), heading


def test_eval_prints_the_scores_of_the_training(
    run: Path, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert gipi(monkeypatch, "eval", run, "--data", work / "set", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    for name in ("mean_iou", "pixel_accuracy", "class_accuracy", "boundary_f1"):
        assert told[name] == pytest.approx(last[name])
    assert told["count"] == 5
    assert gipi(monkeypatch, "eval", run, "--data", work / "set") == 0
    assert f"mean IoU {last['mean_iou']:.2%}, pixel accuracy" in capsys.readouterr().out


def test_looks(run: Path, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    image = next((work / "set" / "images" / "test").iterdir())
    monkeypatch.chdir(work)
    for words in (("--mistakes", work / "set"), ("--fields", image)):
        assert gipi(monkeypatch, "inspect", run, *words) == 0
        assert Path(capsys.readouterr().out.strip()).exists()
    assert gipi(monkeypatch, "inspect", run) == 0
    assert "decoder" in capsys.readouterr().out
    for words in (("--why", image), ("--exciting", "digits"), ("--dense", image)):
        assert gipi(monkeypatch, "inspect", run, *words) == 2
    said = capsys.readouterr().err
    assert "--why explains classifiers" in said
    assert "take fcn32s-vgg16" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("eval", "{run}", "deepconvnet-mnist", "--data", "mnist"), "several models together"),
        (("eval", "{run}", "--data", "digits"), "has no masks"),
        (("eval", "deepconvnet-mnist", "--data", "scenes"), "has no label for each image; those that have: mnist"),
        (("train", "segnet-scenes", "--members", "2"), "ensembles are for classifiers"),
        (("train", "segnet-scenes", "--net", "resnet18"), "does classify, not segment"),
        (("train", "segnet-scenes", "--transfer.frozen", "1", "--from", "imagenet"), "transfer.frozen is for classifiers"),
        (("train", "deepconvnet-digits", "--data.class-weights", "median-frequency"), "is for segmentation"),
        (("train", "deepconvnet-digits", "--data", "scenes"), "has no label for each image; those that have: mnist"),
        (("plan", "segnet-camvid", "--device", "h100"), "knows the training of classifiers"),
        (("bench", "step", "segnet-scenes"), "for classifiers"),
    ],
)
def test_asked_wrongly(
    run: Path,
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    assert gipi(monkeypatch, *(word.replace("{run}", str(run)) for word in words)) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
