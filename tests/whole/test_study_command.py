"""gipi study as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gipi.cli.study import study
from gipi.config import Config, DataConfig, NetConfig, OptimConfig, RunConfig
from gipi.runs import claim
from gipi.studies import STUDIES, Claim, Study, Variant
from oracle.commands import gipi_here

BASE = Config(
    net=NetConfig("convstack", {"depth": 1, "width": 2}),
    data=DataConfig("digits", batch=20, limit=100, holdout=0.0),
    optim=OptimConfig("adam", lr=0.02),
    run=RunConfig(epochs=1, device="cpu", precision="fp32"),
)
WIDER = replace(BASE, net=NetConfig("convstack", {"depth": 1, "width": 4}))
TINY = Study(
    about="is wider better?",
    cost="1 second",
    x="channels",
    variants=(Variant("net", 2, BASE), Variant("net", 4, WIDER)),
    claims=(Claim("fewer channels are fewer weights", "net, 2", "net, 4", "parameters"),),
    seeds=1,
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path):
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    monkeypatch.chdir(tmp_path)


def test_it_prints_a_sentence_for_each_claim_and_where_the_rest_is(capsys, tmp_path):
    assert study(["tiny"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "Fewer channels are fewer weights: so it is here (net, 2: 1,012; net, 4: 2,014)."
    assert "runs/study-tiny/figure.png" in out
    assert err.splitlines()[0].startswith("1/2  net-2-seed0  test accuracy ")
    assert (tmp_path / "runs" / "study-tiny" / "table.md").exists()
    assert study(["tiny", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["folder"], answer["trainings"], len(answer["findings"])) == ("runs/study-tiny", 2, 1)


def test_it_says_when_others_are_still_at_work(capsys, tmp_path):
    with claim(tmp_path / "shared" / "net-4-seed0"):
        assert study(["tiny", "--out", str(tmp_path / "shared")]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "1 of 2 trainings are with other processes" in err


@pytest.mark.parametrize(
    ("words", "says"), [(("dept",), "did you mean 'depth'"), (("depth", "--data", "mnits"), "did you mean 'mnist'"), ((), "NAME")]
)
def test_asked_wrongly(words, says, tmp_path, monkeypatch, capsys):
    done = gipi_here(("study", *words), tmp_path, monkeypatch, capsys)
    assert done.returncode == 2
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []
