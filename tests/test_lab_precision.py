"""gipi study precision, from the command to its files, with the smallest shipped model."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from gipi import api, catalog, lab
from gipi.cli.look import list_all
from gipi.cli.study import study
from gipi.errors import ConfigError, RunError
from gipi.studies import MEASUREMENTS, STUDIES

TINY = "digitnet-tiny-mnist"


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(catalog, "SHIPPED", {TINY: catalog.SHIPPED[TINY]})
    monkeypatch.chdir(tmp_path)


def test_it_prints_its_findings_and_writes_its_files(capsys, tmp_path):
    assert study(["precision", "--data", "digits"]) == 0
    out, err = capsys.readouterr()
    *sentences, table, figure, report = out.splitlines()
    assert len(sentences) == 6
    assert [line.split() for line in (table, figure, report)] == [
        [what, f"runs/study-precision/{name}"]
        for what, name in (("table", "table.md"), ("figure", "figure.png"), ("report", "report.html"))
    ]
    folder = tmp_path / "runs" / "study-precision"
    assert sorted(path.name for path in folder.iterdir()) == ["figure.png", "report.html", "study.json", "table.md"]
    document = json.loads((folder / "study.json").read_text())
    assert (document["study"], document["data"], document["findings"]) == ("precision", "digits", sentences)
    scores = {line["format"]: line["accuracy"] for line in document["rows"]}
    assert err.splitlines()[0] == f"1/18  {TINY}  float64  test accuracy {scores['float64']:.2%}"
    assert len(err.splitlines()) == len(scores) == 18
    own = api.evaluate(TINY, "digits").metrics["accuracy"].value
    assert scores["float32"] == scores["float64"] == pytest.approx(own)
    assert scores["int2 weights, one scale"] < 0.5 < 0.9 < scores["float16"]


def test_it_says_it_as_json(capsys, monkeypatch):
    monkeypatch.setattr(lab, "measure", lambda *_, **__: [])
    monkeypatch.setattr(lab, "write_precision", lambda folder, results, **_: [f"{[*results]} in {folder}"])
    assert study(["precision", "--data", "digits", "--out", "here", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"folder": "here", "trainings": 0, "findings": [f"['{TINY}'] in here"]}


def test_data_of_other_classes_are_refused_before_anything_is_written(tmp_path):
    for number, place in enumerate(["train/ant", "train/bee", "test/ant", "test/bee"]):
        (tmp_path / "set" / place).mkdir(parents=True)
        Image.new("L", (32, 32), 50 * number).save(tmp_path / "set" / place / "one.png")
    with pytest.raises(ConfigError, match=r"the model tells 0, 1, .* apart"):
        lab.study("precision", data=str(tmp_path / "set"), out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot make the folder .*file: File exists; choose another one with --out"):
        lab.study("precision", data="digits", out=tmp_path / "file")


def test_it_is_listed_and_known_by_name(capsys, tmp_path):
    assert not set(STUDIES) & set(MEASUREMENTS)
    assert list_all(["studies", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["studies"]
    assert [*listed] == [*STUDIES, *MEASUREMENTS]
    assert "minutes" in listed["precision"]
    with pytest.raises(ConfigError, match="no study 'precison'; did you mean 'precision'"):
        lab.study("precison", out=tmp_path)
