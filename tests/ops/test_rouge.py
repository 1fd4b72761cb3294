"""ROUGE-L against pycocoevalcap's numbers, the definition by all subsequences, and laws."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from gipi.ops.rouge import common_words, rouge_l
from oracle.sayings import FILE, SAID, WANTED, images, saying


def test_rouge_of_the_file_is_that_of_pycocoevalcap() -> None:
    got = [rouge_l(said, wanted) for said, wanted in zip(SAID, WANTED, strict=True)]
    assert got == pytest.approx([each["rouge_l"] for each in FILE["images"]], abs=1e-12)


def test_common_words_are_of_the_longest_sequence_that_both_have() -> None:
    mixed = Random(0)
    for _ in range(100):
        pair = saying(mixed), saying(mixed)
        have = [{part for count in range(len(words) + 1) for part in combinations(words, count)} for words in pair]
        assert common_words(*pair) == max(map(len, have[0] & have[1]))


def test_common_words_grow_with_either_and_do_not_ask_which_is_first() -> None:
    mixed = Random(1)
    for _ in range(100):
        left, right, more = saying(mixed), saying(mixed), saying(mixed)
        common = common_words(left, right)
        assert common == common_words(right, left) == common_words(left[::-1], right[::-1])
        assert common <= common_words(left + more, right)
        assert common + len(more) == common_words([*more, *left], [*more, *right])


def test_sentences_longer_than_a_machine_word_are_compared() -> None:
    long = [str(number) for number in range(300)]
    assert common_words(long, long[::3]) == common_words(long[::3], long) == 100
    assert common_words(long, long[::-1]) == 1


def test_a_reference_scores_one_and_more_references_never_less() -> None:
    for said, wanted in (image for seed in range(20) for image in images(seed)):
        assert rouge_l(wanted[-1], wanted) == pytest.approx(1.0)
        assert rouge_l(said, wanted) == rouge_l(said, wanted[::-1])
        assert 0 <= rouge_l(said, wanted[:1]) <= rouge_l(said, wanted) + 1e-12 <= 1 + 2e-12


def test_no_words_in_common_score_nothing() -> None:
    for said, wanted in (([], [["a"]]), (["a"], [["b"]]), (["a"], [[]]), ([], [[]])):
        assert rouge_l(said, wanted) == 0.0
    assert rouge_l(["a"], [[], ["a"]]) == pytest.approx(1.0)
