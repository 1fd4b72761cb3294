"""Whole sentences from a net that says one word after another: the likeliest ones, by beam search, and ones drawn at random.

Source: Vinyals, Toshev, Bengio and Erhan, arXiv 1411.4555, section 3.1.1. That a log-probability is divided by a power of the
length, so that short sentences have no advantage, is after Wu et al., arXiv 1609.08144, section 7, equation 14, without its 5.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gipi.models.caption_net import CaptionNet, Seen
from gipi.ops.random import uniforms
from gipi.ops.text import END, PAD, START, UNKNOWN

NEVER = -torch.inf  # log-probability of what is not said


class Spoken(NamedTuple):
    """b sentences for each of n images, best first.

    words: int64 (n, b, t), each with its END where it has one, PAD behind.  log_probability: float32 (n, b), of all words and the
    END, of those that the net could have said; -inf where there is no sentence.  maps: float32 (n, b, t, p), where the net looked
    for each word; 0 behind the end.
    """

    words: Tensor
    log_probability: Tensor
    maps: Tensor


class _Ended(NamedTuple):
    """The best sentences so far, (n, width). step: of the END, -1 where there is none yet.  row: of the beam at that step."""

    rank: Tensor
    score: Tensor
    step: Tensor
    row: Tensor


class _Past(NamedTuple):
    """Of each step the words chosen and the rows they go on from, (t, n, width); where each of those looked, (t, n, width, p)."""

    words: Tensor
    parents: Tensor
    maps: Tensor


@torch.no_grad()
def beam_search(net: CaptionNet, features: Float[Tensor, "n p d"], *, width: int, longest: int, length: float) -> Spoken:
    """The `width` likeliest sentences that are found by following as many beginnings at a time; a width of 1 is greedy.

    longest: words, the END counted; t of what comes out.  length: sentences are ranked by log-probability / words**length: 0 for
    the likeliest, 1 for the likeliest by word. START and UNKNOWN are never said.

    Of all ways to go on the `width` best are taken. One that ends leaves the beam, where the next best takes its place, until no
    beginning ranks before the worst of `width` sentences ended. With a length of 0 none could still come to that; with another,
    one could that gains by being long. What has not ended by `longest` words stands behind what has.
    An image's sentences do not depend on the others. Raises ValueError if width or longest is below 1.
    """
    if width < 1 or longest < 1:
        raise ValueError(f"beam of width {width} and at most {longest} words: both are at least 1")
    seen, left = net.look(features), torch.arange(len(features), device=features.device)
    ended, past = _nothing(len(features), width, longest, seen)
    score = ended.score.new_zeros(len(features), 1)
    words, hidden, cell = torch.full_like(left, START)[:, None], seen.hidden[:, None], seen.cell[:, None]
    for step in range(longest):
        said = net.step(words, hidden, cell, seen)
        past.maps[step, left, : words.shape[1]] = said.map.float()
        logs = _speakable(said.logits)
        ends = score + logs[..., END]
        logs[..., END] = NEVER
        score, words, parents = _onward(score, logs, width)
        past.words[step, left, : words.shape[1]] = words
        past.parents[step, left, : words.shape[1]] = parents
        worst = _keep(ended, left, ends.where(_among(ends, score, width), NEVER), step, (step + 1) ** length)
        open = (score[:, 0] / (step + 1) ** length > worst).nonzero()[:, 0]
        if len(open) < len(left):
            left, seen = left[open], Seen(*(part[open] for part in seen))
            score, words, parents = score[open], words[open], parents[open]
        if not len(left):
            break
        hidden, cell = said.hidden[open[:, None], parents], said.cell[open[:, None], parents]
    _cut(ended, left, score, longest)
    return Spoken(*_told(ended, past))


@torch.no_grad()
def sample(
    net: CaptionNet,
    features: Float[Tensor, "n p d"],
    *,
    count: int,
    temperature: float,
    longest: int,
    seed: int,
    number: Int64[Tensor, " n"],
) -> Spoken:
    """`count` sentences for each image, drawn word by word, each by its probability to the power of 1 / temperature, above 0.

    longest: words, the END counted; what has not ended by then has none.  number: of each image in its data set, the address of
    its random numbers with `seed`: its sentences do not depend on the others.  The log-probability is that of temperature 1.
    """
    seen = net.look(features)
    words = torch.full((len(features), count), START, device=features.device)
    hidden, cell = (state[:, None].expand(-1, count, -1) for state in (seen.hidden, seen.cell))
    total, going = torch.zeros_like(words, dtype=torch.float32), torch.ones_like(words, dtype=torch.bool)
    told = words.new_full((*words.shape, longest), PAD)
    maps = total.new_zeros(*told.shape, seen.values.shape[1])
    for step in range(longest):
        said = net.step(words, hidden, cell, seen)
        logs, hidden, cell = _speakable(said.logits), said.hidden, said.cell
        words = _drawn(logs / temperature, uniforms(seed, step, number, count))
        told[..., step] = words.where(going, PAD)
        maps[..., step, :] = said.map * going[..., None]
        total += logs.gather(2, words[..., None])[..., 0].where(going, 0)
        going &= words != END
        if not going.any():
            break
    total, order = total.sort(dim=1, descending=True, stable=True)
    image = torch.arange(len(order), device=order.device)[:, None]
    return Spoken(told[image, order], total, maps[image, order])


def _speakable(logits: Float[Tensor, "n b k"]) -> Float[Tensor, "n b k"]:
    """Log-probabilities of the next word, float32, where START and UNKNOWN are never said; the others have theirs nonetheless."""
    logs = logits.float().log_softmax(2)
    logs[..., [START, UNKNOWN]] = NEVER
    return logs


def _drawn(logs: Float[Tensor, "n b k"], uniform: Float[Tensor, "n b"]) -> Int64[Tensor, "n b"]:
    """A word for each sentence by the log-probabilities, which need not add up to 1; never one that has none."""
    sums = logs.softmax(2, dtype=torch.float64).cumsum(2)
    return torch.searchsorted(sums, uniform[..., None] * sums[..., -1:], right=True)[..., 0]


def _onward(
    score: Float[Tensor, "n b"], logs: Float[Tensor, "n b k"], width: int
) -> tuple[Float[Tensor, "n w"], Int64[Tensor, "n w"], Int64[Tensor, "n w"]]:
    """The best ways to go on, `width` or as many as there are, best first: score, word, and the row that it goes on from."""
    best, words = logs.topk(min(width, logs.shape[2]), 2)
    best = (score[..., None] + best).flatten(1)
    score, place = best.topk(min(width, best.shape[1]), 1)
    return score, words.flatten(1).gather(1, place), place // words.shape[2]


def _among(ends: Float[Tensor, "n b"], others: Float[Tensor, "n w"], width: int) -> Tensor:
    """Which ends are among the `width` best of them and the others, bool (n, b)."""
    both = torch.cat([ends, others], 1)
    return ends >= both.topk(min(width, both.shape[1]), 1).values[:, -1:]


def _nothing(images: int, width: int, longest: int, seen: Seen) -> tuple[_Ended, _Past]:
    number = torch.zeros(images, width, dtype=torch.int64, device=seen.hidden.device)
    none = torch.full_like(number, NEVER, dtype=torch.float32)
    many = number.expand(longest, -1, -1)
    maps = none.new_zeros(longest, images, width, seen.values.shape[1])
    return _Ended(none, none.clone(), number - 1, number), _Past(many.clone(), many.clone(), maps)


def _keep(ended: _Ended, left: Int64[Tensor, " m"], ends: Float[Tensor, "m b"], step: int, share: float) -> Float[Tensor, " m"]:
    """Put what ended at this step among the sentences of the images left, by rank; the worst rank that is kept."""
    row = torch.arange(ends.shape[1], device=ends.device).expand(ends.shape)
    rank, order = torch.cat([ended.rank[left], ends / share], 1).topk(ended.rank.shape[1], 1)
    _reorder(ended, left, _Ended(ends / share, ends, torch.full_like(row, step), row), order)
    return rank[:, -1]


def _cut(ended: _Ended, left: Int64[Tensor, " m"], score: Float[Tensor, "m w"], longest: int) -> None:
    """Put what has not ended, best first, behind the sentences that have."""
    row = torch.arange(score.shape[1], device=score.device).expand(score.shape)
    none = torch.cat([ended.score[left], score], 1) == NEVER
    order = none.byte().argsort(dim=1, stable=True)[:, : ended.score.shape[1]]
    _reorder(ended, left, _Ended(score, score, torch.full_like(row, longest), row), order)


def _reorder(ended: _Ended, left: Int64[Tensor, " m"], more: _Ended, order: Int64[Tensor, "m w"]) -> None:
    for old, new in zip(ended, more, strict=True):
        old[left] = torch.cat([old[left], new], 1).gather(1, order)


def _told(ended: _Ended, past: _Past) -> tuple[Int64[Tensor, "n w t"], Float[Tensor, "n w"], Float[Tensor, "n w t p"]]:
    """Words, log-probabilities and maps, gathered from each sentence's end back to its beginning."""
    end = ended.step.where(ended.score > NEVER, -1)
    row, image = ended.row, torch.arange(len(end), device=end.device)[:, None]
    words, maps = [], []
    for step in reversed(range(len(past.words))):
        inside = step < end
        words.append(past.words[step, image, row].where(inside, PAD).masked_fill(end == step, END))
        row = past.parents[step, image, row].where(inside, row)
        maps.append(past.maps[step, image, row] * (step <= end)[..., None])
    return torch.stack(words[::-1], 2), ended.score, torch.stack(maps[::-1], 2)
