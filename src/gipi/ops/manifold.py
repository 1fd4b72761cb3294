"""Precision and recall of generated images, and the known images nearest to some, by distances between features.

Source: Kynkäänniemi, Karras, Laine, Lehtinen and Aila, "Improved Precision and Recall Metric for Assessing Generative Models",
arXiv 1904.06991, section 3 and algorithm 1. A set of features stands for a manifold: the balls around each of them that reach to
its k-th nearest neighbour in the set. Precision is the share of the made features within the real manifold, recall the share of
the real ones within the made manifold.

Deviations: in float64, without square roots; features nearer to each other than 1e-6 of the largest norm, about the rounding of
float32, count as the same.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from gipi.errors import DataError

AT_ONCE = 1 << 22  # distances, 32 MB
SAME = 1e-12  # of the largest squared norm


def precision_recall(real: Float[Tensor, "n d"], made: Float[Tensor, "m d"], k: int = 3) -> tuple[float, float]:
    """(share of the made features within the real manifold, share of the real ones within the made manifold), 0 to 1.

    Of a set of no more than k features the balls reach to the farthest neighbour. Raises DataError for fewer than two features.
    """
    if min(len(real), len(made)) < 2:
        raise DataError(f"precision and recall take 2 images or more on either side, got {len(real)} real, {len(made)} made")
    reals, mades = real.double(), made.double()
    same = SAME * max(float(reals.square().sum(1).max()), float(mades.square().sum(1).max()))
    return _within(mades, reals, k, same), _within(reals, mades, k, same)


def nearest_images(
    queries: Float[Tensor, "q d"], known: Float[Tensor, "n d"], count: int
) -> tuple[Float[Tensor, "q count"], Int64[Tensor, "q count"]]:
    """(distances, index into `known`) of the `count` nearest of each query, the nearest first. A copy has distance 0."""
    if not 1 <= count <= len(known):
        raise DataError(f"the {count} nearest of {len(known)} images: allowed are 1 to {len(known)}")
    lengths, others = _prepared(known.double())
    distances, index = [], []
    for part in queries.split(max(1, AT_ONCE // len(known))):
        found = torch.addmm(lengths, part.double(), others, alpha=-2).topk(count, largest=False).indices
        apart = torch.linalg.vector_norm(part[:, None] - known[found], dim=2)  # without the rounding of the search
        apart, order = apart.sort(dim=1, stable=True)
        distances.append(apart)
        index.append(found.gather(1, order))
    return torch.cat(distances), torch.cat(index)


def _within(some: Float64[Tensor, "m d"], others: Float64[Tensor, "n d"], k: int, same: float) -> float:
    """The share of `some` within the balls around `others`."""
    lengths, columns = _prepared(others)
    rows = max(1, AT_ONCE // len(others))
    k = min(k, len(others) - 1)
    radii = torch.cat(
        [
            torch.addmm(lengths, part, columns, alpha=-2).kthvalue(k + 1).values + part.square().sum(1)  # the nearest is itself
            for part in others.split(rows)
        ]
    )
    reach = lengths - radii - same
    inside = 0
    for part in some.split(rows):  # |x - y|^2 <= r^2 with |x|^2 on the other side
        inside += int((torch.addmm(reach, part, columns, alpha=-2).amin(1) <= -part.square().sum(1)).sum())
    return inside / len(some)


def _prepared(features: Float64[Tensor, "n d"]) -> tuple[Float64[Tensor, " n"], Float64[Tensor, "d n"]]:
    """(squared norms, transposed): |x - y|^2 is |x|^2 + |y|^2 - 2 x y."""
    return features.square().sum(1), features.T
