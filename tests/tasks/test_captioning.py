"""The answer of a captioner: its best sentence, all of them, the picture with them below, where the net looked."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from gipi.inspect.caption_figures import words_figure
from gipi.inspect.figures import png_bytes
from gipi.ops.lettering import with_text
from gipi.tasks.captioning import Captioning, Sentence
from oracle.speaker import painted

PIXELS = painted("red", "green", "blue", "red")


def sentence(text, score, maps=None):
    return Sentence(text, score, tuple(text.split()), maps)


def answer(*sentences):
    return Captioning(sentences or (sentence("a dog runs", -3.14159), sentence("a cat", -5.0)), PIXELS)


def test_in_words_it_is_the_best_sentence():
    assert (str(answer()), answer().text, answer().best.text) == ("a dog runs",) * 3
    assert [str(one) for one in answer().sentences] == ["a dog runs (-3.1)", "a cat (-5.0)"]


def test_sentence_without_a_word_is_told_as_such():
    one = answer(sentence("", -2.0))
    assert (str(one), str(one.best), one.text) == ("(no word)", "(no word) (-2.0)", "")


def test_json_has_the_best_sentence_and_all():
    assert json.loads(json.dumps(answer().json())) == {
        "caption": "a dog runs",
        "log_probability": -3.14159,
        "sentences": [{"caption": "a dog runs", "log_probability": -3.14159}, {"caption": "a cat", "log_probability": -5.0}],
    }


@pytest.mark.parametrize(
    ("one", "texts"),
    [(answer(), ["a dog runs (-3.1)", "a cat (-5.0)"]), (answer(sentence("개가 뛴다", -1.0)), ["개가 뛴다"])],
    ids=["several", "one"],
)
def test_drawing_is_the_picture_enlarged_and_the_sentences_below(one, texts):
    got = np.asarray(one.draw())
    assert np.array_equal(got[: 40 * 8], PIXELS.permute(1, 2, 0).repeat_interleave(40, 0).repeat_interleave(40, 1).numpy())
    assert np.array_equal(got, np.asarray(with_text(PIXELS, texts)))
    assert (got[40 * 8 :].sum(2) < 300).sum() > 100  # letters


def test_where_the_net_looked_is_drawn_for_the_best_sentence_if_it_attends():
    maps = torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(0))
    one = answer(sentence("a dog runs", -3.0, maps), sentence("a cat", -5.0, maps[:2]))
    with Image.open(io.BytesIO(png_bytes(words_figure(PIXELS, ("a", "dog", "runs"), maps)))) as figure:
        assert np.array_equal(np.asarray(one.draw_words()), np.asarray(figure))
    assert answer().draw_words() is None
