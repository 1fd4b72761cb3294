"""How good made images are, in numbers: near to real ones as a whole, each by itself, and as various as they."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gipi.errors import DataError
from gipi.ops.frechet import frechet, moments
from gipi.ops.manifold import precision_recall
from gipi.ops.random import uniforms
from gipi.tasks.judge import Look

COMPARED = 5_000  # features on either side for precision and recall, whose cost grows with the square
PAIRS = 20_000  # for the diversity
ALIKE = 0.5  # diversity, below which images are said to be alike
RARE = 0.2  # of its equal share: a class is said to be missing
SEED = 1904_06991  # of the features and pairs that are drawn


def quality(made: Look, real: Look, asked: Int64[Tensor, " n"] | None = None) -> dict[str, float]:
    """What a judge says of made images beside real ones, the smallest Fréchet distance being the best.

    frechet: squared Fréchet distance of the features.  precision, recall: see `ops/manifold.py`, of at most 5,000 on either side,
    drawn at random.  diversity: mean distance of pairs of made images, over that of real ones.
    By a classifier also the mean confidence, the share of its rarest and of its commonest class among the made images, and, where
    `asked` holds the class that each made image is to be, the share that it reads so.
    Raises DataError for fewer than two images on either side, and for real ones that all look the same.
    """
    if min(len(made.features), len(real.features)) < 2:
        raise DataError(
            f"the quality of images takes 2 or more, got {len(made.features)} made and {len(real.features)} real: give more"
        )
    apart = _spacing(real.features)
    if apart == 0:
        raise DataError("the real images all look the same to the judge: there is nothing to compare with; give other images")
    precision, recall = precision_recall(_drawn(real.features), _drawn(made.features))
    numbers = {
        "frechet": frechet(moments(made.features), moments(real.features)),
        "precision": precision,
        "recall": recall,
        "diversity": _spacing(made.features) / apart,
    }
    if made.probabilities.shape[1]:
        confidence, read = made.probabilities.max(1)
        shares = read.bincount(minlength=made.probabilities.shape[1]) / len(read)
        numbers |= {
            "confidence": float(confidence.mean()),
            "least_class": float(shares.min()),
            "most_class": float(shares.max()),
        }
        if asked is not None:
            numbers["as_asked"] = float((read == asked).float().mean())
    return numbers


def warnings_of(quality: Mapping[str, float], classes: int) -> list[str]:
    """Signs of mode collapse, where a generator makes but a part of what there is; a sentence for each.

    classes: of the judge, 0 if it is no classifier.
    """
    found: list[str] = []
    if quality["diversity"] < ALIKE:
        found.append(
            f"the made images are alike, a sign of mode collapse: their diversity is {quality['diversity']:.2f} of that "
            "of real ones; --gan.conditional, --optim.ema 0.999, a larger --data.batch or a lower --gan.rate may help"
        )
    if classes and quality["least_class"] < RARE / classes:
        found.append(
            f"a class hardly occurs among the made images, a sign of mode collapse: its share is {quality['least_class']:.1%}, "
            f"where an equal one of {classes} classes is {1 / classes:.1%}; unless it is as rare among the real ones, "
            "--gan.conditional, by which each class is asked for, may help"
        )
    return found


def _drawn(features: Float[Tensor, "n d"]) -> Float[Tensor, "m d"]:
    """At most `COMPARED` of them. Not evenly spaced ones: classes that come in turn would be left out."""
    if len(features) <= COMPARED:
        return features
    order = uniforms(SEED, 0, torch.arange(len(features)), 1)[:, 0].argsort(stable=True)
    return features[order[:COMPARED]]


def _spacing(features: Float[Tensor, "n d"]) -> float:
    """Mean distance of pairs of different ones, drawn at random."""
    count = len(features)
    first, step = uniforms(SEED, 1, torch.arange(PAIRS), 2).double().unbind(1)
    one = (first * count).long()
    other = (one + 1 + (step * (count - 1)).long()) % count
    return float(torch.linalg.vector_norm(features[one] - features[other], dim=1).mean())
