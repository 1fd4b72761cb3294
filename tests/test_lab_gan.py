"""A study of generators: told by distance, precision and recall, of which less of the first is better."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gipi import api, lab
from gipi.config import Config, DataConfig, GanConfig, NetConfig, OptimConfig, RunConfig
from gipi.inspect.study import Measured, cells, figure, finding
from gipi.runs import Run
from gipi.studies import STUDIES, Claim, Study, Variant, on_data
from oracle.pictures import unreadable

BASE = Config(
    kind="generate",
    net=NetConfig("dcgan", {"width": 4}),
    data=DataConfig("digits", batch=50, holdout=0.0, limit=150),
    optim=OptimConfig("adam", lr=2e-4, beta1=0.5),
    gan=GanConfig(judge="random", samples=20),
    run=RunConfig(epochs=1, device="cpu", precision="fp32"),
)
TINY = Study(
    about="does the hinge help?",
    cost="1 second",
    x="loss",
    variants=(Variant("", "paper", BASE), Variant("", "hinge", replace(BASE, gan=replace(BASE.gan, loss="hinge")))),
    claims=(
        Claim("the hinge lowers the distance", "hinge", "paper", "frechet"),
        Claim("and recalls more", "hinge", "paper", "recall"),
    ),
    seeds=2,
    scores=("frechet", "precision", "recall"),
)


def measured(name: str, *frechet: float, series: str = "", validation: tuple[float, ...] = ()) -> Measured:
    scores = {"frechet": frechet, "precision": (12.5,), "recall": (50.0,)}
    return Measured(Variant(series, name, Config()), scores, validation, (1.0,), 100, 1_000)


@pytest.mark.filterwarnings("ignore::gipi.errors.GipiWarning")  # three steps teach nothing: the images are alike
def test_a_study_of_generators_tells_their_distance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    heard: list[str] = []
    outcome = lab.study("tiny", out=tmp_path, say=heard.append)
    assert (outcome.done, outcome.total, len(outcome.findings)) == (4, 4, 2)
    tests = [next(row for row in Run(tmp_path / f"paper-seed{seed}").rows() if row["split"] == "test") for seed in range(2)]
    assert heard[0] == f"1/4  paper-seed0  test Fréchet distance {tests[0]['frechet']:.2f}"
    row = json.loads((tmp_path / "study.json").read_text())["rows"][0]
    assert row["frechet"] == [test["frechet"] for test in tests]
    assert row["precision"] == [100 * test["precision"] for test in tests]
    assert row["recall"] == [100 * test["recall"] for test in tests]
    assert len(row["validation"]) == 2
    assert row["parameters"] == sum(weight.numel() for weight in api.load(tmp_path / "paper-seed0").net.parameters())
    header = (tmp_path / "table.md").read_text().splitlines()[0]
    assert header.startswith("| variant | loss | test Fréchet distance | test precision | test recall | seeds |")
    assert (tmp_path / "figure.png").exists()
    monkeypatch.setattr(api, "train", lambda *_, **__: pytest.fail("trained again"))
    assert lab.study("tiny", out=tmp_path) == outcome


def test_less_distance_is_better_and_has_no_percent_sign() -> None:
    near, far = measured("hinge", 2.0, 2.5), measured("paper", 9.0, 9.5)
    claim = TINY.claims[0]
    assert finding(claim, [near, far]) == "The hinge lowers the distance: so it is here (hinge: 2.25 ± 0.35; paper: 9.25 ± 0.35)."
    assert "contradicts" in finding(replace(claim, better="paper", worse="hinge"), [near, far])
    assert "12.50 %" in finding(replace(claim, measure="precision"), [near, far])
    _, rows = cells(TINY, [near, far])
    assert rows[0][2:5] == ["2.25 ± 0.35", "12.50 %", "50.00 %"]


def test_a_series_is_represented_by_its_least_distance_on_validation() -> None:
    rows = [measured("a", 5.0, series="hinge", validation=(1.0,)), measured("b", 4.0, series="hinge", validation=(2.0,))]
    rows.append(measured("c", 9.0, series="paper", validation=(3.0,)))
    assert "(hinge, a: 5.00; paper, c: 9.00)" in finding(TINY.claims[0], rows)


def test_the_figure_of_the_study_can_be_read() -> None:
    study = STUDIES["gan"]
    scores = {"frechet": (3.0, 0.5, 4.0), "precision": (80.0, 90.0, 70.0), "recall": (10.0, 20.0, 12.0)}
    rows = [Measured(variant, scores, (), (1.0,) * 3, 100, 1_000) for variant in study.variants]
    claims = tuple(Claim("more of it", "paper", "hinge", measure) for measure in study.scores)
    fig = figure(replace(study, claims=claims), rows, {})
    fig.draw_without_rendering()
    assert [ax.get_ylabel() for ax in fig.axes] == ["Fréchet distance", "precision, %", "recall, %"], "and no empty fourth"
    words = {label.get_text() for ax in fig.axes for label in ax.get_xticklabels()}
    assert words >= {str(variant.x) for variant in study.variants}
    assert not [texts for texts in unreadable(fig) if len(texts) == 1 and words & {*texts}], "all lie within the figure"
    upright = [label for ax in fig.axes for label in ax.get_xticklabels() if label.get_rotation() == 0]
    assert not upright, "so many words stand slanted, not upon each other"


def test_every_choice_differs_from_the_plain_recipe_in_one_thing() -> None:
    study = STUDIES["gan"]
    for series in {variant.series for variant in study.variants}:
        [plain] = [variant.config for variant in study.variants if variant.name == f"{series}, plain"]
        assert (plain.optim.beta1, plain.gan.loss, plain.optim.ema) == (0.5, "non-saturating", 0.0)
        for variant in study.variants:
            if variant.series == series and variant.config != plain:
                changed = [
                    name
                    for name in ("net", "data", "optim", "gan", "run")
                    if getattr(variant.config, name) != getattr(plain, name)
                ]
                assert len(changed) == 1, variant.name
    steps = [one.config.run.epochs * ((one.config.data.limit or 60_000) // one.config.data.batch) for one in study.variants]
    assert max(steps) < 1.02 * min(steps), "few images are seen more often"
    moved = on_data(study, "digits", 1437, 10)
    assert {variant.config.gan for variant in moved.variants} == {variant.config.gan for variant in study.variants}
