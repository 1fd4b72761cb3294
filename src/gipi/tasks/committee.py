"""Several trained classifiers as one, or one that looks at several views of each picture."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi import showing
from gipi.config import Views
from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, nearest
from gipi.models.ensemble import mean_probability
from gipi.ops.views import views
from gipi.tasks.answers import Classification, classifications
from gipi.tasks.classifier import Classifier, Evaluation, score


class Committee:
    """Classifiers of any nets that tell the same classes apart; each frames and scales a picture as its own card says.

    Its probabilities are the mean of theirs over all views of the picture, its answer the class of the highest. With `vote`, its
    answer is the one that most of them give, of several such the one of the highest probability.
    models: each with a name for messages.  tta: the views, see `views`.
    Raises ConfigError for no models, for models of different classes, a vote of one, unknown views and mirrored digits.
    """

    def __init__(self, models: Sequence[tuple[str, Classifier]], *, vote: bool = False, tta: Views = "none") -> None:
        if not models:
            raise ConfigError("no models given: name one or more")
        if vote and len(models) == 1:
            raise ConfigError(f"a vote needs two models or more, got {models[0][0]!r} alone")
        if tta not in (known := typing.get_args(Views)):
            raise ConfigError(f"no tta {tta!r}{nearest(tta, known)}")
        (first, one), *others = models
        for name, model in others:
            if model.card.classes != one.card.classes:
                ours, theirs = (", ".join(classifier.card.classes) for classifier in (one, model))
                raise ConfigError(f"models of different classes: {first!r} tells {ours} apart, but {name!r} {theirs}")
        for name, model in models:
            if tta == "flip" and model.card.preprocess.framing == "digit":
                raise ConfigError(f"{name!r} reads digits, and a mirrored 2 is none: take tta shift or none instead of flip")
        self._models, self._vote = [model for _, model in models], vote
        self._tta: Views = tta
        self.classes = one.card.classes

    @property
    def short(self) -> int:
        """Pixels of the shorter side to which the models want pictures of any size. Raises ConfigError if they differ."""
        shorts = {model.short for model in self._models}
        if len(shorts) > 1:
            raise ConfigError(f"models that want pictures of different sizes ({sorted(shorts)} pixels): score them one by one")
        return shorts.pop()

    def evaluate(self, data: ImageSet) -> Evaluation:
        """Score on labelled images; scores are probabilities of the answers. Raises ConfigError if `data` has other classes."""
        for model in self._models:
            model.accept(data)
        self.expect(len(data))
        return score(data, self.classes, lambda pixels: self._read([pixels] * len(self._models)))

    def expect(self, count: int) -> None:
        """Get ready for so many pictures, see `Classifier.expect`."""
        for model in self._models:
            model.expect(count)

    def _repr_html_(self) -> str:
        told = "most of these say" if self._vote else "these say on the mean"
        rows = [
            (model.card.net, model.card.recipe, sum(weight.numel() for weight in model.net.parameters()))
            for model in self._models
        ]
        return showing.table(("net", "recipe", "parameters"), rows, f"What {told}; views of each picture: {self._tta}.")

    def predict(self, source: Path | bytes) -> Classification:
        """The label of a picture in a file or in memory. Raises DataError if it cannot be read or holds no digit.

        framed: what the first of the models saw.
        """
        return self.answer([self.frame(source)])[0]

    @property
    def at_once(self) -> int:
        return min(model.at_once for model in self._models)

    def frame(self, source: Path | bytes) -> list[Tensor]:
        """A picture as each of the models wants it. Raises DataError as `Classifier.frame` does."""
        return [model.frame(source) for model in self._models]

    def answer(self, framed: Sequence[list[Tensor]]) -> list[Classification]:
        """The labels of pictures, one or more and not above `at_once`, that `frame` has framed."""
        logits, answers = self._read([torch.stack(own) for own in zip(*framed, strict=True)])
        return classifications(self.classes, logits, answers, [own[0] for own in framed])

    def _read(self, pixels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """uint8 (n, c, h, w) for each model -> (log of the mean probabilities (n, classes), answers (n))"""
        each = torch.stack(
            [
                mean_probability(torch.stack([model.logits(view) for view in views(own, self._tta)]))
                for model, own in zip(self._models, pixels, strict=True)
            ]
        )
        mean = mean_probability(each)
        if not self._vote:
            return mean, mean.argmax(1)
        votes = F.one_hot(each.argmax(2), mean.shape[1]).sum(0)
        return mean, mean.masked_fill(votes < votes.amax(1, keepdim=True), -torch.inf).argmax(1)
