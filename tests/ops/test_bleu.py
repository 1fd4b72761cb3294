"""BLEU against sacrebleu, pycocoevalcap's numbers and laws."""

from __future__ import annotations

from itertools import zip_longest

import pytest
from sacrebleu.metrics import BLEU

from gipi.ops.bleu import ORDERS, Bleu, bleu, ngrams
from oracle.sayings import FILE, SAID, WANTED, Image, images


def theirs(said: list[list[str]], wanted: list[list[list[str]]], order: int) -> float:
    """sacrebleu's, without tokenising and smoothing, 0 to 1."""
    metric = BLEU(tokenize="none", smooth_method="none", max_ngram_order=order, force=True)
    streams = zip_longest(*([" ".join(words) for words in each] for each in wanted))
    return metric.corpus_score([" ".join(words) for words in said], [list(stream) for stream in streams]).score / 100


def ours(made: list[Image]) -> Bleu:
    return bleu([said for said, _ in made], [wanted for _, wanted in made])


@pytest.mark.parametrize("order", ORDERS)
def test_bleu_of_the_file_is_that_of_sacrebleu_and_of_pycocoevalcap(order: int) -> None:
    score = bleu(SAID, WANTED).score(order)
    assert score == pytest.approx(theirs(SAID, WANTED, order), abs=1e-12)
    assert score == pytest.approx(FILE["bleu"][order - 1], abs=1e-9)  # theirs adds some 1e-9 to its counts


@pytest.mark.parametrize("order", ORDERS)
def test_bleu_of_random_captions_is_that_of_sacrebleu(order: int) -> None:
    for seed in range(60):
        made = images(seed)
        wanted = theirs([said for said, _ in made], [references for _, references in made], order)
        assert ours(made).score(order) == pytest.approx(wanted, abs=1e-12), seed


def test_counts_of_parts_add_up_to_those_of_the_whole_in_any_order() -> None:
    for seed in range(10):
        left, right = images(seed), images(seed + 100)
        assert ours(left) + ours(right) == ours(left + right) == ours(right[::-1] + left)


def test_neither_the_order_of_references_nor_one_that_is_there_twice_matters() -> None:
    for seed in range(10):
        made = images(seed)
        assert ours([(said, [*wanted[::-1], wanted[-1]]) for said, wanted in made]) == ours(made)


def test_candidates_that_are_a_reference_score_one() -> None:
    for seed in range(10):
        sentences = [([*wanted[-1], "x", "y", "z"], wanted) for _, wanted in images(seed)]
        counts = ours([(said, [*wanted, said]) for said, wanted in sentences])
        assert [counts.score(order) for order in ORDERS] == pytest.approx([1.0] * 4)


def test_of_two_references_as_near_in_length_the_shorter_is_wanted() -> None:
    assert bleu([["a"] * 3], [[["a"] * 4, ["a"] * 2]]).wanted == 2
    assert bleu([["a"] * 3], [[["a"] * 5, ["a"] * 4, ["a"]]]).wanted == 4


def test_a_word_is_right_at_most_as_often_as_one_reference_has_it() -> None:
    counts = bleu([["the"] * 7], [[["the", "cat", "the"], ["the", "dog"]]])
    assert (counts.right[0], counts.said[0]) == (2, 7)


def test_no_words_score_nothing() -> None:
    for said, wanted in (([], ["a"]), ([], []), (["a"], [])):
        assert [bleu([said], [[wanted]]).score(order) for order in ORDERS] == [0.0] * 4
    assert Bleu().score(4) == 0.0


def test_ngrams_are_all_runs_of_words() -> None:
    for words in SAID:
        for order in ORDERS:
            runs = [tuple(words[first : first + order]) for first in range(len(words) - order + 1)]
            assert ngrams(words, order) == {run: runs.count(run) for run in runs}
