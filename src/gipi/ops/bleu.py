"""BLEU of captions with several references: Papineni et al., ACL 2002, over a whole data set and without smoothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

ORDERS = (1, 2, 3, 4)  # words of an n-gram
Words = Sequence[str]


def ngrams(words: Words, order: int) -> Counter[tuple[str, ...]]:
    """How often each run of `order` words is there."""
    return Counter(zip(*(words[first:] for first in range(order)), strict=False))


@dataclass(frozen=True)
class Bleu:
    """The counts that BLEU is made of. Those of parts of a data set add up to that of the whole.

    right, said: n-grams of each of ORDERS in the candidates, and those that a reference has as well, at most as often as the
    reference that has it most often.  words: of the candidates.  wanted: words of each image's reference nearest in length, the
    shorter of two.
    """

    right: tuple[int, ...] = (0,) * len(ORDERS)
    said: tuple[int, ...] = (0,) * len(ORDERS)
    words: int = 0
    wanted: int = 0

    def __add__(self, other: Bleu) -> Bleu:
        right, said = (tuple(map(sum, zip(*pair, strict=True))) for pair in ((self.right, other.right), (self.said, other.said)))
        return Bleu(right, said, self.words + other.words, self.wanted + other.wanted)

    def score(self, order: int) -> float:
        """BLEU of n-grams of 1 to `order` words, 0 to 1: the geometric mean of their precisions, less if there are too few words.

        0 if no n-gram of one of these orders is right.
        """
        if not all(self.right[:order]):
            return 0.0
        precisions = (right / said for right, said in zip(self.right[:order], self.said, strict=False))
        return math.prod(precisions) ** (1 / order) * math.exp(min(0.0, 1 - self.wanted / self.words))


def bleu(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> Bleu:
    """references: one or more of each candidate's image."""
    return sum(map(_counted, candidates, references), Bleu())


def _counted(candidate: Words, references: Sequence[Words]) -> Bleu:
    right, said = [], []
    for order in ORDERS:
        own = ngrams(candidate, order)
        most = reduce(or_, (ngrams(reference, order) for reference in references))
        right.append(sum((own & most).values()))
        said.append(own.total())
    wanted = min(map(len, references), key=lambda length: (abs(length - len(candidate)), length))
    return Bleu(tuple(right), tuple(said), len(candidate), wanted)
