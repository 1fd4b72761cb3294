"""Captioning as a user meets it: images and captions in, a tested model, a report and sentences out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from gipi import cli
from gipi.config import NetConfig
from gipi.tasks import choose
from oracle.striped import striped

FLAGS = ("--epochs", "2", "--device", "cpu", "--precision", "fp32", "--data.size", "32", "--data.batch", "4")
SMALL = {"width": 0.125, "stem": "small", "embedding": 8, "hidden": 12, "attention": 4}
SCORES = ("bleu4", "bleu1", "bleu2", "bleu3", "rouge_l", "cider", "exact", "perplexity")


def gipi(monkeypatch: pytest.MonkeyPatch, *words: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["gipi", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("caption")
    striped(folder / "set")
    return folder


@pytest.fixture(scope="module")
def table(work: Path) -> Path:
    return work / "set" / "captions.csv"


@pytest.fixture(scope="module")
def run(work: Path, table: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "pretrained", _absent)
        patch.setattr(choose, "NetConfig", lambda name, _: NetConfig(name, SMALL))  # a smaller one than it would choose
        assert gipi(patch, "train", "--data", table, "--out", work / "run", *FLAGS) == 0
    return work / "run"


def _absent(*_: object) -> None:
    from gipi.errors import DataError

    raise DataError("no network")


def test_check_says_it_is_ready(table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert gipi(monkeypatch, "check", table, "--json") == 0
    assert json.loads(capsys.readouterr().out)["trainable"] is True


def test_the_run_is_complete(run: Path):
    splits = [json.loads(line)["split"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert splits[-1] == "test"
    assert splits.count("validation") == 2
    page = (run / "report.html").read_text()
    for heading in (
        "Course of the training",
        "Best images",
        "Worst images",
        "Word by word",
        "Layers",
        "Configuration",
        "Machine",
    ):
        assert re.search(rf"<h2>[^<]*{heading}", page), heading


def test_eval_prints_the_scores_of_the_training(
    run: Path, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert gipi(monkeypatch, "eval", run, "--data", table, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {name: told[name] for name in SCORES} == pytest.approx({name: last[name] for name in SCORES}, rel=1e-4)
    assert told["count"] == 4
    assert gipi(monkeypatch, "eval", run, "--data", table) == 0
    said = capsys.readouterr().out
    assert f"BLEU-4 {last['bleu4']:.2%}, BLEU-1 {last['bleu1']:.2%}" in said
    assert re.search(rf"CIDEr-D \d\.\d+, exact {last['exact']:.2%}, perplexity \d+\.\d+$", said)


def test_pictures_get_sentences(
    run: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    pictures = [work / "set" / f"test-{number}.png" for number in range(2)]
    assert gipi(monkeypatch, "predict", run, *pictures, "-o", "drawn", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in told] == [*map(str, pictures)]
    assert all(row["log_probability"] < 0 and Path(row["drawn"]).is_file() and Path(row["words"]).is_file() for row in told)
    assert gipi(monkeypatch, "predict", run, *pictures) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_looks(run: Path, work: Path, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    image = work / "set" / "test-1.png"
    monkeypatch.chdir(work)
    for words in (("--mistakes", table), ("--words", image)):
        assert gipi(monkeypatch, "inspect", run, *words) == 0
        assert Path(capsys.readouterr().out.strip()).exists()
    assert gipi(monkeypatch, "inspect", run) == 0
    assert "encoder" in capsys.readouterr().out
    assert gipi(monkeypatch, "inspect", "deepconvnet-mnist", "--words", image) == 2
    assert "--words" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("eval", "{run}", "deepconvnet-mnist", "--data", "mnist"), "several models together"),
        (("eval", "{run}", "--data", "digits"), "has no captions; those that have: flickr8k, scenes"),
        (("eval", "deepconvnet-mnist", "--data", "flickr8k"), "has no label for each image; those that have: mnist"),
        (("train", "attend-scenes", "--members", "2"), "ensembles are for classifiers"),
        (("train", "attend-scenes", "--net", "resnet18"), "does classify, not caption"),
        (("train", "attend-scenes", "--data", "camvid"), "has no captions; those that have: flickr8k, scenes"),
        (("train", "attend-scenes", "--data.size", "32"), "has captions for images of 64x96 alone, not 32"),
        (("train", "attend-scenes", "--transfer.frozen", "1"), "of data.augment only flip is possible"),
        (("train", "caption"), "name the folder of images and captions by --data"),
        (("train", "nic-flickr8k", "--data.augment.crop", "0.1", "--data", "{table}"), "of data.augment only flip is possible"),
        (("train", "segnet-scenes", "--data.least-count", "2"), "--data.least-count is for captioning"),
        (("train", "deepconvnet-digits", "--data.least-count", "2"), "data.least_count 2 is for captioning"),
        (("plan", "attend-scenes", "--device", "h100"), "knows the training of classifiers"),
        (("bench", "step", "attend-scenes"), "for classifiers"),
    ],
)
def test_asked_wrongly(
    run: Path,
    table: Path,
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    fill = {"{run}": str(run), "{table}": str(table)}
    assert gipi(monkeypatch, *(fill.get(word, word) for word in words)) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_is_no_caption_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    table = striped(tmp_path / "set")
    table.write_text(table.read_text().replace(",red beside red,", ",red, beside red,", 1))
    monkeypatch.setattr(choose, "pretrained", _absent)
    assert gipi(monkeypatch, "train", "--data", table, "--out", tmp_path / "run", *FLAGS) == 1
    assert (
        "captions.csv, line 2: must have 3 fields, it has 4; put quotes around a caption with commas" in capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()
