"""CIDEr-D of captions: Vedantam et al., CVPR 2015, section 5, as the captioning challenge of COCO computes it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from gipi.ops.bleu import ORDERS, Words, ngrams

SIGMA = 6.0  # words of difference in length that lower the score by a factor of exp(-1/2)
SCALE = 10.0
Vector = Mapping[tuple[str, ...], float]


def cider_d(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """Of each image, 0 to 10: how alike candidate and references are, above all in n-grams that few images' references have.

    The mean over ORDERS and references of the cosine of counts of n-grams, each weighted by log(images / images that have it);
    the candidate's are clipped to the reference's, and a reference of another length counts less. So a score depends on all the
    images: of a single one it is 0, and those of parts do not merge.
    """
    orders = [_similarities(candidates, references, order) for order in ORDERS]
    return [SCALE * sum(of_image) / len(ORDERS) for of_image in zip(*orders, strict=True)]


def _similarities(candidates: Sequence[Words], references: Sequence[Sequence[Words]], order: int) -> list[float]:
    """Of each image, 0 to 1, for n-grams of one order."""
    wanted = [[ngrams(words, order) for words in each] for each in references]
    images = Counter(gram for each in wanted for gram in set().union(*each))
    unseen = math.log(len(candidates))
    rarity = {gram: unseen - math.log(count) for gram, count in images.items()}

    def vector(counts: Counter[tuple[str, ...]]) -> Vector:
        return {gram: count * rarity.get(gram, unseen) for gram, count in counts.items()}

    scores = []
    for candidate, those, counts in zip(candidates, references, wanted, strict=True):
        own = vector(ngrams(candidate, order))
        likeness = [
            _cosine(own, vector(each)) * math.exp(-((len(candidate) - len(words)) ** 2) / (2 * SIGMA**2))
            for words, each in zip(those, counts, strict=True)
        ]
        scores.append(sum(likeness) / len(likeness))
    return scores


def _cosine(candidate: Vector, reference: Vector) -> float:
    """Between vectors of lengths that are not clipped; 0 if one is 0."""
    product = sum(min(weight, reference[gram]) * reference[gram] for gram, weight in candidate.items() if gram in reference)
    return product / (math.hypot(*candidate.values()) * math.hypot(*reference.values())) if product else 0.0
