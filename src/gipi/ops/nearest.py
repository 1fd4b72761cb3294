"""The text of a corpus that another is nearest to, and how many are nothing but copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gipi.errors import DataError
from gipi.ops.text import scored

ROWS = 64  # texts compared at once: with 30,000 others 15 MB
WORD = r"\S+"  # of texts whose words have blanks between them


def nearest(candidates: Sequence[str], corpus: Sequence[str]) -> list[int]:
    """For each candidate the place in the corpus of the text most like it, the first of several, but one of the same words first.

    Likeness is the cosine of TF-IDF vectors of words and pairs of words, see `text.scored`. A candidate that shares no word with
    the corpus gets its first text. Raises DataError if the corpus has no word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # slow to import

    plain, others = _plain(candidates), _plain(corpus)
    if not any(others):
        raise DataError(f"the {len(corpus):,} texts to compare with have no word")
    vectorizer = TfidfVectorizer(lowercase=False, token_pattern=WORD, ngram_range=(1, 2))
    vectors = vectorizer.fit_transform(others).T.tocsr()
    places: list[int] = []
    for first in range(0, len(plain), ROWS):
        likeness = vectorizer.transform(plain[first : first + ROWS]) @ vectors
        places.extend(np.asarray(likeness.argmax(1)).ravel().tolist())
    same = {text: place for place, text in reversed(list(enumerate(others)))}
    return [same.get(text, place) for text, place in zip(plain, places, strict=True)]


def copied(candidates: Sequence[str], corpus: Sequence[str]) -> float:
    """The share of the candidates, 0 to 1, that are a text of the corpus word for word. Raises DataError without a candidate."""
    if not candidates:
        raise DataError("no texts of which some could be copies")
    others = set(_plain(corpus))
    return sum(text in others for text in _plain(candidates)) / len(candidates)


def _plain(texts: Sequence[str]) -> list[str]:
    return [" ".join(scored(text)) for text in texts]
