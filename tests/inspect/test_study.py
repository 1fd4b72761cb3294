"""Findings say what the numbers say; the table and the figure hold every variant."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import sem

from gipi.config import Config
from gipi.inspect.study import Measured, finding, markdown, write_study
from gipi.studies import Claim, Study, Variant

CLAIM = Claim("deep reads better", "deep", "shallow")


def measured(name, accuracy, *, series="", validation=(), parameters=100):
    variant = Variant(series, name, Config())
    return Measured(variant, {"accuracy": tuple(accuracy)}, tuple(validation), tuple(1.0 for _ in accuracy), parameters, 1_000)


def test_a_clear_difference_holds_or_contradicts():
    shallow, deep = measured("shallow", (97.0, 97.1, 97.2)), measured("deep", (99.0, 99.1, 99.2))
    assert finding(CLAIM, [shallow, deep]) == "Deep reads better: so it is here (deep: 99.10 ± 0.10 %; shallow: 97.10 ± 0.10 %)."
    turned = finding(Claim("shallow reads better", "shallow", "deep"), [shallow, deep])
    assert turned.startswith("Shallow reads better: this study contradicts it, the opposite is measured (")


def test_a_difference_within_the_spread_decides_nothing():
    text = finding(CLAIM, [measured("shallow", (97.0, 99.0)), measured("deep", (97.5, 99.1))])
    assert "not decided here" in text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(9000, 10_000), min_size=2, max_size=5), st.lists(st.integers(9000, 10_000), min_size=2, max_size=5))
def test_the_verdict_is_that_of_two_standard_errors(left, right):
    deep, shallow = np.array(left) / 100, np.array(right) / 100
    text = finding(CLAIM, [measured("deep", deep), measured("shallow", shallow)])
    doubt, gain = 2 * np.hypot(sem(deep), sem(shallow)), deep.mean() - shallow.mean()
    if abs(abs(gain) - doubt) < 1e-9:
        return
    verdict = "so it is here" if gain > doubt else "contradicts" if gain < -doubt else "not decided"
    assert verdict in text


def test_less_of_a_cost_is_better():
    rows = [measured("one 7x7", (99.0,), parameters=49), measured("three 3x3", (99.0,), parameters=27)]
    claim = Claim("three 3x3 need fewer", "three 3x3", "one 7x7", "parameters")
    assert finding(claim, rows) == "Three 3x3 need fewer: so it is here (three 3x3: 27; one 7x7: 49)."


def test_a_series_is_represented_by_its_best_on_validation_not_on_test():
    rows = [
        measured(0.1, (90.0, 90.2), series="adam", validation=(99.0, 99.0)),
        measured(0.01, (95.0, 95.2), series="adam", validation=(98.0, 98.0)),
        measured(0.1, (80.0, 80.2), series="sgd", validation=(80.0, 80.0)),
    ]
    assert "adam, 0.1: 90.10" in finding(Claim("adam is faster", "adam", "sgd"), rows)


def test_everything_is_written(tmp_path):
    study = Study(
        "deeper is better?", "1 minute", "layers", (), (Claim("deep reads better", "net, 4", "net, 2"),), activations=("net, 4",)
    )
    rows = [measured(2, (97.0, 97.1), series="net"), measured(4, (99.0, 99.2), series="net")]
    machine = {"cpu": "a <fast> one", "cores": 2, "system": "any"}
    sentences = write_study(tmp_path, "depth", study, rows, activations={"net, 4": [1.0, 0.5]}, machine=machine)
    assert sentences == [finding(study.claims[0], rows)]
    document = json.loads((tmp_path / "study.json").read_text())
    assert document["findings"] == sentences
    assert document["rows"][1]["accuracy"] == [99.0, 99.2]
    assert "| net | 4 | 99.10 ± 0.14 % | 2 |" in (tmp_path / "table.md").read_text()
    assert markdown(study, rows).count("\n") == 4
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[0] > 500
    page = (tmp_path / "report.html").read_text()
    assert sentences[0] in page
    assert "a &lt;fast&gt; one" in page


@pytest.mark.parametrize("words", [True, False])
def test_the_figure_shows_every_point(words):
    from gipi.inspect.study import figure

    xs = ["book", "decay"] if words else [0.001, 0.1]
    rows = [measured(x, (97.0, 98.0), series=name) for name in ("alone", "together") for x in xs]
    study = Study("?", "1 minute", "x", (), (Claim("a", "alone", "together"),), log=not words)
    [ax] = figure(study, rows, {}).axes
    points = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() in "os"]
    assert [list(line.get_ydata()) for line in points] == [[2.5, 2.5], [2.5, 2.5]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["alone", "together"]
