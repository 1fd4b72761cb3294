"""What a classifier says of a picture, and of many pictures in files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from PIL import Image
from torch import Tensor

from gipi import showing
from gipi.engine.place import cores
from gipi.errors import DataError

A = TypeVar("A", covariant=True)  # answers
AT_ONCE = 32  # pictures, at most


@dataclass(frozen=True)
class Classification:
    """An answer for one picture. score: probability of the label.  framed: what the net saw, uint8 (c, h, w)."""

    label: str
    score: float
    probabilities: dict[str, float]
    framed: Tensor = field(repr=False)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest classes and their probabilities, best first."""
        return sorted(self.probabilities.items(), key=lambda pair: -pair[1])[:count]

    def json(self) -> dict[str, Any]:
        """label, score, the five likeliest as top, and up to 20 classes all probabilities."""
        top = [{"label": label, "score": score} for label, score in self.top()]
        every = {"probabilities": self.probabilities} if len(self.probabilities) <= 20 else {}
        return {"label": self.label, "score": self.score, "top": top, **every}

    def draw(self) -> Image.Image:
        """What the net saw, as a picture."""
        pixels = self.framed.permute(1, 2, 0).numpy()
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    def _repr_html_(self) -> str:
        return showing.beside(showing.image(self.draw(), self.label), showing.bars(self.top()))


def classifications(classes: tuple[str, ...], logits: Tensor, answers: Tensor, framed: Sequence[Tensor]) -> list[Classification]:
    """Of logits (n, classes), the numbers of the answers (n) and what the net saw of each picture."""
    return [
        Classification(classes[best], chances[best], dict(zip(classes, chances, strict=True)), seen)
        for chances, best, seen in zip(logits.softmax(1).tolist(), answers.tolist(), framed, strict=True)
    ]


class Reader(Protocol[A]):
    """A Classifier, a Committee or a Segmenter. at_once: how many pictures it wants to answer together.

    frame: what it makes of a picture, a tensor or several, and wants for an answer.
    """

    @property
    def at_once(self) -> int: ...
    def frame(self, source: Path | bytes) -> Any: ...
    def answer(self, framed: Sequence[Any]) -> Sequence[A]: ...


def read_files(reader: Reader[A], files: Sequence[Path]) -> Iterator[tuple[Path, A | DataError]]:
    """An answer for each file, or the error that kept it from one, in order.

    Some are in memory at a time: opened by a thread a core, then answered together.
    """

    def frame(file: Path) -> Any:
        try:
            return reader.frame(file)
        except DataError as error:
            return error

    with ThreadPoolExecutor(min(len(files), cores()) or 1) as pool:
        for start in range(0, len(files), reader.at_once):
            part = files[start : start + reader.at_once]
            with warnings.catch_warnings():  # here, since what silences Pillow in each thread knows nothing of the others
                warnings.simplefilter("ignore")
                framed = list(pool.map(frame, part))
            good = [seen for seen in framed if not isinstance(seen, DataError)]
            answers = iter(reader.answer(good) if good else [])
            for file, seen in zip(part, framed, strict=True):
                yield file, seen if isinstance(seen, DataError) else next(answers)
