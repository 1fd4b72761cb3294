"""What a training keeps beside its last weights: the best ones by the held-out data, and answers of several epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gipi.model import save_model
from gipi.ops.metrics import Metrics, values
from gipi.runs import Run
from gipi.tasks.trained import Trained

SHOWN = 3  # held-out images whose answers the report follows over the epochs


class Best:
    """The weights with the highest held-out score so far; of equal ones the first, or the `last`."""

    def __init__(self, *, last: bool = False) -> None:
        self.score, self.weights = float("-inf"), dict[str, Tensor]()
        self._last = last

    def offer(self, score: float, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Keep a copy of the weights if their score is the highest."""
        if score > self.score or (self._last and score == self.score):
            self.score = score
            self.weights = {name: value.detach().cpu().clone() for name, value in weights().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.score, self.weights = state["score"], state["weights"]


class Course:
    """Answers for the same few images after 1, 2, 4, 8, ... epochs and after the last one of `epochs`."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self._seen = epochs, 0
        self.answers = dict[int, Tensor]()  # by epoch

    def add(self, answers: Tensor) -> None:
        """The answers after one more epoch."""
        self._seen += 1
        if self._seen.bit_count() == 1 or self._seen == self._epochs:
            self.answers[self._seen] = answers

    def state_dict(self) -> dict[str, Any]:
        stacked = torch.stack([*self.answers.values()]) if self.answers else torch.empty(0, dtype=torch.uint8)
        return {"seen": self._seen, "epochs": [*self.answers], "answers": stacked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._seen, self.answers = state["seen"], dict(zip(state["epochs"], state["answers"], strict=True))


def followed(count: int) -> list[int]:
    """Numbers of the held-out images that the report follows, spread over all `count`."""
    return [number * count // SHOWN for number in range(min(SHOWN, count))]


def save_best(path: Path, best: Best, model: Trained) -> None:
    """Write the model with the best weights so far; with those that it has if nothing was held out."""
    if not best.weights:
        model.save(path)
    elif model.place.first:
        save_model(path, best.weights, model.card)


def note_test(run: Run, model: Trained, metrics: Metrics, digest: dict[str, str]) -> None:
    """Put the score on the test set into the model's card and file, and into the run's metrics."""
    numbers = values(metrics)
    model.card = replace(model.card, metrics=numbers, data={**model.card.data, **digest})
    model.save(run.model_path)
    if model.place.first:
        last = run.rows()[-1]
        run.append({"split": "test", "step": last["step"], "steps": last["steps"], "time_s": last["time_s"], **numbers})
