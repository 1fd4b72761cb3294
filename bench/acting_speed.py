"""Decisions a second at Pong with and without learning, and what they are made of: python bench/acting_speed.py.

gipi and Stable-Baselines3's DQN (bench/peers/sb3_dqn.py, where the hyper-parameters stand) train by turns, each in a process of
its own; of a contender's settings the fastest counts. SB3 lives in an environment of its own, runs/bench/sb3-venv, made from
bench/peers/sb3.txt on the first run. Writes bench/results/acting_speed.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import gipi
from common import ROOT, RUNS, Row, row, write
from gipi.config import Config, DataConfig, OptimConfig
from gipi.engine.place import decide_place
from gipi.envs.find import open_envs
from gipi.envs.played import Played
from gipi.envs.priorities import Priorities
from gipi.envs.replay import Replay
from gipi.tasks.act import Act
from gipi.tasks.experience import Experience
from peers import environment_of_peers

PONG = "PongNoFrameskip-v4"
OURS = {f"gipi, {precision}, {threads} threads": (precision, threads) for precision in ("fp32", "bf16") for threads in (1, 2)}
PEERS = {
    f"Stable-Baselines3, {envs} x {vec}, {threads} threads": (envs, vec, threads)
    for envs, vec, threads in ((8, "dummy", 1), (8, "dummy", 2), (8, "subproc", 1), (8, "subproc", 2), (1, "dummy", 2))
}
WINDOWS = 5
BATCH, EVERY, REPLAY = 32, 4, 100_000
PLACES, DRAWS = 1_000_000, 500
LONG = 4_000  # decisions of a repeat without learning
SAME = {"steps": 10_000_000, "double": False, "duel": False, "n_step": 1, "prioritised": False, "replay": REPLAY, "warmup": 1_000,
        "every": EVERY, "target": 10_000 // EVERY, "explore": 1, "epsilon": 0.05}  # fmt: skip


def config(**changed: Any) -> Config:
    """The peer's hyper-parameters."""
    like = gipi.RECIPES["dqn-pong"].config
    return replace(
        like,
        data=DataConfig(PONG, batch=BATCH),
        optim=OptimConfig("adam", lr=1e-4, clip=10.0),
        act=replace(like.act, **{**SAME, **changed}),
    )


def train(precision: str, threads: int, seconds: float) -> None:
    """The engine's own step over the task, evaluation and saving left out. Prints decisions/s of each window."""
    torch.manual_seed(0)
    task = Act(config(), decide_place(device="cpu", precision=precision, threads=threads))
    source, rates = task.source(), []
    assert isinstance(source, Experience)
    with tempfile.TemporaryDirectory(dir=RUNS) as folder:
        source.replay.store.open(Path(folder))
        task.step(next(source))
        for span in (seconds / 10, *[seconds / WINDOWS] * WINDOWS):
            start, updates = time.perf_counter(), 0
            while time.perf_counter() - start < span:
                task.step(next(source))
                updates += 1
            rates.append(EVERY * updates / (time.perf_counter() - start))
    print(json.dumps({"decisions_per_s": rates[1:], "weights": sum(weight.numel() for weight in task.player.net.parameters())}))


