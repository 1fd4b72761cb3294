"""gipi plan as a user meets it."""

import json
import os
import subprocess
import sys

import pytest

from oracle.commands import gipi_here


def gipi(*words):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-m", "gipi", "plan", *words], capture_output=True, text=True, env=env, check=False)


def test_plan_of_a_cluster(tmp_path, monkeypatch, capsys):
    words = ("deepconvnet-book", "--device", "a100", "--gpus", "8", "--nodes", "4", "--batch", "256", "--price", "3")
    done = gipi_here(("plan", *words), tmp_path, monkeypatch, capsys)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for part in (
        "4 x 8 a100, bf16: 256 images a GPU, 8,192 in a step of all",
        "scaling efficiency",
        "FSDP",
        "on 32 GPUs and costs",
    ):
        assert part in done.stdout
    assert "images at most" in done.stdout.splitlines()[-2]


def test_plan_as_json(tmp_path, monkeypatch, capsys):
    words = ("resnet-cifar10", "--net", "digitnet-tiny", "--image", "32", "--device", "t4", "--json")
    done = gipi_here(("plan", *words), tmp_path, monkeypatch, capsys)
    value = json.loads(done.stdout)
    assert (value["net"], value["image"], value["precision"], value["batch"]) == ("digitnet-tiny", [1, 32, 32], "fp32", 128)
    assert value["cost"] is None


@pytest.mark.slow
def test_plan_of_this_machine():
    done = gipi("deepconvnet-digits", "--device", "here", "--precision", "fp32", "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["device"] == "here"
    assert 0 < value["memory"]["ddp"]["base"] < 2e9
    assert value["step_s"] > 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("resnet-cifar11",), 2, "did you mean 'resnet-cifar10'"),
        (("--net", "resnet51"), 2, "did you mean 'resnet"),
        (("--gpus", "0"), 2, "--gpus is 0"),
        (("--precision", "int8"), 2, "int8"),
    ],
)
def test_asked_wrongly(words, code, says, tmp_path, monkeypatch, capsys):
    done = gipi_here(("plan", *words), tmp_path, monkeypatch, capsys)
    assert done.returncode == code, done.stderr
    assert says in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
