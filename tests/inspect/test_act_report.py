"""The report of a player and its figures: the numbers given stand there, gaps stay gaps, Q is told to promise too much or too little."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import asdict
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gipi.config import Config, DataConfig, NetConfig
from gipi.config.act import ActConfig
from gipi.envs.scores import Reference
from gipi.inspect.act_figures import curves, drift, episodes, measured
from gipi.inspect.act_report import drifted, score_table, write_act_report
from gipi.model import Card
from gipi.models.dqn import dqn_mlp, dqn_small
from gipi.preprocess import Preprocess
from gipi.runs import Run
from oracle.pictures import unreadable

ACT = ActConfig(steps=10_000, warmup=1_000, every=4)
RETURNS, LENGTHS = [21.0, 18.0, -3.0], [1700.0, 1800.0, 1900.0]
TEST = {"return": 12.0, "spread": 10.68, "length": 1800.0, "clipped": 11.5, "predicted": 2.5, "realised": 2.0, "random": -20.4}
REFERENCE = Reference(-20.0, 12.0)
PROTOCOL = "3 episodes & <5 %> of the decisions random."


def rows(epochs: int = 2, windows: int = 5, missing: tuple[int, ...] = (2, 3)) -> list[dict[str, Any]]:
    """Of metrics.jsonl: each value tells its step; in some windows no episode ended."""
    found: list[dict[str, Any]] = []
    for step in range(1, epochs * windows + 1):
        about = {"step": 100 * step, "steps": 100 * epochs * windows, "time_s": 2.0 * step}
        ended = {} if step in missing else {"return": step - 20.0, "clipped": step - 21.0, "length": 250.0 * (1 + step % 2)}
        train = {"loss": 1 / step, "q": step / 10, "epsilon": 1 / step, "lr": 1e-4, "samples_per_s": 800.0, "left_s": 1.0}
        found.append({"split": "train", **about, **train, **ended})
        if step % windows == 0:
            judged = {"return": float(step), "spread": 1.0, "clipped": step - 1.0, "length": 400.0}
            found.append({"split": "validation", **about, **judged, "predicted": step / 5, "realised": step / 10})
    return [*found, {**found[-1], "split": "test", **TEST}]


def of(fig: Figure, label: str) -> dict[str, list[list[float]]]:
    """The lines of the panel of that name, by theirs."""
    [ax] = [ax for ax in fig.axes if ax.get_ylabel() == label]
    return {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in ax.lines}


def laid_out(fig: Figure) -> Figure:
    """With everything where it is when it is drawn, and without the ticks' names that are not, being out of view."""
    fig.draw_without_rendering()
    for ax in fig.axes:
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            for tick in axis.get_major_ticks():
                tick.label1.set_visible(low <= tick.get_loc() <= high and tick.label1.get_visible())
    return fig


def gif() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "gif", save_all=True, append_images=frames[1:], duration=66, loop=0)
    return buffer.getvalue()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (50, 20)).save(buffer, "png")
    return buffer.getvalue()


def written(folder: Path, *, numbers: bool = False, bare: bool = False) -> str:
    """The report of a run that never was. numbers: it sees no pixels.  bare: of scores and films nothing but what there always is."""
    config = Config(recipe="<script>", kind="act", net=NetConfig("dqn-small"), data=DataConfig("$x_{$", batch=32), act=ACT)
    run = Run.create(config.to_json(), folder / "run")
    for row in rows():
        run.append(row)
    image = (4, 1, 1) if numbers else (4, 16, 16)
    card = Card("act", "dqn-small", {}, ("left", "stay", "right"), Preprocess(image, "resize"), metrics=TEST)
    without = {name: value for name, value in TEST.items() if not bare or name in ("return", "spread", "length")}
    write_act_report(
        run,
        dqn_mlp(actions=3) if numbers else dqn_small(),
        card,
        test=without,
        returns=RETURNS,
        lengths=LENGTHS,
        protocol=PROTOCOL,
        reference=None if bare else REFERENCE,
        film=None if bare else gif(),
        saliency=png(),
    )
    return (run.path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("report"))


def texts(page: str, tag: str) -> list[str]:
    return [unescape(text) for text in re.findall(f"<{tag}[^>]*>([^<]*)</{tag}>", page)]


