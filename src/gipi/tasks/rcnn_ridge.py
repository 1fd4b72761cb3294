"""Where a thing is, from what the classifier of an R-CNN sees of a region near it: ridge regression, one for each class.

Source: Girshick et al., arXiv 1311.2524, appendix C: regions learn from the true box that they overlap most, if by 0.6 at least;
lambda is 1000.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge

from gipi.models.rcnn import RCNN
from gipi.ops.boxes import encode, iou
from gipi.tasks.rcnn_features import Features, Seen
from gipi.tasks.rcnn_svm import NORM

NEAR = 0.6
LAMBDA = 1000.0


def fit_ridge(net: RCNN, features: Features) -> dict[str, float]:
    """Set the regressors of the net; classes without a region near one of their boxes leave boxes as they are.

    Returns how many regions they learned from.
    """
    seen = [pairs(one) for one in features]
    inputs, targets, labels = (torch.cat(part) for part in zip(*seen, strict=True))
    scale = NORM / float(inputs.norm(dim=1).mean()) if len(inputs) else 1.0
    for label in range(len(net.deltas)):
        own = (labels == label).numpy()
        if own.any():
            ridge = Ridge(alpha=LAMBDA).fit(
                inputs.numpy()[own].astype(np.float64) * scale, targets.numpy()[own].astype(np.float64)
            )
            net.deltas[label] = torch.from_numpy(ridge.coef_ * scale)
            net.offset[label] = torch.from_numpy(ridge.intercept_)
    return {"learned_from": float(len(inputs))}


def pairs(seen: Seen) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(features, offsets to the true box, its label) of the regions near one; the true boxes themselves are not among them."""
    count = len(seen.boxes) - len(seen.truth)
    regions = seen.boxes[:count]
    if not len(seen.truth):
        return seen.features[:0], regions[:0], seen.labels[:0]
    overlap, nearest = iou(regions, seen.truth).max(1)
    near = overlap >= NEAR
    nearest = nearest[near]
    return seen.features[:count][near], encode(seen.truth[nearest], regions[near]), seen.labels[nearest]
