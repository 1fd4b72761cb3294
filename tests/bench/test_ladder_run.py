"""The ladder from a recipe to its folder, its measurements done in this process; and what a process of its own says."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from PIL import Image

from gipi.bench import ladder as module
from gipi.bench.jobs import JOBS
from gipi.bench.ladder import ladder
from gipi.bench.rungs import GIPI, PLAIN, LeftOut, Rung
from gipi.bench.timing import windows
from gipi.bench.worker import in_process
from gipi.config import Config, DataConfig, NetConfig, RunConfig
from gipi.errors import ConfigError, RunError
from gipi.inspect.layers import layer_table
from gipi.models.kinds import build_net
from gipi.recipes import RECIPES

CONFIG = Config(
    net=NetConfig("convstack", {"depth": 1, "width": 2}),
    data=DataConfig("digits", batch=20, limit=100),
    run=RunConfig(device="cpu", precision="fp32"),
)
RUNGS = [
    Rung(PLAIN, ""),
    Rung("resident data", "", below=PLAIN, resident=True),
    Rung("module.compile()", "", below="resident data", compile_mode="default"),
    Rung(GIPI, "", below="resident data", loop="gipi"),
]


@pytest.fixture
def asked(monkeypatch):
    """Jobs, done here, with windows of one step; no compiler works."""
    jobs = []

    def here(job, processes=1):
        jobs.append((job, processes))
        job = {**job}
        name = job.pop("job")
        if name == "peaks":
            return {"matmul": dict.fromkeys(job["precisions"], 1e9), "copy": 1e9}
        if job["rung"]["compile_mode"]:
            raise RunError("no compiler")
        return {**JOBS[name](**job), "wall_s": 1.0}

    monkeypatch.setattr(module, "in_process", here)
    monkeypatch.setattr(module, "build", lambda net, device: (RUNGS, [LeftOut("bf16", "no units")]))
    monkeypatch.setattr("gipi.bench.jobs.windows", lambda work, place, count: windows(work, place, 1))
    threads = torch.get_num_threads()
    yield jobs
    torch.set_num_threads(threads)


def test_every_rung_is_measured_and_told_and_written(asked, tmp_path):
    said = []
    found = ladder(CONFIG, steps=2, out=tmp_path / "new" / "ladder", say=said.append)
    assert [line.measured.rung.name for line in found.lines] == [PLAIN, "resident data", GIPI]
    assert found.left_out == (LeftOut("bf16", "no units"), LeftOut("module.compile()", "no compiler"))
    assert [words.split("  ")[0] for words in said] == [PLAIN, "resident data", GIPI]
    first, second, own = (line.measured for line in found.lines)
    assert (first.loss, first.accuracy) == pytest.approx((second.loss, second.accuracy), rel=1e-4)
    assert (first.loss, first.accuracy) == pytest.approx((own.loss, own.accuracy), rel=1e-4)
    table = layer_table(build_net("convstack", {"depth": 1, "width": 2}), (1, 28, 28))
    assert found.work.multiply_adds == table.multiply_adds
    written = json.loads((tmp_path / "new" / "ladder" / "ladder.json").read_text())
    assert [rung["name"] for rung in written["rungs"]] == [PLAIN, "resident data", GIPI]
    assert (written["steps"], written["batch"], written["data"]) == (2, 20, "digits")
    assert len(written["rungs"][0]["images_per_s"]) == 5
    assert written["machine"]["versions"]["torch"] == torch.__version__
    with Image.open(tmp_path / "new" / "ladder" / "ladder.png") as picture:
        assert picture.width > 800


def test_the_failure_of_a_rung_that_needs_no_compiler_ends_it(asked, monkeypatch, tmp_path):
    def fails(rung, *others):
        raise RunError("out of memory")

    monkeypatch.setattr(module, "measure", fails)
    with pytest.raises(RunError, match="out of memory"):
        ladder(CONFIG, steps=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_processes_get_the_length_of_a_window_from_the_rung_below(asked, monkeypatch, tmp_path):
    pair = Rung("2 processes", "", below=PLAIN, processes=2)
    monkeypatch.setattr(module, "build", lambda net, device: ([RUNGS[0], pair], []))
    found = ladder(replace(CONFIG, run=replace(CONFIG.run, threads=4)), steps=1, out=tmp_path / "out")
    (_, one, two) = asked
    assert (one[0]["window"], one[1]) == (0, 1)
    assert [job["config"]["run"]["threads"] for job, _ in (one, two)] == [4, 2]
    assert (two[0]["window"], two[1]) == (max(1, round(max(found.lines[0].measured.images_per_s) / 20)), 2)


def test_it_leaves_torchs_random_numbers_alone_but_for_the_jobs(monkeypatch):
    state = torch.get_rng_state()
    module.prepared(CONFIG, 1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("config", "steps", "says"),
    [
        (CONFIG, 0, "steps is 0"),
        (RECIPES["finetune"].config, 1, "--data"),
        (replace(CONFIG, data=DataConfig("digits", batch=5000)), 1, "batch"),
    ],
)
def test_asked_wrongly(asked, config, steps, says, tmp_path):
    with pytest.raises(ConfigError, match=says):
        ladder(config, steps=steps, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_ladder_is_not_written_over(asked, tmp_path):
    (tmp_path / "ladder.json").write_text("{}")
    with pytest.raises(RunError, match="already holds a ladder"):
        ladder(CONFIG, steps=1, out=tmp_path)
    assert asked == []


def test_a_process_of_its_own_says_in_one_line_why_it_has_no_answer():
    config = {**CONFIG.to_json(), "net": {"name": "convstak", "args": {}}}
    with pytest.raises(RunError, match=r"'train' failed: no net 'convstak'; did you mean 'convstack'"):
        in_process({"job": "train", "rung": asdict(RUNGS[0]), "config": config, "steps": 1, "window": 1})