def test_report_holds_every_section_and_the_numbers_given(page: str) -> None:
    assert texts(page, "h2") == [
        *("Score", "Course of the training", "Q against what came true", "Returns of the test episodes", "The game"),
        *("Which pixels move Q", "Layers", "Configuration", "Machine"),
    ]
    assert "<script" not in page
    assert PROTOCOL in texts(page, "p")
    assert drifted(2.5, 2.0, 0.05) in texts(page, "p")
    facts = list(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
    assert facts[:5] == [
        *(("test return", "12.00"), ("spread", "10.68"), ("random play", "-20.40"), ("human-normalised", "100.0 %")),
        ("test episodes", "3"),
    ]
    cells = texts(page, "td")
    for name, value in (
        *(("mean return", "12.00"), ("spread", "10.68"), ("least", "-3.00"), ("most", "21.00"), ("clipped", "11.50")),
        *(("random play", "-20.40"), ("random play, published", "-20.00"), ("human, published", "12.00")),
        *(("human-normalised", "100.0 %"), ("length", "1,800"), ("episodes", "3")),
    ):
        assert cells[cells.index(name) + 1] == value, name
    assert '<td class="number">-20.40</td>' in page, "a number below zero is one"


def test_play_is_counted_in_decisions_and_episodes(page: str) -> None:
    facts = dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
    assert facts["decisions"] == "5,000"  # 1,000 at random, then 4 before each of 1,000 updates
    assert facts["training episodes"] == "about 15"  # of 250 and 500 decisions in turn: 5,000 * (1/250 + 1/500) / 2
    assert facts["training"] == "20 s"
    assert not any("epochs" in value for value in facts.values())


def test_a_film_stays_a_film_and_a_picture_a_picture(page: str) -> None:
    found = re.findall('alt="([^"]+)" src="data:image/(gif|png);base64,([^"]+)"', page)
    kinds = {name: (kind, base64.b64decode(data)) for name, kind, data in found}
    assert kinds["The game"] == ("gif", gif())
    assert kinds["Which pixels move Q"] == ("png", png())
    assert [kind for kind, _ in kinds.values()].count("gif") == 1
    assert Image.open(io.BytesIO(kinds["Course of the training"][1])).width == 1120


def test_configuration_is_of_players_and_pixels_have_fields(page: str) -> None:
    cells = texts(page, "td")
    assert cells[cells.index("act.warmup") + 1] == "1000"
    assert not [cell for cell in cells if cell.startswith("gan.")]
    assert {"field", "jump"} <= {*texts(page, "th")}


def test_of_numbers_no_fields_and_of_what_is_not_there_nothing_is_told(tmp_path: Path) -> None:
    page = written(tmp_path, numbers=True, bare=True)
    assert texts(page, "h2") == [
        *("Score", "Course of the training", "Returns of the test episodes", "Which numbers move Q"),
        *("Layers", "Configuration", "Machine"),
    ]
    assert not {"field", "jump"} & {*texts(page, "th")}
    assert not {"random play", "human-normalised"} & {*texts(page, "dt"), *texts(page, "td")}
    net = dqn_mlp(actions=3)
    assert f"{sum(weight.numel() for weight in net.parameters()):,}" in texts(page, "dd")


def test_score_lies_between_published_random_play_and_human() -> None:
    for score, share in ((-20.0, "0.0 %"), (-4.0, "50.0 %"), (12.0, "100.0 %"), (-36.0, "-50.0 %")):
        _, lines = score_table({**TEST, "return": score}, RETURNS, REFERENCE)
        assert next(line for line in lines if line[0] == "human-normalised")[1] == share


def test_drift_is_told_both_ways() -> None:
    assert "promises 2.5 on average, and 2 came true" in drifted(2.5, 2.0, 0.0)
    assert "overestimates what comes true by 0.5, 25 % of it." in drifted(2.5, 2.0, 0.0)
    assert "underestimates what comes true by 0.5, 25 % of it." in drifted(1.5, 2.0, 0.0)
    assert "overestimates what comes true by 0.5, 25 % of it." in drifted(-1.5, -2.0, 0.0)
    assert "underestimates what comes true by 0.5, 25 % of it." in drifted(-2.5, -2.0, 0.0)
    assert "right to within 2 %" in drifted(2.01, 2.0, 0.0)
    assert "right to within 2 %" in drifted(0.0, 0.0, 0.0)
    assert "overestimates what comes true by 0.5." in drifted(0.5, 0.0, 0.0)
    assert "random decisions" in drifted(2.5, 2.0, 0.05)
    assert "random decisions" not in drifted(1.5, 2.0, 0.05)


def test_each_number_has_its_line_by_decisions() -> None:
    fig = curves(measured(rows(), asdict(ACT), batch=32))
    assert [ax.get_ylabel() for ax in fig.axes] == [
        *("return", "return, clipped", "length, decisions", "epsilon", "decisions/s", "loss"),
    ]
    returns = of(fig, "return")
    assert returns["training"][0] == [1_400, -19]
    assert returns["validation"] == [[3_000, 5], [5_000, 10]]
    assert returns["test"] == [[5_000, 12]]
    assert [y for _, y in returns["random play"]] == [-20.4, -20.4]
    assert of(fig, "return, clipped")["validation"] == [[3_000, 4], [5_000, 9]]
    assert of(fig, "epsilon")["training"][3] == [2_600, 25]
    assert of(fig, "decisions/s")["training"][0] == [1_400, 100], "800 transitions a second, 32 of them every 4 decisions"
    assert not unreadable(laid_out(fig))


def test_where_no_episode_ended_a_line_has_a_gap() -> None:
    fig = curves(measured(rows(), asdict(ACT), 32))
    for name in ("return", "return, clipped", "length, decisions"):
        values = np.array(of(fig, name)["training"])[:, 1]
        assert np.flatnonzero(np.isnan(values)).tolist() == [1, 2], "not zeros, nor bridged"


def test_long_trainings_are_smoothed_over_what_is_there() -> None:
    missing = tuple(n for n in range(1, 301) if n % 3 or 100 < n <= 150)
    fig = curves(measured(rows(30, 10, missing), asdict(ACT), 32))
    faint, bold = fig.axes[0].lines[:2]
    assert np.isfinite(np.asarray(faint.get_ydata(), float)).sum() == 300 - len(missing)
    steps, means = (np.asarray(values, float) for values in bold.get_data())
    assert len(means) == 291
    first = [n - 20 for n in range(1, 11) if n % 3 == 0]
    assert means[0] == pytest.approx(np.mean(first))
    assert steps[0] == pytest.approx(1_000 + 400 * 5.5)
    assert np.isnan(means).sum() == 143 - 100 + 1, "windows of ten between 99 and 153, where nothing ended"


def test_figures_of_little_and_of_what_is_not_finite() -> None:
    assert [text.get_text() for text in curves([]).texts] == ["No measurements yet."]
    odd = [{"split": "train", "step": 1, "loss": float("nan"), "epsilon": 1.0}]
    assert [ax.get_ylabel() for ax in curves(measured(odd, asdict(ACT), 32)).axes] == ["epsilon"]
    laid_out(drift([]))
    long = measured(rows(30, 10), {**asdict(ACT), "every": 10_000}, 32)
    for fig in (curves(long), drift(long)):
        assert not unreadable(laid_out(fig))


def test_what_q_promised_stands_beside_what_came_true() -> None:
    fig = drift(measured(rows(), asdict(ACT), 32))
    lines = of(fig, "discounted return")
    assert lines["predicted"] == [[3_000, 1], [5_000, 2]]
    assert lines["came true"] == [[3_000, 0.5], [5_000, 1]]
    assert lines["predicted, test"] == [[5_000, 2.5]]
    assert lines["came true, test"] == [[5_000, 2]]
    assert lines["predicted, where learnt from"][-1] == [5_000, 1]


@pytest.mark.parametrize(
    "returns", [[1.0] * 30, [-1.0, 1.0], [21.0, 17.0, 17.0, 19.0], [0.5], [123456.0, 7.25, 3.0], [*map(float, range(100))]]
)
def test_each_episode_is_in_a_bar(returns: list[float]) -> None:
    fig = laid_out(episodes(returns, [250.0 * (1 + n) for n in range(len(returns))]))
    for ax, values in zip(fig.axes, (returns, [250.0 * (1 + n) for n in range(len(returns))]), strict=True):
        bars = [patch for patch in ax.patches if hasattr(patch, "get_height")]
        assert sum(bar.get_height() for bar in bars) == len(values)
        low, high = ax.get_xlim()
        assert low < min(values) <= max(values) < high
        assert ax.lines[0].get_xdata()[0] == pytest.approx(np.mean(values))
    assert not unreadable(fig)
