"""The nearest text against cosines of dense vectors, and copies against what is plainly one."""

from __future__ import annotations

import math
from random import Random
from unicodedata import normalize

import numpy as np
import pytest

from gipi.errors import DataError
from gipi.ops.nearest import ROWS, copied, nearest

CORPUS = [
    "A dog runs on the beach.",
    "two children fly a kite",
    "소년 둘이 연을 날린다.",
    "a cat, asleep",
    "A dog runs on the beach!",
    "犬が走る",
]


def cosines(text: str, corpus: list[str]) -> np.ndarray:
    """Of counts of words and pairs, each times 1 + log((1 + texts) / (1 + texts that have it))."""

    def terms(sentence: str) -> list[str]:
        parts = sentence.split()
        return parts + [" ".join(parts[at : at + 2]) for at in range(len(parts) - 1)]

    names = sorted({term for each in corpus for term in terms(each)})
    rarity = np.array([1 + math.log((1 + len(corpus)) / (1 + sum(name in terms(each) for each in corpus))) for name in names])
    rows = np.array([[terms(each).count(name) for name in names] for each in (text, *corpus)]) * rarity
    lengths = np.linalg.norm(rows, axis=1)
    return rows[1:] @ rows[0] / np.maximum(lengths[1:] * lengths[0], 1e-300)


def test_the_nearest_text_has_the_highest_cosine() -> None:
    mixed = Random(0)
    for _ in range(15):
        texts = [" ".join(mixed.choices(["red", "boat", "in", "fog", "two"], k=mixed.randint(1, 6))) for _ in range(12)]
        candidates, corpus = texts[:6], texts[5:]  # one is in both
        for text, place in zip(candidates, nearest(candidates, corpus), strict=True):
            wanted = cosines(text, corpus)
            assert wanted[place] >= wanted.max() - 1e-9
            assert text not in corpus or place == corpus.index(text)


def test_text_of_the_same_words_is_nearest_whatever_its_case_punctuation_and_spelling() -> None:
    said = [normalize("NFD", f"«{text.upper()}»") for text in CORPUS]
    assert nearest(said, CORPUS) == [0, 1, 2, 3, 0, 5]
    assert copied(said, CORPUS) == 1.0


def test_of_texts_with_the_same_words_and_pairs_the_one_in_the_same_order_is_nearest() -> None:
    one, other = "red fog red boat red", "red boat red fog red"
    assert nearest([one, other], [one, other, other]) == [0, 1]
    assert copied([one, other], [one]) == 0.5


def test_like_texts_of_any_script_are_found_in_any_number_of_rows() -> None:
    said = ["the dog runs", "a kite", "소년 둘이 논다", "asleep, the cat is", "犬と走る"]
    wanted = [0, 1, 2, 3, 5]
    assert nearest(said, CORPUS) == wanted
    count = 2 * ROWS // len(said) + 1
    assert nearest(said * count, CORPUS) == wanted * count
    assert nearest([], CORPUS) == []


def test_text_that_shares_no_word_gets_the_first() -> None:
    assert nearest(["", "zebra", "..."], CORPUS) == [0, 0, 0]


def test_copies_are_counted() -> None:
    assert copied(["a dog runs on the beach", "a dog runs", "A cat asleep", "zebra"], CORPUS) == 0.5
    assert copied(["a dog runs"], []) == 0.0
    with pytest.raises(DataError, match="no texts"):
        copied([], CORPUS)


@pytest.mark.parametrize("corpus", [[], ["", "?!"]])
def test_a_corpus_without_words_is_an_error(corpus: list[str]) -> None:
    with pytest.raises(DataError, match="texts to compare with have no word"):
        nearest(["a dog"], corpus)
