"""gipi bench as a user meets it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from gipi.bench import ladder as ladders
from gipi.bench import scale as scales
from gipi.bench.rungs import GIPI, PLAIN, Rung
from gipi.bench.table import Measured
from gipi.bench.timing import windows
from gipi.bench.worker import in_process
from gipi.cli.bench import DataArgs, bench
from gipi.config import DataConfig
from gipi.engine.machine import cores
from gipi.errors import RunError
from gipi.recipes import RECIPES

RUNGS = [Rung(PLAIN, ""), Rung(GIPI, "", below=PLAIN, loop="gipi")]


@pytest.fixture
def accuracy(monkeypatch, tmp_path):
    """Two rungs, made up; the accuracy of the second is what a test sets."""
    read = {PLAIN: 0.95, GIPI: 0.95, "1 process": 0.95, "2 processes": 0.95}

    def measured(rung, config, steps, below):
        return Measured(rung, (100.0,) * 5 if below is None else (150.0,) * 5, read[rung.name], 1000, 0.1, 1.0, 1 << 30, 0)

    monkeypatch.setattr(ladders, "measure", measured)
    monkeypatch.setattr(scales, "measure", measured)
    monkeypatch.setattr(scales, "most_processes", lambda device: 2)
    monkeypatch.setattr(ladders, "build", lambda net, device: (RUNGS, []))
    monkeypatch.setattr(ladders, "in_process", lambda job: {"matmul": {"fp32": 1e9}, "copy": 1e9})
    monkeypatch.chdir(tmp_path)
    return read


def test_the_ladder_is_printed_and_written(accuracy, capsys, tmp_path):
    assert bench(["ladder", "deepconvnet-digits"]) == 0
    out, err = capsys.readouterr()
    assert [line[:18].strip() for line in out.splitlines()[1:3]] == [PLAIN, GIPI]
    assert "product 1 GFLOP/s in fp32" in out
    assert err.splitlines()[0].startswith(PLAIN)
    assert "runs/bench-ladder-001/ladder.png" in err
    assert (tmp_path / "runs" / "bench-ladder-001" / "ladder.png").exists()
    assert bench(["ladder", "deepconvnet-digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "deepconvnet-digits"
    assert (tmp_path / "runs" / "bench-ladder-002" / "ladder.json").exists()


def test_a_rung_that_learns_less_makes_it_fail(accuracy, capsys):
    accuracy[GIPI] = 0.9
    assert bench(["ladder", "deepconvnet-digits"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[2].endswith("WRONG")
    assert f"{GIPI} learns less" in err


def test_scale_prints_the_efficiency_and_fails_likewise(accuracy, capsys):
    assert bench(["scale", "deepconvnet-digits", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["processes"], row["efficiency"]) for row in rows] == [(1, 1.0), (2, 1.5)]
    accuracy["2 processes"] = 0.9
    assert bench(["scale", "deepconvnet-digits"]) == 1
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize(("question", "key"), [("step", "bound_share"), ("data", "share")])
def test_a_single_question(question, key, capsys, monkeypatch):
    monkeypatch.setattr("gipi.bench.bound.LAYER_S", 0.0)
    monkeypatch.setattr(f"gipi.bench.{question}.windows", lambda work, place: windows(work, place, 1))
    monkeypatch.setattr("gipi.bench.step.matmul_peak", lambda place: 1e9)
    assert bench([question, "deepconvnet-digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[key] > 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "usage: gipi bench"),
        (("laddr",), 2, "did you mean 'ladder'"),
        (("ladder", "deepconvnet-mnits"), 2, "did you mean 'deepconvnet-mnist'"),
        (("data", "finetune"), 2, "--data"),
        (("ladder", "--steps", "0", "--data", "digits"), 2, "steps is 0"),
        (("scale", "--processes", "0", "--data", "digits"), 2, "processes is 0"),
        (("scale", "--processes", "9999", "--data", "digits"), 1, "give --processes"),
        (("step", "deepconvnet-digits", "--net", "vgg16"), 2, "leave the recipe and --data out"),
        (("step", "--net", "vgg61"), 2, "did you mean"),
        (("step", "deepconvnet-digits", "--batch", "0"), 2, "data.batch"),
        (("predict", "no-such-model"), 1, "no-such-model"),
        (("predict",), 2, "MODEL"),
    ],
)
def test_asked_wrongly(words, code, says, tmp_path, monkeypatch, capsys):
    from gipi import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["gipi", "bench", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    assert end.value.code == code
    assert says in out + err
    assert list(tmp_path.iterdir()) == []
    assert logging.getLogger("gipi").handlers == []  # the next call says what it has to say once, and to its own stderr


@pytest.mark.parametrize(
    ("given", "recipe"),
    [
        ({}, "deepconvnet-mnist"),
        ({"data": "digits"}, "deepconvnet-mnist"),
        ({"data": "hymenoptera"}, "finetune"),
        ({"data": "."}, "finetune"),
        ({"recipe": "scratch", "data": "."}, "scratch"),
    ],
)
def test_pictures_of_any_size_have_a_recipe_of_their_own(given, recipe):
    config = DataArgs(**given).config()
    assert config.recipe == recipe
    assert config.data.name == given.get("data", "mnist")


def test_help_needs_no_torch():
    code = "import sys; from gipi.cli.bench import bench\ntry: bench(['--help'])\nexcept SystemExit: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ladder" in done.stdout


@pytest.mark.slow
def test_the_whole_ladder_and_the_processes_on_small_digits(tmp_path):
    """Every rung of this machine in processes of their own: each has an accuracy, none is wrong."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "gipi",
        "bench",
        "ladder",
        "deepconvnet-digits",
        "--steps",
        "40",
        "--out",
        "ladder",
        "--json",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    rungs = json.loads(done.stdout)["rungs"]
    assert {PLAIN, "channels_last", "resident data", GIPI} <= {rung["name"] for rung in rungs}
    assert rungs[-1]["processes"] == (2 if cores() > 1 else 1)
    assert all(len(rung["images_per_s"]) >= 5 and rung["accuracy"] > 0.3 and rung["peak_bytes"] > 0 for rung in rungs)


@pytest.mark.slow
def test_what_several_processes_have_against_a_job_is_said_in_one_line():
    config = replace(RECIPES["deepconvnet-digits"].config, data=DataConfig("digits", batch=1))
    job = {"job": "train", "rung": asdict(replace(RUNGS[1], processes=2)), "config": config.to_json(), "steps": 1, "window": 1}
    with pytest.raises(RunError, match="a batch of 1 for 2 processes"):
        in_process(job, processes=2)


@pytest.mark.slow
def test_predict_measures_both_paths(tmp_path):
    done = subprocess.run([sys.executable, "-m", "gipi", "bench", "predict", "digitnet-tiny-mnist", "--json"], cwd=tmp_path,
                          capture_output=True, text=True, check=True)  # fmt: skip
    found = json.loads(done.stdout)
    assert [(row["path"], row["batch"]) for row in found["rows"]] == [
        ("default", 1),
        ("eager", 1),
        ("default", 32),
        ("eager", 32),
    ]
    assert all(row["p50_ms"] <= row["p95_ms"] and row["images_per_s"]["n"] == 5 for row in found["rows"])
    assert found["difference"] < 0.05
