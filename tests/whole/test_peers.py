"""bench/peers.py without the peers: what it runs, and that it ends with an error where the comparison would not be one."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

GOOD = {
    "images_per_s": [100.0, 300.0, 200.0],
    "first_step_s": 1.0,
    "start_s": 2.0,
    "peak_gib": 0.5,
    "parameters": 123_552,
    "accuracy": 0.95,
}


@pytest.fixture
def bench(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "bench")
    monkeypatch.syspath_prepend(root / "bench" / "peers")
    import peers

    return peers


def test_every_contender_is_a_script(root):
    words = [sys.executable, str(root / "bench" / "peers.py"), "--list"]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line[:24].strip() for line in lines] == [
        "gipi",
        "plain PyTorch",
        "PyTorch Lightning",
        "Keras 3 on TensorFlow",
        "Keras 3 on JAX",
        "Flax",
    ]
    for line in lines:
        compile((root / "bench" / "peers" / line[24:].split()[0]).read_text(), line, "exec")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"parameters": 123_551}, "123,551 parameters"),
        ({"images_per_s": [100.0]}, "timed 1 windows"),
        ({"accuracy": 0.899}, "89.9%"),
        ({"accuracy": math.nan}, "nan%"),
    ],
)
def test_what_is_no_comparison_ends_the_bench(bench, change, fault):
    bench.check("Flax", GOOD, 3, 0.9)
    with pytest.raises(SystemExit, match=fault):
        bench.check("Flax", {**GOOD, **change}, 3, 0.9)


def test_a_contender_that_fails_ends_the_bench_with_its_words(bench):
    assert bench.run("good", [sys.executable, "-c", f"print('chatter'); print({json.dumps(GOOD)!r})"]) == GOOD
    with pytest.raises(SystemExit, match="bad failed with exit code 1"):
        bench.run("bad", [sys.executable, "-c", "raise RuntimeError('no such backend')"])


def test_the_fastest_setting_of_the_fastest_peer_counts(bench):
    found = {c.name: {v or "plain": GOOD for v in c.variants} for c in (bench.OURS, *bench.PEERS)}
    found["gipi"] = {"fp32": {**GOOD, "images_per_s": [900.0, 1000.0, 1100.0]}}
    found["plain PyTorch"]["tuned"] = {**GOOD, "images_per_s": [450.0, 250.0, 550.0]}
    rows = {row["name"]: row for row in bench.rows(found)}
    assert rows["plain PyTorch"]["value"] == 450
    assert rows["plain PyTorch, plain"]["value"] == 200
    assert rows["plain PyTorch"]["note"].startswith("tuned;")
    last = rows["gipi over the fastest peer"]
    assert (last["value"], last["low"], last["high"]) == (2, 2, 4)
    assert last["note"].startswith("plain PyTorch;")


def test_the_stopwatch_counts_the_steps_and_keeps_the_warm_up_out(bench, tmp_path, monkeypatch, capsys):
    import contest

    digits = {name: np.zeros((2, 28, 28), np.uint8) for name in ("images", "held_out")}
    np.savez(tmp_path / "digits.npz", **digits, labels=np.zeros(2), held_out_labels=np.zeros(2))
    words = ["--digits", str(tmp_path / "digits.npz"), "--steps", "4", "--windows", "3", "--started", "90"]
    monkeypatch.setattr(sys, "argv", ["contender", *words])
    now = [100.0]
    monkeypatch.setattr(contest.time, "time", lambda: now[0])
    game, steps = contest.Contest(), []

    def step():
        steps.append(now[0])
        # The first step takes 10 s, one of the warm-up 5 s, one of the windows 1, 2 and 4 s.
        now[0] += [10, *[5] * 4, *[1] * 4, *[2] * 4, *[4] * 4][len(steps) - 1]

    game.run(step)
    game.finish(7, lambda: 0.5)
    result = json.loads(capsys.readouterr().out)
    assert len(steps) == game.all_steps == 17
    assert result["first_step_s"] == 10
    assert result["start_s"] == 20
    assert result["images_per_s"] == [100, 50, 25]
    assert (result["parameters"], result["accuracy"]) == (7, 0.5)
