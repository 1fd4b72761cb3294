"""How alike the answers of an exported model and ours are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gipi.models.beam_search import Spoken, beam_search
from gipi.models.caption_net import CaptionNet, Seen, Step
from gipi.models.region_net import Found
from gipi.ops.boxes import iou
from gipi.ops.text import LONGEST
from gipi.tasks.captioner import Captioner
from gipi.tasks.detector import Detector
from gipi.tasks.evaluation import Loaded
from gipi.tasks.export_feeds import Feed
from gipi.tasks.export_graphs import scaled
from gipi.tasks.generator import Generator
from gipi.tasks.player import Player
from gipi.tasks.speech import BEAM, LENGTH

SCORE, OVERLAP = 1e-4, 0.999  # how much scores of equal answers may differ, and the least IoU of their boxes
LEVELS = 255  # of a pixel

Run = Callable[[Feed], list[Tensor]]  # a graph's inputs -> its outputs


@dataclass(frozen=True)
class Likeness:
    """How alike two answers are. score: by how much they differ at most, each kind's as `likeness` says.

    boxes: those that both should have found.  overlap: the least IoU of such a pair.
    sentences: those that both should have said.  others: how many of them are not the same word for word.
    """

    score: float
    boxes: int = 0
    overlap: float = 1.0
    sentences: int = 0
    others: int = 0

    def worse(self, other: Likeness) -> Likeness:
        """The worst figure of both, and the boxes and sentences of both."""
        return Likeness(
            max(self.score, other.score),
            self.boxes + other.boxes,
            min(self.overlap, other.overlap),
            self.sentences + other.sentences,
            self.others + other.others,
        )

    @property
    def alike(self) -> bool:
        return self.score <= SCORE and self.overlap >= OVERLAP and not self.others


def likeness(model: Loaded, fed: Feed, runs: Sequence[Run]) -> Likeness:
    """The answers of a model's graphs, as `runs` run them, beside ours.

    Classifiers and segmentation nets: probabilities.  Detectors: scores of boxes and their IoU.  Captioners: the best sentence of
    each picture and its log-probability.  Players: values, relative to those above 1, and how much less than the highest the
    chosen action is worth.  Generators: by how much of 255 our pixels would have to differ to be rounded to theirs.
    """
    if isinstance(model, Captioner):
        return _sentences(model, fed[0], runs)
    theirs = runs[0](fed)
    if isinstance(model, Detector):
        return _boxes(model, fed, theirs)
    if isinstance(model, Player):
        values = model.values(fed[0])
        chosen = values.gather(1, theirs[1][:, None])
        return _relative(values, theirs[0]).worse(_relative(values.amax(1, keepdim=True), chosen))
    if isinstance(model, Generator):
        noise, *labels = fed
        with model.answering():
            exact = model.pixels(model.net(noise[:, :, None, None], *labels)).clamp(0, LEVELS)
        return _most(((theirs[0] - exact).abs() - 0.5).clamp(min=0) / LEVELS)
    return _most(model.logits(scaled(model, fed[0])).softmax(1) - theirs[0].softmax(1))


def _relative(ours: Tensor, theirs: Tensor) -> Likeness:
    return _most((ours - theirs) / ours.abs().clamp(min=1))


def _most(difference: Tensor) -> Likeness:
    """What is not a number is as different as can be."""
    return Likeness(float(difference.abs().nan_to_num(nan=torch.inf, posinf=torch.inf).max()))


def _boxes(model: Detector, fed: Feed, theirs: list[Tensor]) -> Likeness:
    pixels, *regions = fed
    with model.answering():
        found = model.net(
            model.inputs(pixels), sizes=torch.tensor([pixels.shape[2:]]), regions=regions[0][None] if regions else None
        )
    there = found.labels[0] >= 0
    ours = Found(*(part[0][there] for part in found))
    most, least = int(model.net.most), float(model.net.score)  # pyright: ignore[reportArgumentType]
    for answer in (ours, Found(*theirs)):
        if len(answer.scores) >= most:  # the next one would have been left out for its rank
            least = max(least, float(answer.scores[-1]))
    return _half(ours, Found(*theirs), least + SCORE).worse(_half(Found(*theirs), ours, least + SCORE))


def _half(one: Found, other: Found, least: float) -> Likeness:
    """How alike the boxes (k, 4) of one answer that score `least` or more are to their likes in the other."""
    sure = one.scores >= least
    if not sure.any():
        return Likeness(0)
    same = one.labels[sure][:, None] == other.labels
    overlaps, partner = torch.cat([iou(one.boxes[sure], other.boxes) * same, torch.zeros(int(sure.sum()), 1)], 1).max(1)
    scores = torch.cat([other.scores, torch.zeros(1)])[partner]
    score = _most(one.scores[sure] - scores).score
    return Likeness(score, int(sure.sum()), float(overlaps.nan_to_num().min()))


class Halves(CaptionNet):
    """A captioner whose encoder and decoder are run by something else. steps: what its decoder has been fed."""

    def __init__(self, encode: Run, decode: Run) -> None:
        nn.Module.__init__(self)
        self._encode, self._decode, self.steps = encode, decode, list[Feed]()

    def spoken(self, pixels: Tensor, features: Tensor) -> Spoken:
        """The sentences for pictures uint8 (n, 3, h, w); features: ours, for the sake of their number."""
        self._seen = self._encode((pixels,))
        return _spoken(self, features)

    def look(self, features: Tensor) -> Seen:
        hidden, cell, *places = self._seen
        values, keys = places or (hidden[:, None, :0], hidden[:, None, :0])
        return Seen(values, keys, hidden, cell)

    def step(self, words: Tensor, hidden: Tensor, cell: Tensor, seen: Seen) -> Step:
        attends = len(self._seen) > 2
        self.steps.append((words, hidden, cell, *((seen.values, seen.keys) if attends else ())))
        logits, hidden, cell, *maps = self._decode(self.steps[-1])
        return Step(logits, hidden, cell, maps[0] if attends else logits.new_ones(*words.shape, 1))


def _spoken(net: CaptionNet, features: Tensor) -> Spoken:
    return beam_search(net, features, width=BEAM, longest=LONGEST + 1, length=LENGTH)


def _sentences(model: Captioner, pixels: Tensor, runs: Sequence[Run]) -> Likeness:
    features = model.features(pixels)
    with model.answering():
        ours, theirs = _spoken(model.speaker, features), Halves(*runs).spoken(pixels, features)
    same = (ours.words[:, 0] == theirs.words[:, 0]).all(1)
    score = _relative(ours.log_probability[:, 0], theirs.log_probability[:, 0]).score
    return Likeness(score, sentences=len(same), others=int((~same).sum()))
