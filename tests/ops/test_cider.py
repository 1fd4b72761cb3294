"""CIDEr-D against pycocoevalcap's numbers, the definition with dense vectors, and laws."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest

from gipi.ops.cider import cider_d
from oracle.sayings import FILE, SAID, WANTED, Image, images

UNIQUE = ["red", "kites", "fly", "over", "hills"]


def ours(made: list[Image]) -> list[float]:
    return cider_d([said for said, _ in made], [wanted for _, wanted in made])


def dense(made: list[Image]) -> list[float]:
    """The definition with a number for each n-gram that any caption has."""
    scores = np.zeros(len(made))
    for order in (1, 2, 3, 4):
        captions = [words for said, wanted in made for words in (said, *wanted)]
        grams = sorted({tuple(words[at : at + order]) for words in captions for at in range(len(words) - order + 1)})

        def counts(words: list[str], grams: list = grams, order: int = order) -> np.ndarray:
            return np.array([sum(tuple(words[at : at + order]) == gram for at in range(len(words))) for gram in grams], float)

        there = np.array([np.any([counts(words) > 0 for words in wanted], axis=0) for _, wanted in made])
        rarity = np.log(len(made) / np.maximum(there.sum(0), 1))
        for number, (said, wanted) in enumerate(made):
            own = counts(said) * rarity
            for words in wanted:
                other = counts(words) * rarity
                lengths = np.linalg.norm(own) * np.linalg.norm(other)
                apart = len(said) - len(words)
                likeness = np.minimum(own, other) @ other / lengths if lengths else 0.0
                scores[number] += 10 * likeness * math.exp(-(apart**2) / 72) / len(wanted) / 4
    return scores.tolist()


def test_cider_of_the_file_is_that_of_pycocoevalcap() -> None:
    assert cider_d(SAID, WANTED) == pytest.approx([each["cider_d"] for each in FILE["images"]], abs=1e-12)


def test_cider_of_random_captions_is_that_of_dense_vectors() -> None:
    for seed in range(25):
        made = images(seed)
        assert ours(made) == pytest.approx(dense(made), abs=1e-12), seed


def test_the_order_of_images_and_of_references_does_not_matter() -> None:
    for seed in range(10):
        made = images(seed)
        order = Random(seed).sample(range(len(made)), len(made))
        shuffled = ours([(made[at][0], made[at][1][::-1]) for at in order])
        assert shuffled == pytest.approx([ours(made)[at] for at in order], abs=1e-12)


def test_images_that_are_all_there_twice_score_as_once_if_no_candidate_says_what_no_reference_has() -> None:
    for seed in range(10):
        made = [(wanted[0], wanted) for _, wanted in images(seed)]
        assert ours(made * 2) == pytest.approx(ours(made) * 2, abs=1e-12)


def test_words_that_no_other_image_has_score_ten_where_they_are_right_and_nothing_where_not() -> None:
    for seed in range(10):
        made = images(seed)
        assert all(-1e-12 <= score <= 10 + 1e-12 for score in ours(made))
        assert ours([(UNIQUE, [UNIQUE, UNIQUE]), *made])[0] == pytest.approx(10.0)
        assert ours([(made[0][0], [UNIQUE]), *made])[0] == 0.0


def test_repeating_a_rare_word_does_not_pay_and_neither_does_another_length() -> None:
    others = (["a"], [["a", "dog"]])
    plain, repeated, longer = (
        ours([(said, [UNIQUE]), others])[0] for said in (UNIQUE, [*UNIQUE[:-1], "red"], [*UNIQUE, "and", "on", "and", "on"])
    )
    assert plain > repeated > longer > 0


def test_an_empty_candidate_and_a_single_image_score_nothing() -> None:
    assert ours([([], [UNIQUE]), (["a"], [["a", "dog"]])])[0] == 0.0
    assert ours([(UNIQUE, [UNIQUE])]) == [0.0]  # every n-gram is in all images
    assert ours([(UNIQUE, [[]]), (UNIQUE, [UNIQUE])])[0] == 0.0
