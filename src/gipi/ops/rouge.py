"""ROUGE-L of captions: Lin, 2004, section 3, as the captioning challenge of COCO computes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gipi.ops.bleu import Words

BETA = 1.2  # how much more recall counts than precision


def rouge_l(candidate: Words, references: Sequence[Words]) -> float:
    """0 to 1: the F measure of the longest common subsequence, of the best precision and the best recall among the references.

    Theirs lets precision and recall be of two references, and so do we. 0 without a word.
    """
    common = [common_words(candidate, reference) for reference in references]
    if not any(common):
        return 0.0
    precision = max(common) / len(candidate)
    recall = max(words / max(len(reference), 1) for words, reference in zip(common, references, strict=True))
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def common_words(left: Words, right: Words) -> int:
    """Words of the longest sequence that is in both, in this order but with others between.

    The table of dynamic programming is kept a row at a time, as the bits of a number: Hyyro, 2004.
    """
    places: defaultdict[str, int] = defaultdict(int)
    for place, word in enumerate(left):
        places[word] |= 1 << place
    whole = (1 << len(left)) - 1
    row = whole  # a bit is 0 where the sequence grows by a word of the left
    for word in right:
        hits = row & places[word]
        row = ((row + hits) | (row - hits)) & whole
    return len(left) - row.bit_count()
