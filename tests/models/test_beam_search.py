"""Beam search and sampling: beside all sentences there are, a plain twin, and the laws of both."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.models.beam_search import Spoken, beam_search, sample
from gipi.models.caption_net import CaptionNet, Seen, Step
from gipi.ops.text import END, PAD, START, UNKNOWN

WIDTHS, LENGTHS = [1, 2, 3, 7], [0.0, 0.7, 1.0]
Said = tuple[int, ...]


class Teller(CaptionNet):
    """A net made up of random numbers, whose next word depends on the image and on every word before, in their order.

    eager: how much likelier the end becomes with each word; 0: it never comes. It would love to say START and UNKNOWN.
    """

    ATTENDS = True

    def __init__(self, classes: int, *, seed: int = 0, spread: float = 1.5, eager: float = 0.7) -> None:
        nn.Module.__init__(self)  # it has no encoder
        draws = torch.Generator().manual_seed(seed)

        def some(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=draws, dtype=torch.float64)

        self.classes, self.eager, self.rows = classes, eager, []
        self.at_first, self.onward, self.heard = some(4, 6), some(6, 6), some(classes, 6)
        self.told, self.sought = spread * some(6, classes), some(6, 4)

    def look(self, features: Tensor) -> Seen:
        hidden = torch.sin(features.mean(1) @ self.at_first)
        return Seen(features, features, hidden, torch.zeros(len(features), 7, dtype=torch.float64))

    def step(self, words: Tensor, hidden: Tensor, cell: Tensor, seen: Seen) -> Step:
        self.rows.append(tuple(words.shape))
        hidden = torch.sin(2 * hidden @ self.onward + self.heard[words] + cell[..., 1:])
        cell = cell + F.pad(self.heard[words], (1, 0), value=1.0)  # how many words, and which
        map = torch.softmax(hidden @ self.sought @ seen.keys.mT, 2)
        logits = hidden @ self.told
        logits[..., [START, UNKNOWN]] += 3
        logits[..., END] += self.eager * cell[..., 0] - 3 if self.eager else -1e9
        return Step(logits, hidden, cell, map)


class Way(NamedTuple):
    """A sentence, or the beginning of one, said to a net word by word."""

    words: Said
    score: float
    hidden: Tensor
    cell: Tensor
    maps: tuple[Tensor, ...] = ()


def features(images: int, seed: int = 1) -> Tensor:
    return torch.randn(images, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def begin(net: CaptionNet, image: Tensor) -> tuple[Seen, Way]:
    seen = net.look(image[None])
    return seen, Way((), 0.0, seen.hidden[None], seen.cell[None])


def go_on(net: CaptionNet, seen: Seen, way: Way) -> list[Way]:
    """By every word that may be said."""
    last = torch.tensor([[way.words[-1] if way.words else START]])
    said = net.step(last, way.hidden, way.cell, seen)
    logs = said.logits[0, 0].double().log_softmax(0).tolist()
    allowed = [word for word in range(net.classes) if word not in (START, UNKNOWN)]
    looked = (*way.maps, said.map[0, 0])
    return [Way((*way.words, word), way.score + logs[word], said.hidden, said.cell, looked) for word in allowed]


def rank(way: Way, length: float) -> float:
    return way.score / len(way.words) ** length


def every(net: CaptionNet, image: Tensor, longest: int) -> list[Way]:
    """All sentences that end by `longest` words or have as many without."""
    seen, first = begin(net, image)
    ended, open = [], [first]
    for _ in range(longest):
        ways = list(itertools.chain.from_iterable(go_on(net, seen, way) for way in open))
        ended += [way for way in ways if way.words[-1] == END]
        open = [way for way in ways if way.words[-1] != END]
    return ended + open


def twin(net: CaptionNet, image: Tensor, width: int, longest: int, length: float, early: bool = True) -> list[Way]:
    """Beam search of one image with lists. early: it stops when what is left ranks behind the sentences found."""
    seen, first = begin(net, image)
    ended, open = [], [first]
    for _ in range(longest):
        ways = list(itertools.chain.from_iterable(go_on(net, seen, way) for way in open))
        ways.sort(key=lambda way: -way.score)
        ended += [way for way in ways[:width] if way.words[-1] == END]
        ended = sorted(ended, key=lambda way: -rank(way, length))[:width]
        open = [way for way in ways if way.words[-1] != END][:width]
        if early and len(ended) == width and rank(open[0], length) <= rank(ended[-1], length):
            break
    return [*ended, *open][:width]


def said(words: Tensor) -> Said:
    """The words of a row, which are followed by PAD alone."""
    row = words.tolist()
    count = row.index(PAD) if PAD in row else len(row)
    assert set(row[count:]) <= {PAD}
    assert END not in row[: count - 1]
    return tuple(row[:count])


def check(spoken: Spoken, image: int, ways: list[Way]) -> None:
    """An image's sentences, their log-probabilities and maps are these, in this order, and there are no others."""
    words, scores, maps = (part[image] for part in spoken)
    there = scores > -math.inf
    assert [said(row) for row in words[there]] == [way.words for way in ways]
    assert (words[~there] == PAD).all()
    torch.testing.assert_close(scores[there].double(), torch.tensor([way.score for way in ways]).double(), rtol=1e-5, atol=1e-5)
    for way, looked in zip(ways, maps, strict=False):
        torch.testing.assert_close(looked[: len(way.maps)].double(), torch.stack(way.maps), rtol=1e-5, atol=1e-6)
        assert not looked[len(way.maps) :].any()
    assert not maps[~there].any()


