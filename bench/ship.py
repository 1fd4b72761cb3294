"""Make a run's model one that comes with the package: python bench/ship.py RUN NAME.

The weights are stored in half precision where that loses nothing: if one answer on the test set changes, they stay as they are.
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
    changed = sum(old != new for old, new in zip(_plain(before.answers), _plain(after.answers), strict=True))
    if changed:
        save_model(out, weights, card)
        print(f"half precision changes {changed:,} of {len(before.answers):,} images' answers")
    name, score = next(iter(before.metrics.items()))
    print(f"{out}: {out.stat().st_size:,} bytes, {name} on {data} {score.value:.2%}")


def _plain(answers: Tensor | tuple[str, ...]) -> list[Any]:
    return answers.tolist() if isinstance(answers, Tensor) else list(answers)


if __name__ == "__main__":
    main()
