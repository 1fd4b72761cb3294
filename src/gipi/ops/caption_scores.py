"""Scores of captions over all images, each with several references, as BLEU, ROUGE-L and CIDEr-D are reported."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from gipi.errors import DataError
from gipi.ops.bleu import bleu
from gipi.ops.cider import cider_d
from gipi.ops.metrics import Mean, Metrics
from gipi.ops.rouge import rouge_l
from gipi.ops.text import scored, tokens


def caption_scores(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Metrics, Float64[Tensor, " n"]]:
    """(scores of a whole data set, CIDEr-D of each image). What is compared are words: see `text.scored`.

    bleu4, bleu1, bleu2, bleu3, rouge_l: 0 to 1.  cider: CIDEr-D, 0 to 10.  exact: the share of candidates that are a reference,
    commas included.  BLEU and CIDEr-D of parts of a data set cannot be merged. Raises DataError if there is no candidate, or an
    image has no reference.
    """
    if not candidates or len(candidates) != len(references) or not all(references):
        without = sum(not each for each in references)
        raise DataError(
            f"{len(candidates):,} captions, {len(references):,} images with references to score them by, {without:,} of these "
            "without any: needed are one caption or more, and for each an image with one reference or more"
        )
    said, wanted = [scored(text) for text in candidates], [[scored(text) for text in each] for each in references]
    counts, cider = bleu(said, wanted), cider_d(said, wanted)
    exact = [tokens(text) in map(tokens, each) for text, each in zip(candidates, references, strict=True)]
    metrics = {
        **{f"bleu{order}": Mean(counts.score(order), 1) for order in (4, 1, 2, 3)},
        "rouge_l": Mean(sum(map(rouge_l, said, wanted)), len(said)),
        "cider": Mean(sum(cider), len(said)),
        "exact": Mean(float(sum(exact)), len(said)),
    }
    return metrics, torch.tensor(cider, dtype=torch.float64)
