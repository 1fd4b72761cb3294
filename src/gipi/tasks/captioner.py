"""Using a trained captioner: scoring it on a data set, saying what is in a picture."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi import showing
from gipi.data.captions import CaptionSet
from gipi.engine.agree import gathered, together
from gipi.engine.place import Place
from gipi.errors import ConfigError
from gipi.model import Card
from gipi.models.beam_search import Spoken
from gipi.models.caption_net import CaptionNet
from gipi.ops.caption_scores import caption_scores
from gipi.ops.image import open_image, resize
from gipi.ops.metrics import Mean, Metrics, values
from gipi.ops.text import END, PAD, Vocabulary, encoded
from gipi.tasks.captioning import Captioning, Sentence
from gipi.tasks.speech import Speech
from gipi.tasks.trained import Trained

AT_ONCE = 32  # pictures that the encoder sees at once
SPOKEN_AT_ONCE = 100  # pictures that are described at once
SHOWN = 640  # pixels of the longer side of what is drawn, at most


class Framed(NamedTuple):
    """A picture as the net is to see it, uint8 (3, height, width) of its size, and as it is to be shown, uint8 (3, h, w)."""

    seen: Tensor
    shown: Tensor


@dataclass(frozen=True)
class CaptionEvaluation:
    """A net's answers on a data set. answers: the best sentence of each image.

    spoken: the words of those, numbers of the vocabulary, int64 (n, t), PAD behind.  cider: CIDEr-D of each image, float (n).
    """

    metrics: Metrics
    answers: tuple[str, ...]
    spoken: Tensor
    cider: Tensor

    def _repr_html_(self) -> str:
        return showing.evaluation(values(self.metrics))


class Captioner(Trained):
    """A net that says what is in a picture, with its card, ready to use. The card's classes are its vocabulary."""

    KIND = "caption"

    def __init__(self, net: torch.nn.Module, card: Card, place: Place, path: Path | None = None) -> None:
        super().__init__(net, card, place, path)
        self.vocabulary = Vocabulary(card.classes)
        self.speech = Speech()

    def speak(
        self, *, beam: int | None = None, best: int | None = None, temperature: float | None = None, seed: int | None = None
    ) -> None:
        """How it answers from now on: see `Speech`. None leaves one as it is; ConfigError for what does not fit together."""
        self.speech = self.speech.changed(beam=beam, best=best, temperature=temperature, seed=seed)

    @property
    def speaker(self) -> CaptionNet:
        """The net by its own type."""
        return cast(CaptionNet, self.net)

    def inputs(self, pixels: Tensor) -> Tensor:
        """uint8 pixels, or floats of that range, (n, 3, h, w) as the net is fed them."""
        return self.place.put_images(self.scale(pixels.to(self.place.device)))

    def features(self, pixels: Tensor, at_once: int = AT_ONCE) -> Tensor:
        """uint8 (n, 3, h, w) -> what the encoder sees, float32 (n, places, depth), dropout off; `at_once` images at a time."""
        return torch.cat([self.run(self.speaker.encode, self.inputs(part)) for part in pixels.split(at_once)])

    def say(self, features: Tensor, numbers: Tensor | None = None) -> Spoken:
        """Sentences for features (n, places, depth), on the CPU, as `speak` says.

        numbers: of the pictures, int64 (n), which tell apart what is drawn for each with the same seed; 0 to n - 1 if not given.
        """
        numbers = torch.arange(len(features)) if numbers is None else numbers
        with self.answering():
            spoken = self.speech.say(self.speaker, features.to(self.place.device), numbers.to(self.place.device))
        return Spoken(*(part.cpu() for part in spoken))

    def loss(self, features: Tensor, words: Tensor) -> Mean:
        """Cross-entropy of the words of captions (n, c, t), PAD behind, ends counted: mean over all of them."""
        features, words = features.to(self.place.device), words.to(self.place.device)
        with self.answering():
            logits, _ = self.speaker.unroll(features, words)
            known = words[words != PAD]
            return Mean(float(F.cross_entropy(logits.float(), known, reduction="sum")), len(known))

    def accept(self, data: CaptionSet) -> None:
        """Raises ConfigError if the images are of another size than the model's."""
        (height, width), (rows, columns) = self.card.image[1:], data.images.shape[2:]
        if (height, width) != (rows, columns):
            raise ConfigError(f"the model sees images of {height}x{width}, but those of {data.name!r} are of {rows}x{columns}")

    def evaluate(self, data: CaptionSet, features: Tensor | None = None) -> CaptionEvaluation:
        """Score on captions. features: of its images, if they are known already.

        perplexity: e to the power of the mean loss of a word of the captions; words that the net does not know count as one.
        Several processes of a training share the images. Raises ConfigError if these are of another size than the model's.
        """
        self.accept(data)
        mine = torch.arange(len(data)).tensor_split(self.place.world)[self.place.rank]
        loss, words = Mean(0.0, 0), list[Tensor]()
        for part in mine.split(SPOKEN_AT_ONCE):
            seen = self.features(data.images[part]) if features is None else features[part]
            words.append(self.say(seen, part).words[:, 0])
            loss += self.loss(seen, encoded([data.captions[number] for number in part.tolist()], self.vocabulary))
        spoken = gathered(torch.cat(words), self.place)
        answers = tuple(self.vocabulary.text(row) for row in spoken.tolist())
        metrics, cider = caption_scores(answers, data.captions)
        metrics["perplexity"] = Mean(math.exp(together({"loss": loss}, self.place)["loss"].value), 1)
        return CaptionEvaluation(metrics, answers, spoken, cider)

    def predict(self, source: Path | bytes) -> Captioning:
        """What is in a picture, in a file or in memory. Raises DataError if it cannot be read."""
        return self.answer([self.frame(source)])[0]

    def frame(self, source: Path | bytes) -> Framed:
        """A picture brought to the net's size, its aspect ratio not kept, and as it is. Raises DataError if it cannot be read."""
        image = open_image(source)
        seen = resize(image, self.card.image)
        image.thumbnail((SHOWN, SHOWN))
        return Framed(seen, resize(image, (3, image.height, image.width)))

    @property
    def at_once(self) -> int:
        return AT_ONCE

    def answer(self, framed: Sequence[Framed]) -> list[Captioning]:
        pixels = [one.seen for one in framed]
        spoken = self.say(self.features(torch.stack(pixels)), torch.tensor([*map(_number, pixels)]))
        grid = self.speaker.grid(*self.card.image[1:]) if self.speaker.ATTENDS else None
        each = (Spoken(*(part[number] for part in spoken)) for number in range(len(framed)))
        return [Captioning(self._sentences(said, grid), one.shown) for said, one in zip(each, framed, strict=True)]

    def _sentences(self, said: Spoken, grid: tuple[int, int] | None) -> tuple[Sentence, ...]:
        """Of one picture: as many as are wanted and there."""
        count = min(self.speech.best, int((said.log_probability > -math.inf).sum()))
        return tuple(
            self._sentence(words.tolist(), float(score), maps, grid)
            for words, score, maps in zip(*(part[:count] for part in said), strict=True)
        )

    def _sentence(self, numbers: list[int], score: float, maps: Tensor, grid: tuple[int, int] | None) -> Sentence:
        words = tuple(self.vocabulary.words[number] for number in numbers if number not in (END, PAD))
        return Sentence(self.vocabulary.text(numbers), score, words, maps[: len(words)].unflatten(1, grid) if grid else None)


def _number(pixels: Tensor) -> int:
    """Tells a picture from others, wherever and beside which it is read."""
    return int.from_bytes(hashlib.sha256(pixels.numpy().tobytes()).digest()[:7], "big")
