"""The ladder's arithmetic on made-up measurements."""

from __future__ import annotations

import math

import pytest

from gipi.bench.picture import ladder_figure
from gipi.bench.rungs import PLAIN, LeftOut, Rung
from gipi.bench.table import Measured, Peaks, Work, falls, lines, text
from gipi.bench.timing import Spread

RUNGS = [
    Rung("NumPy", "", loop="numpy"),
    Rung(PLAIN, "", below="NumPy"),
    Rung("bf16", "", below=PLAIN, precision="bf16"),
    Rung("module.compile()", "", below="bf16", precision="bf16", compile_mode="default"),
    Rung("CUDA graphs", "", below="module.compile()", precision="bf16", compile_mode="reduce-overhead"),
]
WORK = Work(multiply_adds=1000, values=10)
PEAKS = Peaks({"fp32": 6e6, "bf16": 12e6}, copy=1.6e6)
SPEEDS = {
    "NumPy": (90, 100, 400, 100, 110),
    PLAIN: (200,) * 5,
    "bf16": (500,) * 5,
    "module.compile()": (250,) * 5,
    "CUDA graphs": (1000,) * 5,
}


def measured(name, accuracy=0.95):
    rung = next(rung for rung in RUNGS if rung.name == name)
    return Measured(rung, tuple(map(float, SPEEDS[name])), accuracy, 5000, 0.1, 2.0, 3 << 29, 0)


def table(*names, **accuracies):
    return {
        line.measured.rung.name: line
        for line in lines([measured(name, accuracies.get(name, 0.95)) for name in names], RUNGS, WORK, PEAKS)
    }


def test_speed_ups_are_of_medians_over_the_rung_below_and_over_the_first():
    ladder = table(*SPEEDS)
    assert {name: (line.over_below, line.over_first) for name, line in ladder.items()} == {
        "NumPy": (1.0, 1.0),
        PLAIN: (2.0, 2.0),
        "bf16": (2.5, 5.0),
        "module.compile()": (0.5, 2.5),
        "CUDA graphs": (4.0, 10.0),
    }
    assert ladder["NumPy"].speed == Spread(100, 90, 400, 5)


def test_a_rung_on_one_that_was_left_out_is_held_against_the_next_below():
    ladder = table("NumPy", PLAIN, "bf16", "CUDA graphs")
    assert ladder["CUDA graphs"].below == "bf16"
    assert ladder["CUDA graphs"].over_below == 2.0
    assert table(PLAIN, "bf16")[PLAIN].below == ""


def test_shares_of_the_peaks():
    ladder = table(*SPEEDS)
    # 3 passes of 2 x 1000 operations an image: 200 x 6000 of 6e6 in fp32, 500 x 6000 of 12e6 in bf16.
    assert ladder[PLAIN].matmul_share == pytest.approx(0.2)
    assert ladder["bf16"].matmul_share == pytest.approx(0.25)
    # 10 values and their gradients, written and read: 4 x 10 x 4 bytes an image in fp32, x 2 in bf16.
    assert ladder[PLAIN].copy_share == pytest.approx(200 * 160 / 1.6e6)
    assert ladder["bf16"].copy_share == pytest.approx(500 * 80 / 1.6e6)


def test_an_accuracy_that_falls_by_more_than_chance_is_wrong():
    ladder = table(*SPEEDS, bf16=0.92)
    assert [name for name, line in ladder.items() if line.wrong] == ["bf16"]
    assert ladder["bf16"].change == pytest.approx(-0.03)
    assert "WRONG" in text(list(ladder.values()), [])
    assert "WRONG" not in text(list(table(*SPEEDS).values()), [])


def test_chance_is_three_standard_errors_of_the_difference():
    error = math.sqrt((0.95 * 0.05 + 0.94 * 0.06) / 5000)
    assert 3 * error > 0.01
    assert not falls(0.94, 0.95, 5000)
    assert falls(0.94, 0.95, 10 * 5000)
    assert not falls(0.96, 0.95, 10**9)
    assert not falls(1.0, 1.0, 10)


def test_the_table_says_all():
    said = text(list(table(*SPEEDS).values()), [LeftOut("fp16", "this CPU has no units for it")])
    rows = {line[: len("module.compile()")].strip(): line for line in said.splitlines()}
    assert rows["bf16"].split() == [
        "bf16",
        "500",
        "500",
        "500",
        "2.50",
        "5.00",
        "25.0%",
        "2.5%",
        "1.50",
        "GiB",
        "95.00%",
        "+0.00",
    ]
    assert "module.compile(): the first step took 2.0 s" in said
    assert said.splitlines()[-1] == "left out  fp16: this CPU has no units for it"


def test_the_picture_has_a_bar_for_each_rung_as_long_as_it_is_fast():
    figure = ladder_figure(list(table(*SPEEDS, bf16=0.5).values()), [LeftOut("fp16", "no units")], title="digits")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [100, 200, 500, 250, 1000]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(SPEEDS)
    assert ["WRONG" in note.get_text() for note in axes.texts] == [False, False, True, False, False]
    assert any("left out  fp16: no units" in note.get_text() for note in figure.texts)
