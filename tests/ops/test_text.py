"""Tokens of many scripts, the way back to a sentence, and vocabularies."""

from __future__ import annotations

from collections import Counter
from unicodedata import category, normalize

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.errors import DataError
from gipi.ops.text import COMMAS, END, LONGEST, PAD, SPECIALS, UNKNOWN, Vocabulary, encoded, joined, scored, tokens

few = settings(max_examples=50, deadline=None)
SAID = {  # text: (its tokens, parted by |; the sentence of these)
    "A man's T-shirt, 'red' -- don’t stop!": ("a|man's|t-shirt|,|red|don't|stop", "a man's t-shirt, red don't stop"),
    "It was the dogs' 1,000th (2nd) e\u2010mail & x_y\n": (
        "it|was|the|dogs|1|,|000th|2nd|e-mail|x|y",
        "it was the dogs 1, 000th 2nd e-mail x y",
    ),
    "Œuvre d’Émile, naïve CAFÉ": ("œuvre|d'émile|,|naïve|café", "œuvre d'émile, naïve café"),
    "co\u00adoperate": ("cooperate", "cooperate"),
    "소년 둘이 “연”을, 날린다.": ("소년|둘이|연|을|,|날린다", "소년 둘이 연 을, 날린다"),
    "犬が、ボールを追う。Tシャツ": ("犬|が|、|ボ|ー|ル|を|追|う|t|シ|ャ|ツ", "犬が、ボールを追う t シャツ"),
    "一只狗，在跑": ("一|只|狗|，|在|跑", "一只狗，在跑"),
    "葛\U000e0100城\ufe00": ("葛|城", "葛城"),
    "एक लड़की किताब पढ़ रही है।": ("एक|लड़की|किताब|पढ़|रही|है", "एक लड़की किताब पढ़ रही है"),
    "क्\u200dष \u200d": ("क्\u200dष", "क्\u200dष"),
    "قطارٌ أصفر، يعبر الجسر؟": ("قطارٌ|أصفر|،|يعبر|الجسر", "قطارٌ أصفر، يعبر الجسر"),
    "می\u200cخواهم": ("می\u200cخواهم", "می\u200cخواهم"),
    "Собака бежит; Ёлка": ("собака|бежит|ёлка", "собака бежит ёлка"),
    "I ❤️ my 👨\u200d👩\u200d👧, 👍🏽 1️⃣🇰🇷": ("i|my|,|1", "i my, 1"),
    " \t\u3000!?…": ("", ""),
    "": ("", ""),
}


@pytest.mark.parametrize("text", SAID)
def test_words_of_any_script_are_told_apart_and_joined_again(text: str) -> None:
    words, sentence = SAID[text]
    words = normalize("NFC", words)
    assert tokens(text) == [word for word in words.split("|") if word]
    assert joined(tokens(text)) == normalize("NFC", sentence)
    assert scored(text) == [word for word in words.split("|") if word and word not in COMMAS]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((text, normalize("NFD", text)) for text in ["소년 둘이 연을 날린다", "Émile à l'été, naïve", "が ぱ ヴ", "Ǖ ṩ ΰ"]),
        ("ल\u095cकी", "ल\u0921\u093cकी"),  # which NFC takes apart
        ("\u212b", "å"),
    ],
)
def test_two_spellings_of_the_same_letters_are_one(one: str, other: str) -> None:
    assert one != other
    assert tokens(one) == tokens(other)


@few
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_tokens_of_a_joined_sentence_are_the_same_and_spelling_does_not_matter(text: str) -> None:
    found = tokens(text)
    assert tokens(joined(found)) == found
    assert tokens(normalize("NFD", text)) == tokens(normalize("NFC", text)) == found
    assert tokens(text + " ") == tokens("  " + text) == tokens(text.replace(" ", "\n")) == found


@few
@given(st.text(st.sampled_from("aZ9é가힣ー犬がझ\u093f\u094dאب\u064e'’-‐,、،.!\u200d\u200c\ufe0f\u20e3👍🏽 _\u0301"), max_size=20))
def test_a_token_is_a_comma_or_letters_numbers_and_marks_that_begin_with_a_letter_or_number(text: str) -> None:
    for token in tokens(text):
        assert token in list(COMMAS) or token[0].isalnum()
        assert token in list(COMMAS) or all(category(sign)[0] in "LNM" or sign in "'-\u200c\u200d" for sign in token)
    assert tokens(joined(tokens(text))) == tokens(text)


@few
@given(
    st.lists(st.text("abc", min_size=1, max_size=3), max_size=8), st.lists(st.text("가나다", min_size=1, max_size=3), max_size=8)
)
def test_texts_one_after_the_other_have_the_tokens_of_both(left: list[str], right: list[str]) -> None:
    assert tokens(" ".join([*left, *right])) == [*left, *right]


