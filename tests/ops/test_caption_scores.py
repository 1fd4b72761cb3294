"""All scores of captions together: raw text in, the numbers of other implementations out."""

from __future__ import annotations

from unicodedata import normalize

import pytest

from gipi.errors import DataError
from gipi.ops.caption_scores import caption_scores
from gipi.ops.metrics import values
from oracle.sayings import FILE

TEXTS = [each["candidate"] for each in FILE["images"]]
REFERENCES = [each["references"] for each in FILE["images"]]
OTHERS = [["a red boat"], ["two birds on a wire"]]


def test_scores_of_the_file_are_those_of_pycocoevalcap_headline_first() -> None:
    metrics, cider = caption_scores(TEXTS, REFERENCES)
    got = values(metrics)
    count = len(TEXTS)
    exact = sum(text in each for text, each in zip(TEXTS, REFERENCES, strict=True))
    wanted = {
        **{f"bleu{order}": FILE["bleu"][order - 1] for order in (4, 1, 2, 3)},
        "rouge_l": sum(each["rouge_l"] for each in FILE["images"]) / count,
        "cider": sum(each["cider_d"] for each in FILE["images"]) / count,
        "exact": exact / count,
    }
    assert 0 < exact < count
    assert list(got) == list(wanted)
    assert got == pytest.approx(wanted, abs=1e-9)
    assert cider.tolist() == pytest.approx([each["cider_d"] for each in FILE["images"]], abs=1e-12)


def test_neither_case_nor_punctuation_nor_spelling_nor_tuples_matter() -> None:
    plain, cider = caption_scores(TEXTS, REFERENCES)
    said = tuple(f"“{normalize('NFD', text).upper()}”." for text in TEXTS)
    dressed, same = caption_scores(said, tuple(tuple(f" {text.title()} ! " for text in each) for each in REFERENCES))
    assert values(dressed) == values(plain)
    assert same.equal(cider)


def test_commas_matter_to_exact_alone() -> None:
    metrics, _ = caption_scores(["a dog, a red cat", "a boat"], [["a dog a red cat"], ["a BOAT."]])
    got = values(metrics)
    assert got.pop("exact") == 0.5
    assert got["bleu4"] == got["rouge_l"] == 1.0


def test_truth_scores_best_and_silence_nothing() -> None:
    best, cider = caption_scores(["a red boat", "two birds on a wire"], OTHERS)
    assert values(best) == pytest.approx({**dict.fromkeys(values(best), 1.0), "cider": float(cider.mean())})
    assert (cider > 7).all()  # three words have no four in a row
    none, cider = caption_scores(["", "!"], OTHERS)
    assert set(values(none).values()) == {0.0}
    assert cider.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("said", "references", "message"),
    [
        ([], [], "0 captions"),
        (["a"], [], "1 captions, 0 images"),
        (["a", "b"], [["a"], []], "1 of these without any"),
    ],
)
def test_captions_that_cannot_be_scored_are_an_error(said: list[str], references: list[list[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        caption_scores(said, references)
