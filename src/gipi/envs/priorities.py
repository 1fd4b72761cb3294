"""Proportional prioritisation (Schaul et al. 2016, arXiv 1511.05952, section 3.3 and appendix B.2.1) by a sum tree."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64

from gipi.errors import RunError

FAN = 64  # children of a node: 1,000,000 leaves are 4 levels, and a node's 512 bytes are read at once
LEAST = 1e-6  # is added to an error, so that a transition without one is drawn too


class Priorities:
    """How likely each of `size` places is drawn: its priority over the sum of all, 0 where no transition lies.

    Every method takes many places at once and goes through the tree level by level. A sum is computed anew from its children, in
    float64, whenever one changes: no error builds up, and a tree of the same leaves is the same to the bit.

    Deviations from the paper: weights are divided by the greatest of the batch, not of all; a place whose transition was removed
    while its error was computed stays removed.
    """

    def __init__(self, size: int, alpha: float = 0.6) -> None:
        """alpha: 0 draws all alike, 1 in proportion to the error."""
        self.alpha, self._greatest = alpha, 1.0
        self._levels = [np.zeros((-(-size // FAN), FAN))]  # of leaves first; a row is a node's children
        while len(self._levels[-1]) > 1:
            self._levels.append(np.zeros((-(-len(self._levels[-1]) // FAN), FAN)))
        self._leaves = self._levels[0].reshape(-1)[:size]

    def add(self, index: Int64[np.ndarray, " n"]) -> None:
        """New transitions lie there: they get the greatest priority that was ever set, at first 1."""
        self._put(index, self._greatest)

    def remove(self, index: Int64[np.ndarray, " n"]) -> None:
        """Not drawn until they are added again."""
        self._put(index, 0.0)

    def set(self, index: Int64[np.ndarray, " n"], errors: Float[np.ndarray, " n"]) -> None:
        """Priority (|error| + 1e-6) ** alpha. Of an index that comes twice the last error counts; a removed one stays so."""
        priorities = (np.abs(errors.astype(np.float64)) + LEAST) ** self.alpha
        here = self._leaves[index] > 0
        self._greatest = max(self._greatest, float(priorities.max(initial=0.0, where=here)))
        self._put(index[here], priorities[here])

    def draw(self, rng: np.random.Generator, count: int) -> Int64[np.ndarray, " count"]:
        """Stratified: one place from each of `count` equal parts of the sum, in the order of the places.

        Raises RunError where nothing lies.
        """
        total = self.total
        if total == 0:
            raise RunError("no transition to draw from: every priority is 0; add some first")
        sought, node = (np.arange(count) + rng.random(count)) * (total / count), np.zeros(count, np.int64)
        sums, rows = np.zeros((count, FAN + 1)), np.arange(count)
        for level in reversed(self._levels):
            level[node].cumsum(1, out=sums[:, 1:])
            sought = np.minimum(sought, np.nextafter(sums[:, -1], 0))  # rounding must not lead beyond the last child, to a 0
            child = (sums[:, 1:] > sought[:, None]).argmax(1)
            sought, node = sought - sums[rows, child], node * FAN + child
        return node

    def weights(self, index: Int64[np.ndarray, " n"], beta: float) -> Float32[np.ndarray, " n"]:
        """Importance weights of drawn transitions, P(i) ** -beta divided by the greatest of them: above 0, at most 1.

        How many transitions there are, N in the paper, cancels out.
        """
        priorities = self._leaves[index]
        return ((priorities.min() / priorities) ** beta).astype(np.float32)

    @property
    def total(self) -> float:
        return float(self._levels[-1].sum())

    def state_dict(self) -> dict[str, Any]:
        return {"priorities": torch.from_numpy(self._leaves.copy()), "greatest": self._greatest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of as many places. The sums are computed anew."""
        self._leaves[:], self._greatest = state["priorities"].numpy(), state["greatest"]
        for below, above in pairwise(self._levels):
            above.reshape(-1)[: len(below)] = below.sum(1)

    def _put(self, index: np.ndarray, priorities: np.ndarray | float) -> None:
        self._leaves[index] = priorities
        for below, above in pairwise(self._levels):
            index = index // FAN
            above.reshape(-1)[index] = below[index].sum(1)
