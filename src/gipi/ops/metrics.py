"""Mergeable sums and counts: any split of the data over batches, parts or ranks gives the same number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Mean:
    """A mean as its sum and count. `total` may stay a tensor on the device: nothing waits for it before `value` is read."""

    total: float | Tensor
    count: int

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> float:
        return float(self.total) / self.count if self.count else math.nan


Metrics = dict[str, Mean]


def merge(left: Metrics, right: Metrics) -> Metrics:
    """The metrics of both together; a name in one only is kept."""
    return {**left, **{name: left[name] + mean if name in left else mean for name, mean in right.items()}}


def values(metrics: Mapping[str, Mean]) -> dict[str, float]:
    return {name: mean.value for name, mean in metrics.items()}


def correct(scores: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> Mean:
    """Accuracy, 0 to 1: the share of rows whose highest score is at the label."""
    return Mean((scores.argmax(1) == labels).sum(), len(labels))


def confusion_matrix(labels: Int64[Tensor, " n"], answers: Int64[Tensor, " n"], classes: int) -> Int64[Tensor, "k k"]:
    """Counts: row is the label, column the answer. Matrices of parts of a data set add up to that of the whole."""
    return torch.bincount(labels * classes + answers, minlength=classes * classes).reshape(classes, classes)
