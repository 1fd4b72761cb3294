"""A linear SVM for each class of an R-CNN, with hard negatives.

Source: Girshick et al., arXiv 1311.2524, section 2.3: only true boxes are positive, and negative are regions below an IoU of 0.3;
Felzenszwalb et al., PAMI 2010, section 4.4 (hard negatives). Numbers are those of the authors' program: features of mean norm 20,
C of 0.001, positives count twice.

Deviation: the hinge is squared, whose minimum is found without random numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from gipi.errors import GipiWarning
from gipi.models.rcnn import RCNN
from gipi.tasks.rcnn_features import Features, Seen

NEGATIVE, POSITIVE = 0.3, 0.5  # IoU below which a region is negative; from which on its score should be high
NORM, NORMED = 20.0, 50  # mean norm of the features, and in how many images it is taken
HARD, EASY = -1.0, -1.2  # margins: negatives above are learned from, those that fall below are let go
EVERY = 2000  # new hard negatives after which an SVM is trained again
C, TWICE, CONSTANT = 1e-3, 2.0, 10.0


class Svm:
    """The SVM of one class while its negatives are collected."""

    def __init__(self, positives: np.ndarray) -> None:
        self.positives, self.negatives = positives, np.zeros((0, positives.shape[1]), np.float32)
        self.weight, self.bias, self.fits, self._new = np.zeros(positives.shape[1], np.float32), 0.0, 0, 0

    def margins(self, features: np.ndarray) -> np.ndarray:
        return features @ self.weight + self.bias

    def meet(self, negatives: np.ndarray) -> None:
        """Keep those that are hard, at first all, and train again once there are enough."""
        hard = negatives[self.margins(negatives) > HARD]
        self.negatives = np.concatenate([self.negatives, hard])
        self._new += len(hard)
        if self._new >= EVERY or not self.fits:
            self.fit()

    def fit(self) -> None:
        """Of the negatives that are known."""
        if not len(self.positives) or not len(self.negatives):
            return
        features = np.concatenate([self.positives, self.negatives])
        labels = np.arange(len(features)) < len(self.positives)
        svm: Any = LinearSVC(C=C, dual=False, class_weight={True: TWICE}, intercept_scaling=CONSTANT)  # pyright: ignore[reportArgumentType]
        svm.fit(features, labels)
        self.weight, self.bias = svm.coef_[0].astype(np.float32), float(svm.intercept_[0])
        self.negatives = self.negatives[self.margins(self.negatives) > EASY]
        self.fits, self._new = self.fits + 1, 0


def fit_svms(net: RCNN, features: Features) -> Iterator[dict[str, float]]:
    """Set the SVMs of the net; a row of numbers after each tenth of the images."""
    scale = NORM / _mean_norm(features)
    classes = len(net.weight)
    svms = [Svm(positives * scale) for positives in _positives(features, classes)]
    for label, svm in enumerate(svms):
        if not len(svm.positives):
            warnings.warn(f"class {label} has no box in the training images: it is never found", GipiWarning, stacklevel=2)
    for step, seen in enumerate(features, 1):
        for label, svm in enumerate(svms):
            if len(svm.positives):
                negative = (seen.overlaps[:, label] < NEGATIVE) & ~seen.spared
                svm.meet(seen.features[negative].numpy() * scale)
        if step % max(1, len(features) // 10) == 0 or step == len(features):
            yield {"step": step, "steps": len(features), "hard_negatives": float(sum(len(svm.negatives) for svm in svms))}
    for svm in svms:
        svm.fit()
    device = net.weight.device
    net.weight.copy_(torch.from_numpy(np.stack([svm.weight * scale for svm in svms])).to(device))
    net.bias.copy_(torch.tensor([svm.bias if svm.fits else HARD for svm in svms]))
    _calibrate(net, features)


def _mean_norm(features: Features) -> float:
    return float(torch.cat([seen.features.norm(dim=1) for seen in islice(features, NORMED)]).mean())


def _positives(features: Features, classes: int) -> list[np.ndarray]:
    """The features of the true boxes of each class."""
    found: list[list[torch.Tensor]] = [[] for _ in range(classes)]
    for seen in features:
        own = seen.features[len(seen.features) - len(seen.labels) :]
        for label in range(classes):
            found[label].append(own[seen.labels == label])
    return [torch.cat(parts).numpy() for parts in found]


def _calibrate(net: RCNN, features: Features) -> None:
    """Platt's sigmoid: how likely a region of a margin overlaps a thing of the class by half, by all training regions."""
    parts: list[Seen] = [seen._replace(features=net.margins(seen.features.to(net.weight.device)).cpu()) for seen in features]
    margins, overlaps = (torch.cat([getattr(part, name)[~part.spared] for part in parts]) for name in ("features", "overlaps"))
    for label in range(len(net.weight)):
        right = (overlaps[:, label] >= POSITIVE).numpy()
        slope, shift = 1.0, 0.0
        if right.any() and not right.all():
            platt = LogisticRegression(C=1e3, max_iter=1000).fit(margins[:, label : label + 1].double().numpy(), right)
            slope, shift = max(float(platt.coef_[0, 0]), 1e-3), float(platt.intercept_[0])  # the order stays that of the margins
        elif not right.any():
            slope, shift = 0.0, -20.0
        net.slope[label], net.shift[label] = slope, shift
