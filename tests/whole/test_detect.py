"""Detection as a user meets it: images and boxes in, a tested model, a report and drawn pictures out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from gipi import cli
from gipi.config import NetConfig
from gipi.tasks import choose
from oracle.boxed import boxed
from oracle.films import movie

FLAGS = ("--epochs", "2", "--device", "cpu", "--data.size", "32", "--data.batch", "4")
SMALL = {"width": 0.125, "stem": "small", "fixed": 0, "pyramid": 16, "hidden": 32, "drawn": 16, "anchor": 8, "proposals": 20}


def gipi(monkeypatch: pytest.MonkeyPatch, *words: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["gipi", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detect")
    boxed(folder / "set")
    return folder


@pytest.fixture(scope="module")
def run(work: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "pretrained", _absent)
        patch.setattr(choose, "NetConfig", lambda name, _: NetConfig(name, SMALL))  # a smaller one than it would choose
        assert gipi(patch, "train", "--data", work / "set" / "boxes.csv", "--out", work / "run", *FLAGS) == 0
    return work / "run"


def _absent(*_: object) -> None:
    from gipi.errors import DataError

    raise DataError("no network")


def test_check_says_it_is_ready(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert gipi(monkeypatch, "check", work / "set" / "boxes.csv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["trainable"] is True


def test_the_run_is_complete(run: Path):
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
    assert gipi(monkeypatch, "eval", run, "--data", work / "set" / "boxes.csv", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    for name in ("ap", "ap50", "ap75", "voc_ap", "voc_ap11"):
        assert told[name] == pytest.approx(last[name])
    assert told["count"] == 5
    assert gipi(monkeypatch, "eval", run, "--data", work / "set" / "boxes.csv") == 0
    assert f"AP {last['ap']:.2%}, AP50 {last['ap50']:.2%}" in capsys.readouterr().out


def test_pictures_and_a_video_are_drawn(
    run: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    pictures = [work / "set" / f"test-{number}.png" for number in range(2)]
    assert gipi(monkeypatch, "predict", run, *pictures, "--score", "0.05", "--coco", "found.json", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["image_id"] for row in told] == [1, 2]
    found = json.loads(Path("found.json").read_text())
    assert len(found) == sum(len(row["boxes"]) for row in told)
    assert all({"image_id", "category_id", "bbox", "score"} == set(each) for each in found)
    with Image.open(told[0]["drawn"]) as drawn:
        assert drawn.size[0] >= 48
    movie(tmp_path / "road.mp4", frames=3)
    assert gipi(monkeypatch, "predict", run, "road.mp4", "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3


def test_looks(run: Path, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    image = work / "set" / "test-1.png"
    monkeypatch.chdir(work)
    for words in (("--mistakes", work / "set" / "boxes.csv"), ("--regions", image), ("--features", image)):
        assert gipi(monkeypatch, "inspect", run, *words) == 0
        assert Path(capsys.readouterr().out.strip()).exists()
    assert gipi(monkeypatch, "inspect", run) == 0
    assert "roi_heads.box_head.fc6" in capsys.readouterr().out
    for words in (("--why", image), ("--exciting", "digits")):
        assert gipi(monkeypatch, "inspect", run, *words) == 2
    assert "--why explains classifiers" in capsys.readouterr().err
    assert gipi(monkeypatch, "inspect", "deepconvnet-mnist", "--regions", image) == 2
    assert "--regions explains detectors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("eval", "{run}", "deepconvnet-mnist", "--data", "mnist"), "several models together"),
        (("eval", "{run}", "--data", "digits"), "has no boxes"),
        (("predict", "deepconvnet-mnist", "{picture}", "--score", "0.3"), "--score"),
        (("predict", "{run}", "{picture}", "--score", "1.3"), "--score is 1.3, allowed are 0 to 1"),
        (("predict", "{run}", "{picture}", "--vote"), "--vote"),
        (("train", "faster-rcnn-scenes", "--members", "2"), "ensembles are for classifiers"),
        (("train", "faster-rcnn-scenes", "--net", "resnet18"), "does classify, not detect"),
        (("train", "faster-rcnn-scenes", "--data", "camvid"), "has no boxes; those that have: bccd, scenes"),
        (("train", "faster-rcnn-scenes", "--data.augment.elastic-px", "2"), "elastic_px 2"),
        (("plan", "faster-rcnn-scenes", "--device", "h100"), "knows the training of classifiers"),
        (("bench", "step", "faster-rcnn-scenes"), "for classifiers"),
    ],
)
def test_asked_wrongly(
    run: Path,
    work: Path,
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    fill = {"{run}": str(run), "{picture}": str(work / "set" / "test-1.png")}
    assert gipi(monkeypatch, *(fill.get(word, word) for word in words)) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
