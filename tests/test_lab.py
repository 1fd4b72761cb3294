"""A study runs once: what is done stays done, what was stopped goes on, processes share the work."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from gipi import api, lab
from gipi.config import Config, DataConfig, NetConfig, OptimConfig, RunConfig, TransferConfig
from gipi.errors import ConfigError, RunError
from gipi.runs import Run, claim
from gipi.studies import STUDIES, Claim, Study, Variant
from gipi.tasks.classify import Classify
from oracle.stopped import signalled

BASE = Config(
    net=NetConfig("convstack", {"depth": 2, "width": 4}),
    data=DataConfig("digits", batch=20, limit=200, holdout=0.2),
    optim=OptimConfig("adam", lr=0.02),
    run=RunConfig(epochs=4, device="cpu", precision="fp32"),
)
DEEPER = replace(BASE, net=NetConfig("convstack", {"depth": 3, "width": 4}))
TINY = Study(
    about="is deeper better?",
    cost="2 seconds",
    x="layers",
    variants=(
        Variant("net", 2, BASE),
        Variant("net", 3, DEEPER),
        Variant("again", 2, BASE),
        Variant("all", 2, BASE, ensemble=True),
    ),
    claims=(
        Claim("deeper reads better", "net, 3", "net, 2"),
        Claim("fewer layers are fewer weights", "net, 2", "net, 3", "parameters"),
    ),
    seeds=2,
    activations=("net, 3",),
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(STUDIES, "tiny", TINY)


def trainings(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_a_study_trains_each_configuration_once_and_writes_its_outcome(tmp_path, monkeypatch):
    heard: list[str] = []
    outcome = lab.study("tiny", out=tmp_path, say=heard.append)
    assert (outcome.done, outcome.total, outcome.stopped, len(outcome.findings)) == (4, 4, "", 2)
    assert trainings(tmp_path) == {"net-2-seed0", "net-2-seed1", "net-3-seed0", "net-3-seed1"}
    assert len(heard) == 4
    rows = json.loads((tmp_path / "study.json").read_text())["rows"]
    scores = [100 * api.load(tmp_path / f"net-2-seed{seed}").card.metrics["accuracy"] for seed in range(2)]
    assert rows[0]["accuracy"] == rows[2]["accuracy"] == pytest.approx(scores)
    assert scores[0] != scores[1]
    both = api.evaluate([tmp_path / "net-2-seed0", tmp_path / "net-2-seed1"], "digits").metrics["accuracy"].value
    assert rows[3]["accuracy"] == [pytest.approx(100 * both)]
    assert (rows[0]["parameters"], rows[3]["parameters"]) == (2_166, 4_332)
    assert len(rows[0]["validation"]) == 2
    spread = json.loads((tmp_path / "study.json").read_text())["activations"]["net, 3"]
    assert len(spread) == 3
    assert min(spread) > 0

    monkeypatch.setattr(api, "train", lambda *_, **__: pytest.fail("trained again"))
    (tmp_path / "study.json").unlink()
    assert lab.study("tiny", out=tmp_path) == outcome
    assert (tmp_path / "study.json").exists()


def test_a_stopped_study_goes_on_and_ends_as_a_straight_one(tmp_path, monkeypatch):
    straight = lab.study("tiny", out=tmp_path / "straight")
    train, step, seen, steps = api.train, Classify.step, [], []

    def watched(config, **where):
        seen.append(where["out"].name)
        return train(config, **where)

    def interrupted(self, batch):
        steps.append(len(seen))
        if steps.count(2) == 3:  # in the second training, its third step
            signalled(signal.SIGINT)
        return step(self, batch)

    monkeypatch.setattr(api, "train", watched)
    with monkeypatch.context() as patch:
        patch.setattr(Classify, "step", interrupted)
        stopped = lab.study("tiny", out=tmp_path / "other")
    assert (stopped.stopped, stopped.done, stopped.findings) == ("SIGINT", 1, ())
    assert seen == ["net-2-seed0", "net-3-seed0"]
    assert not (tmp_path / "other" / "study.json").exists()
    assert lab.study("tiny", out=tmp_path / "other").findings == straight.findings
    assert seen[2:] == ["net-2-seed1", "net-3-seed1"]


def test_what_another_process_is_at_is_left_to_it(tmp_path):
    folder = tmp_path / "net-3-seed1"
    with claim(folder) as mine:
        assert mine
        outcome = lab.study("tiny", out=tmp_path)
    assert (outcome.done, outcome.total, outcome.findings) == (3, 4, ())
    assert not (folder / "config.json").exists()
    assert lab.study("tiny", out=tmp_path).done == 4


def test_a_folder_of_something_else_is_refused(tmp_path):
    lab.study("tiny", out=tmp_path)
    config = json.loads((tmp_path / "net-2-seed0" / "config.json").read_text())
    config["optim"]["lr"] = 0.5
    Run(tmp_path / "net-2-seed0").write_json("config.json", config)
    with pytest.raises(RunError, match="another configuration: choose another folder"):
        lab.study("tiny", out=tmp_path)


def test_an_unknown_study_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="no study 'dept'; did you mean 'depth'"):
        lab.study("dept", out=tmp_path)


def test_trainings_that_start_from_weights_are_known_again(tmp_path, monkeypatch):
    """Their net is that of the weights, whatever the study says; and limits count the images of a class."""
    start = replace(BASE, data=replace(BASE.data, limit=10), transfer=TransferConfig("digitnet-tiny-mnist", frozen=1.0))
    variants = Variant("from weights", "10", start), Variant("from nothing", "10", replace(start, transfer=TransferConfig()))
    claims = (Claim("weights help", "from weights, 10", "from nothing, 10"),)
    few = Study("do weights help?", "1 second", "images", variants, claims, seeds=1, per_class=True)
    monkeypatch.setitem(STUDIES, "few", few)
    first = lab.study("few", out=tmp_path)
    assert (first.done, first.total) == (2, 2)
    config = Run.open(tmp_path / "from-weights-10-seed0").config()
    assert (config["net"]["name"], config["data"]["limit"]) == ("digitnet-tiny", 100)
    monkeypatch.setattr(api, "train", lambda *_, **__: pytest.fail("trained again"))
    assert lab.study("few", out=tmp_path) == first