# --- beam search


@pytest.mark.parametrize("length", LENGTHS)
def test_a_beam_that_holds_all_beginnings_finds_all_sentences_in_their_order(length: int):
    """40 end, 81 are cut; those come behind, the likeliest first."""
    net, images = Teller(6), features(3)
    spoken = beam_search(net, images, width=150, longest=4, length=length)
    assert spoken.words.shape == (3, 150, 4)
    for number, image in enumerate(images):
        ways = sorted(every(net, image, 4), key=lambda way: (way.words[-1] != END, -rank(way, length)))
        assert len(ways) == 121
        check(spoken, number, ways)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("width", WIDTHS)
def test_many_images_at_once_are_told_as_each_is_by_a_plain_search(width: int, length: float):
    for seed in range(3):
        net, images = Teller(9, seed=seed), features(6)
        spoken = beam_search(net, images, width=width, longest=8, length=length)
        for number, image in enumerate(images):
            check(spoken, number, twin(net, image, width, 8, length))


@pytest.mark.parametrize("width", WIDTHS)
def test_stopping_early_leaves_out_nothing_that_would_be_likelier(width: int):
    net, images = Teller(9, eager=1.0), features(6)
    spoken = beam_search(net, images, width=width, longest=12, length=0.0)
    steps = len(net.rows)
    assert steps < 12
    for number, image in enumerate(images):
        check(spoken, number, twin(net, image, width, 12, 0.0, early=False))


@pytest.mark.parametrize("length", LENGTHS)
def test_a_beam_of_one_takes_the_likeliest_word_each_time(length: float):
    net, images = Teller(9), features(6)
    spoken = beam_search(net, images, width=1, longest=8, length=length)
    for number, image in enumerate(images):
        seen, way = begin(net, image)
        while len(way.words) < 8 and way.words[-1:] != (END,):
            way = max(go_on(net, seen, way), key=lambda way: way.score)
        check(spoken, number, [way])


