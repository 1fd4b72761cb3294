"""The Fréchet distance between two sets of features, each taken for a normal distribution.

Source: Dowson and Landau, "The Fréchet distance between multivariate normal distributions", J. Multivariate Analysis 12, 1982;
for generated images Heusel et al., arXiv 1706.08500, who call it FID by the features of Inception:

    |mean_a - mean_b|^2 + trace(A + B - 2 (A B)^(1/2))

It is the square of a distance. From finite sets it comes out too large, the more so the fewer features there are: only distances
of the same counts compare.

Deviation from the published program, which takes the square root of A B by Schur's method and adds 1e-6 to the diagonals where
that fails: with A = R R^T and B = S S^T, the trace of the root is the sum of the singular values of R^T S. That works for
covariances of any rank, and loses no digits of small values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gipi.errors import DataError


@dataclass(frozen=True)
class Moments:
    """Mean and covariance (of n - 1) of `count` features."""

    mean: Float64[Tensor, " d"]
    covariance: Float64[Tensor, "d d"]
    count: int


def moments(features: Float[Tensor, "n d"]) -> Moments:
    """In float64. Raises DataError for fewer than two features, which have no covariance."""
    if len(features) < 2:
        raise DataError(f"a Fréchet distance takes 2 images or more on either side, got {len(features)}: give more")
    values = features.double()
    mean = values.mean(0)
    apart = values - mean
    return Moments(mean, apart.T @ apart / (len(values) - 1), len(values))


def frechet(a: Moments, b: Moments) -> float:
    """The squared distance, 0 or more."""
    root = torch.linalg.svdvals(_factor(a.covariance).T @ _factor(b.covariance)).sum()
    squared = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * root
    return max(0.0, float(squared))  # rounding


def _factor(covariance: Float64[Tensor, "d d"]) -> Float64[Tensor, "d d"]:
    """R with R R^T = covariance."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()
