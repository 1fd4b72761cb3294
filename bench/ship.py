"""Make a run's model one that comes with the package: python bench/ship.py RUN NAME.

The weights are stored in half precision where that loses nothing: if one answer on the test set changes, they stay as they are.
A generator's image has changed if one of its pixels has by more than a 255th. A player must not play worse: its mean return must
not fall by more than the standard error.
"""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

import gipi
from gipi.config import Config
from gipi.model import WEIGHTS, find_model, load_model, save_model
from gipi.runs import Run


def main() -> None:
    run, name = sys.argv[1:]
    weights, card = load_model(find_model(run))
    data = gipi.RECIPES[card.recipe].config.data.name
    out = WEIGHTS / f"{name}.safetensors"
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    save_model(out, halves, card)
    if card.kind == "act":
        _ship_player(run, out, data)
        return
    before, after = (gipi.evaluate(model, data) for model in (run, out))
    old, new = before.answers, after.answers
    if card.kind == "generate":
        changed = int(((old.int() - new.int()).abs() > 1).flatten(1).any(1).sum())
    else:
        changed = sum(one != other for one, other in zip(_plain(old), _plain(new), strict=True))
    if changed:
        save_model(out, weights, card)
        print(f"half precision changes {changed:,} of {len(old):,} images")
    name, score = next(iter(before.metrics.items()))
    print(f"{out}: {out.stat().st_size:,} bytes, {name} on {data} {score.value:.4f}")


def _ship_player(run: str, out: Path, data: str) -> None:
    act = Config.from_json(Run.open(Path(run)).config()).act
    old, new = (gipi.evaluate(model, data, episodes=act.episodes, epsilon=act.test_epsilon).games.returns for model in (run, out))
    if statistics.mean(new) < statistics.mean(old) - statistics.stdev(old) / math.sqrt(len(old)):
        save_model(out, *load_model(find_model(run)))
        print(f"half precision plays worse: {statistics.mean(new):.2f}")
    print(f"{out}: {out.stat().st_size:,} bytes, return {statistics.mean(old):.2f}, in half precision {statistics.mean(new):.2f}")


def _plain(answers: Tensor | tuple[str, ...]) -> list[Any]:
    return answers.tolist() if isinstance(answers, Tensor) else list(answers)


if __name__ == "__main__":
    main()