def test_no_beam_finds_a_likelier_sentence_than_one_that_holds_all():
    net, images = Teller(6, eager=1.5), features(20)

    def best(width: int) -> tuple[Tensor, Tensor]:
        words, scores, _ = beam_search(net, images, width=width, longest=4, length=0.0)
        return scores[:, 0], (words[:, 0] == END).any(1)

    exact, _ = best(150)
    for width in (1, 2, 3):
        scores, ended = best(width)
        assert (exact >= scores - 1e-6)[ended].all()
        assert width > 1 or (exact > scores + 1e-3)[ended].any(), "greedy is not always the best"


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("search", [beam_search, sample])
def test_an_images_sentences_depend_neither_on_its_batch_nor_on_its_place_in_it(search: Callable[..., Spoken], length: float):
    net, images, number = Teller(9), features(5), torch.tensor([7, 3, 11, 2, 5])

    def tell(which: list[int]) -> Spoken:
        if search is beam_search:
            return beam_search(net, images[which], width=3, longest=8, length=length)
        return sample(net, images[which], count=3, temperature=1 + length, longest=8, seed=4, number=number[which])

    whole, turned, alone = tell([0, 1, 2, 3, 4]), tell([4, 3, 2, 1, 0]), [tell([image]) for image in range(5)]
    assert len({said(row) for row in whole.words[:, 0]}) > 2
    for a, b, *c in zip(whole, turned, *alone, strict=True):
        torch.testing.assert_close(a, b.flip(0))
        torch.testing.assert_close(a, torch.cat(c))


def test_an_image_leaves_the_search_when_it_is_told():
    net, images = Teller(9, eager=1.0), features(6)
    beam_search(net, images, width=3, longest=12, length=1.0)
    left = [count for count, _ in net.rows]
    assert left[0] == 6
    assert left == sorted(left, reverse=True)
    assert 0 < left[-1] < 6
    assert net.rows[0] == (6, 1), "all begin alike: one row an image is enough"
    alone = Teller(9, eager=1.0)
    for image in images:
        beam_search(alone, image[None], width=3, longest=12, length=1.0)
    assert len(alone.rows) == sum(left)


def test_what_never_ends_is_cut():
    net, images = Teller(9, eager=0.0), features(2)
    spoken = beam_search(net, images, width=2, longest=5, length=0.7)
    assert (spoken.words > UNKNOWN).all()
    assert spoken.log_probability.isfinite().all()
    for number, image in enumerate(images):
        check(spoken, number, twin(net, image, 2, 5, 0.7))
    drawn = sample(net, images, count=2, temperature=1.0, longest=5, seed=0, number=torch.arange(2))
    assert (drawn.words > UNKNOWN).all()


@pytest.mark.parametrize("longest", [1, 2])
def test_a_beam_may_be_wider_than_there_are_sentences(longest: int):
    net, images = Teller(5), features(2)
    spoken = beam_search(net, images, width=20, longest=longest, length=0.0)
    for number, image in enumerate(images):
        check(spoken, number, sorted(every(net, image, longest), key=lambda way: (way.words[-1] != END, -way.score)))


def test_no_image_is_told_nothing():
    spoken = beam_search(Teller(9), features(0), width=3, longest=4, length=0.0)
    assert [tuple(part.shape) for part in spoken] == [(0, 3, 4), (0, 3), (0, 3, 4, 3)]


@pytest.mark.parametrize(("width", "longest"), [(0, 5), (3, 0), (-1, 5)])
def test_a_beam_or_a_sentence_of_nothing_is_refused(width: int, longest: int):
    with pytest.raises(ValueError, match=f"beam of width {width} and at most {longest} words"):
        beam_search(Teller(9), features(1), width=width, longest=longest, length=0.0)


# --- sampling


