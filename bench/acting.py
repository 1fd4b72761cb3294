"""How well players play: python bench/acting.py [RECIPE...] [--runs DIR].

Each seed is a run folder below runs/bench; one that is done is not trained again, one that was stopped goes on. Started twice on
two cores (OMP_NUM_THREADS=1), the processes share the seeds, and the last one writes the results. --runs: a finished run in place
of trainings, for one recipe. Of several seeds each is a value, its mean return over the episodes; of one alone, each episode.
Adds to bench/results/acting.json (acting.gpu.json on a CUDA device).
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch

import gipi
from common import Row, over_seeds, row, training_time, write
from gipi.config import Config
from gipi.envs.atari import rom_of
from gipi.envs.scores import NATURE, reference
from gipi.runs import Run

SURER = 0.01  # share of random decisions
SEEDS = {"dqn-catch": 5, "dqn-snake": 3, "dqn-cartpole": 5}  # of the others one


def scored(recipe: str, runs: list[Run]) -> list[Row]:
    config = Config.from_json(runs[0].config())
    tests = [run.rows()[-1] for run in runs]
    about = f"{config.act.episodes} episodes, {100 * config.act.test_epsilon:g} % random decisions"
    split, time = f"{config.data.name}, {about}", training_time(runs)
    if len(runs) > 1:
        returns = [test["return"] for test in tests]
    else:
        played = gipi.evaluate(runs[0].path, config.data.name, episodes=config.act.episodes, epsilon=config.act.test_epsilon)
        returns = played.games.returns
        if abs(statistics.mean(returns) - tests[0]["return"]) > 1e-6:
            raise SystemExit(f"{runs[0].path}: the episodes give {statistics.mean(returns)}, its test {tests[0]['return']}")
    rows = [
        row(f"{recipe}: return", returns, "points", split=split, note=time, mean=True),
        row(f"{recipe}: random play", [test["random"] for test in tests], "points", split=split, mean=True),
        row(f"{recipe}: length", [test["length"] for test in tests], "decisions", split=split, mean=True),
        row(f"{recipe}: training", [test["time_s"] / 60 for test in tests], "min", note=f"{config.act.steps:,} decisions"),
        row(f"{recipe}: drift of Q", [test["drift"] for test in tests], "points", split=split, mean=True),
    ]
    rom = rom_of(config.data.name)
    if rom:  # the source tests with 5 % random decisions, others with fewer
        surer = gipi.evaluate(runs[0].path, config.data.name, episodes=config.act.episodes, epsilon=SURER)
        about = f"{config.data.name}, {config.act.episodes} episodes, {100 * SURER:g} % random decisions"
        rows.append(row(f"{recipe}: return, {100 * SURER:g} % random", surer.games.returns, "points", split=about, mean=True))
    if published := reference(rom):
        rows.append(row(f"{recipe}: published, human", [published.human], "points", note="arXiv 1511.06581"))
        rows.append(row(f"{recipe}: published, random play", [published.random], "points", note="arXiv 1511.06581"))
    if rom in NATURE:
        rows.append(row(f"{recipe}: published, DQN", [NATURE[rom]], "points", note="Nature 518, 2015, 50 M decisions"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="*", default=["dqn-catch", "dqn-cartpole"])
    parser.add_argument("--runs", type=Path)
    args = parser.parse_args()
    name = "acting.gpu" if torch.cuda.is_available() else "acting"
    for recipe in args.recipes:
        runs = [Run.open(args.runs)] if args.runs else over_seeds(recipe, SEEDS.get(recipe, 1))
        if not runs:
            print(f"{recipe}: another process is at the other seeds")
            continue
        if args.runs and (runs[0].config()["recipe"], runs[0].ended()) != (recipe, "done"):
            raise SystemExit(f"{args.runs} is not a finished run of {recipe}")
        write(name, scored(recipe, runs), keep=True)


if __name__ == "__main__":
    main()