def contest(seconds: float, rounds: int) -> list[Row]:
    python, me = environment_of_peers("sb3.txt", "sb3-venv"), str(Path(__file__))
    words = {name: [sys.executable, me, "--contender", *map(str, setting)] for name, setting in OURS.items()}
    for name, (envs, vec, threads) in PEERS.items():
        asked = ["--envs", str(envs), "--vec", vec, "--threads", str(threads)]
        words[name] = [python, str(ROOT / "bench" / "peers" / "sb3_dqn.py"), *asked]
    rates: dict[str, list[float]] = {name: [] for name in words}
    for _ in range(rounds):
        for name, said in words.items():
            done = subprocess.run([*said, "--seconds", str(seconds)], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name} failed with exit code {done.returncode}:\n{done.stderr[-4000:]}")
            rates[name] += json.loads(done.stdout.splitlines()[-1])["decisions_per_s"]
            print(f"{name}: {median(rates[name][-WINDOWS:]):,.0f} decisions/s", flush=True)
    note = f"batch {BATCH}, an update every {EVERY} decisions, {rounds} turns of {WINDOWS} windows"
    rows = [row(name, values, "decisions/s", note=note) for name, values in rates.items()]
    theirs = max(PEERS, key=lambda name: median(rates[name]))
    for precision in ("fp32", "bf16"):
        ours = max((name for name in OURS if OURS[name][0] == precision), key=lambda name: median(rates[name]))
        ratios = [mine / other for mine, other in zip(rates[ours], rates[theirs], strict=True)]
        rows.append(row(f"gipi in {precision} over Stable-Baselines3", ratios, "x", note=f"{ours}; {theirs}; target 2"))
    return rows


def times_ms(work: Callable[[], object]) -> list[float]:
    spans = []
    for _ in range(DRAWS):
        start = time.perf_counter()
        work()
        spans.append(1000 * (time.perf_counter() - start))
    return spans[DRAWS // 10 :]


def sampling() -> list[Row]:
    """Of a filled replay in files, and of a tree of priorities."""
    rng, games = np.random.default_rng(0), 8
    replay = Replay(REPLAY, games, (1, 84, 84), pixels=True, history=4, slack=4)
    noise, fresh, going = rng.integers(0, 256, (64, games, 1, 84, 84), np.uint8), np.zeros(games), np.zeros(games, bool)
    with tempfile.TemporaryDirectory(dir=RUNS) as folder:
        replay.store.open(Path(folder))
        for step in range(REPLAY // games + 8):
            replay.see(noise[step % len(noise)], fresh + step % 1000, going)
            replay.note(fresh, fresh, going)
        samples = times_ms(lambda: replay.sample(rng, BATCH))
    tree, everywhere = Priorities(PLACES), np.arange(PLACES)
    tree.add(everywhere)
    tree.set(everywhere, rng.exponential(size=PLACES))

    def turn() -> None:
        index = tree.draw(rng, BATCH)
        tree.weights(index, 0.4)
        tree.set(index, rng.exponential(size=BATCH))

    note = f"{REPLAY:,} frames in files; target 0.3"
    return [
        row(f"sampling of {BATCH} x (4+1) x 84x84", samples, "ms", note=note),
        row(f"prioritised: draw, weights and new priorities of {BATCH}", times_ms(turn), "ms", note=f"of {PLACES:,}"),
    ]


def playing() -> list[Row]:
    """Games alone, by random decisions; and with the net that decides, in both precisions."""
    rows = []
    for games in (1, 4, 8):
        envs, rates = open_envs(PONG, games), []
        played, actions = Played(envs, 0), np.random.default_rng(0).integers(0, len(envs.actions), (LONG // games, games))
        for _ in range(WINDOWS + 1):
            start = time.perf_counter()
            for chosen in actions:
                played.send(chosen)
                played.receive()
            rates.append(len(actions) * games / (time.perf_counter() - start))
        envs.close()
        rows.append(row(f"games alone, {games}", rates[1:], "decisions/s", note=f"{LONG:,} random decisions"))
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        task, rates = Act(config(every=LONG), decide_place(device="cpu", precision=precision)), []
        source = task.source()
        for _ in range(WINDOWS + 1):
            start = time.perf_counter()
            next(source)  # plays until the next update is due
            rates.append(LONG / (time.perf_counter() - start))
        rows.append(row(f"acting alone, 8 games, {precision}", rates[1:], "decisions/s", note=f"{LONG:,} decisions, no update"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of a contender's turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", nargs=2, metavar=("PRECISION", "THREADS"), help="train in this process, and nothing else")
    asked = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    if asked.contender:
        train(asked.contender[0], int(asked.contender[1]), asked.seconds)
        return
    write("acting_speed", [*contest(asked.seconds, asked.rounds), *sampling(), *playing()])


if __name__ == "__main__":
    main()
