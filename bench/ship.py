"""Make a run's model one that comes with the package: python bench/ship.py RUN NAME.

The weights are stored in half precision where that loses nothing: if one answer on the test set changes, they stay as they are.
A generator's image has changed if one of its pixels has by more than a 255th.
"""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor

import gipi
from gipi.model import WEIGHTS, find_model, load_model, save_model


def main() -> None:
    run, name = sys.argv[1:]
    weights, card = load_model(find_model(run))
    data = gipi.RECIPES[card.recipe].config.data.name
    out = WEIGHTS / f"{name}.safetensors"
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    save_model(out, halves, card)
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


def _plain(answers: Tensor | tuple[str, ...]) -> list[Any]:
    return answers.tolist() if isinstance(answers, Tensor) else list(answers)


if __name__ == "__main__":
    main()
