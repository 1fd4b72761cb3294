"""What a training keeps beside its last weights: the best ones by the held-out data, and answers of several epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Best:
    """The weights with the highest held-out score so far; of equal ones the first."""

    def __init__(self) -> None:
        self.score, self.weights = -1.0, dict[str, Tensor]()

    def offer(self, score: float, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Keep a copy of the weights if their score is higher."""
        if score > self.score:
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