def test_vocabulary_is_words_by_falling_count_then_by_alphabet() -> None:
    captions = ["A dog, a cat", "a dog.", "the cat, 소년", "소년", "zebra"]
    made = Vocabulary.of(iter(captions), 2)
    assert made.words == (*SPECIALS, "a", ",", "cat", "dog", "소년")
    assert len(made) == 8
    assert Vocabulary.of(reversed(captions), 2) == made == Vocabulary(made.words)
    assert set(Vocabulary.of(captions, 1).words) - set(made.words) == {"the", "zebra"}


@few
@given(st.lists(st.text("abcd, ", max_size=12), max_size=8), st.integers(1, 3))
def test_vocabulary_has_the_words_of_so_many_counts(captions: list[str], least: int) -> None:
    counts = Counter(token for text in captions for token in text.replace(",", " , ").split())
    often = {word for word, count in counts.items() if count >= least}
    if len(often) < 2:
        with pytest.raises(DataError, match=r"least-count"):
            Vocabulary.of(captions, least)
        return
    made = Vocabulary.of(captions, least)
    assert set(made.words[len(SPECIALS) :]) == often
    ranks = [(-counts[word], word) for word in made.words[len(SPECIALS) :]]
    assert ranks == sorted(ranks)


def test_numbers_and_text_are_each_others_inverse_but_for_unknown_words() -> None:
    made = Vocabulary.of(["a dog, a cat", "犬が走る"], 1)
    assert made.numbers("A DOG, a cat.") == [*(made.words.index(word) for word in ["a", "dog", ",", "a", "cat"]), END]
    assert made.text(made.numbers("A dog, a cat.")) == "a dog, a cat"
    assert made.text(made.numbers("犬が走る。")) == "犬が走る"
    assert made.numbers("a zebra") == [made.places["a"], UNKNOWN, END]
    assert made.text(made.numbers("a zebra, dog")) == "a <unknown>, dog"
    assert made.numbers("") == [END]
    assert made.text([]) == made.text([END, 3]) == made.text([PAD, 3]) == ""
    assert made.text(iter([3, 3, END, 3])) == "a a"
    assert made.text([3, 3, PAD, 3]) == "a a"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (SPECIALS, "no word"),
        ((*SPECIALS, "dog"), "the one word 'dog'"),
        (("a", "dog"), "begins with <start>, <end>, <unknown>"),
        ((*SPECIALS, "a", "dog", "a"), "each word once"),
        ((), "begins with"),
    ],
)
def test_a_vocabulary_that_makes_no_sentence_is_an_error(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Vocabulary(words)


@pytest.mark.parametrize("captions", [[], ["", "..."], ["dog", "dog dog"], ["a dog", "the cat"]])
def test_captions_without_two_words_that_are_common_make_no_vocabulary(captions: list[str]) -> None:
    with pytest.raises(DataError, match=r"2 times or more, a vocabulary needs two; give more captions or set --data.least-count"):
        Vocabulary.of(captions, 2)


def test_encoded_captions_are_padded_behind_and_cut_where_they_are_too_long() -> None:
    made = Vocabulary.of(["a dog"], 1)
    a, dog = made.places["a"], made.places["dog"]
    rows = encoded([["a dog"], ["a", "cat a dog", ""]], made)
    assert rows.dtype == torch.int64
    assert rows.tolist() == [
        [[a, dog, END, PAD], [PAD] * 4, [PAD] * 4],
        [[a, END, PAD, PAD], [UNKNOWN, a, dog, END], [END, PAD, PAD, PAD]],
    ]
    long = encoded([["a " * (LONGEST - 1), "a " * LONGEST], ["a " * (LONGEST + 1), "a " * 500]], made)
    assert long.shape == (2, 2, LONGEST + 1)
    assert (long == END).sum(2).tolist() == [[1, 1], [0, 0]]
    assert (long == a).sum(2).tolist() == [[LONGEST - 1, LONGEST], [LONGEST, LONGEST]]
    assert encoded([], made).shape == (0, 0, 0)


@few
@given(st.lists(st.lists(st.text("ab ", max_size=8), min_size=1, max_size=3), min_size=1, max_size=4))
def test_encoded_rows_say_their_captions(captions: list[list[str]]) -> None:
    made = Vocabulary.of(["a b"], 1)
    rows = encoded(captions, made).tolist()
    for texts, row in zip(captions, rows, strict=True):
        assert [[number for number in numbers if number != PAD] for numbers in row] == [
            *(made.numbers(text) for text in texts),
            *[[]] * (len(row) - len(texts)),
        ]