def many(net: CaptionNet, image: Tensor, *, longest: int, temperature: float = 1.0, seed: int = 0) -> Spoken:
    """4,000 sentences of an image."""
    return sample(net, image, count=4000, temperature=temperature, longest=longest, seed=seed, number=torch.tensor([17]))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_words_are_drawn_by_the_softmax(temperature: float):
    """Each of 121 sentences as often as the product of its words' shares of what may be said, by the sum of squared deviations."""
    net, image = Teller(6, spread=0.7), features(1)
    seen, first = begin(net, image[0])
    shares, open = {}, [(1.0, first)]
    for _ in range(4):
        ways = []
        for share, way in open:
            after = go_on(net, seen, way)
            weights = [math.exp((new.score - way.score) / temperature) for new in after]
            ways += [(share * weight / sum(weights), new) for weight, new in zip(weights, after, strict=True)]
        shares |= {way.words: share for share, way in ways if way.words[-1] == END or len(way.words) == 4}
        open = [(share, way) for share, way in ways if way.words[-1] != END]
    assert sum(shares.values()) == pytest.approx(1)
    counts = Counter(said(row) for row in many(net, image, longest=4, temperature=temperature).words[0])
    assert set(counts) <= set(shares)
    rare = [words for words, share in shares.items() if share * 4000 < 5]
    groups = [[words] for words in shares if words not in rare] + [rare]
    expected = [4000 * sum(shares[words] for words in group) for group in groups]
    seen_of = [sum(counts[words] for words in group) for group in groups]
    far = sum((got - want) ** 2 / want for got, want in zip(seen_of, expected, strict=True) if want)
    free = len(groups) - 1
    assert free > 15
    assert abs(far - free) < 5 * math.sqrt(2 * free)


@pytest.mark.parametrize("temperature", [1e-4, 1e-6, 1e-30])
def test_at_a_temperature_of_nearly_0_the_likeliest_word_is_drawn(temperature: float):
    net, images = Teller(9), features(6)
    greedy = beam_search(net, images, width=1, longest=8, length=0.0)
    drawn = sample(net, images, count=2, temperature=temperature, longest=8, seed=3, number=torch.arange(6))
    for column in range(2):
        assert torch.equal(drawn.words[:, column], greedy.words[:, 0])
        torch.testing.assert_close(drawn.log_probability[:, column], greedy.log_probability[:, 0])
        torch.testing.assert_close(drawn.maps[:, column], greedy.maps[:, 0])


@pytest.mark.parametrize("temperature", [1.0, 1e9])
def test_log_probability_and_maps_of_what_is_drawn_are_those_of_its_words(temperature: float):
    net, images = Teller(9, spread=0.7), features(2)
    drawn = sample(net, images, count=40, temperature=temperature, longest=6, seed=3, number=torch.arange(2))
    assert (drawn.words[..., 0] == END).any(), "a sentence of no words is one"
    assert (drawn.words[..., -1] > UNKNOWN).any(), "one is cut"
    for number, image in enumerate(images):
        seen, first = begin(net, image)
        ways = []
        for row in drawn.words[number]:
            way = first
            for word in said(row):
                way = next(new for new in go_on(net, seen, way) if new.words[-1] == word)
            ways.append(way)
        scores = [way.score for way in ways]
        assert scores == sorted(scores, reverse=True)
        check(drawn, number, ways)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_at_either_end_of_the_random_numbers_no_word_is_drawn_that_is_never_said(uniform: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gipi.models.beam_search.uniforms", lambda *_: torch.full((1, 4000), uniform))
    word = 1 if uniform == 0 else 8
    assert (many(Teller(9), features(1), longest=1).words == word).all()


def test_another_seed_or_image_draws_others_and_the_same_the_same():
    net, image = Teller(9, spread=0.5), features(1)

    def words(seed: int, number: int) -> Tensor:
        return sample(net, image, count=10, temperature=1.0, longest=6, seed=seed, number=torch.tensor([number])).words

    assert torch.equal(words(1, 2), words(1, 2))
    assert not torch.equal(words(1, 2), words(2, 2))
    assert not torch.equal(words(1, 2), words(1, 3))


def test_at_a_great_temperature_words_that_may_be_said_are_equally_frequent():
    first = many(Teller(9), features(1), longest=1, temperature=1e9).words[0, :, 0]
    counts = torch.bincount(first, minlength=9)
    assert not counts[[START, UNKNOWN]].any()
    assert (counts[[END, 3, 4, 5, 6, 7, 8]] - 4000 / 7).abs().max() < 5 * math.sqrt(4000 / 7)
