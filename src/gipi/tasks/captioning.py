"""What a captioner says of a picture: sentences, each with its log-probability."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from torch import Tensor

from gipi import showing
from gipi.inspect.caption_figures import NOTHING, words_figure
from gipi.inspect.figures import png_bytes
from gipi.ops.lettering import with_text


@dataclass(frozen=True)
class Sentence:
    """log_probability: natural logarithm of the chance of exactly these words and then the end, by the net.

    maps: of a net that attends, where it looked as it said each word: float (words, rows, columns) that add up to 1 a word.
    """

    text: str
    log_probability: float
    words: tuple[str, ...]
    maps: Tensor | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """ "a dog runs (-3.2)" """
        return f"{self.text or NOTHING} ({self.log_probability:.1f})"

    def json(self) -> dict[str, Any]:
        return {"caption": self.text, "log_probability": self.log_probability}


@dataclass(frozen=True)
class Captioning:
    """An answer for one picture: sentences, best first, one at least.

    pixels: the picture, uint8 (3, h, w), a large one scaled down; the net saw it at its own size and shape.
    """

    sentences: tuple[Sentence, ...]
    pixels: Tensor = field(repr=False)

    @property
    def best(self) -> Sentence:
        return self.sentences[0]

    @property
    def text(self) -> str:
        """The best sentence."""
        return self.best.text

    def __str__(self) -> str:
        return self.text or NOTHING

    def draw(self) -> Image.Image:
        """The picture with the sentences below; a small one is enlarged."""
        texts = [str(self)] if len(self.sentences) == 1 else [*map(str, self.sentences)]
        return with_text(self.pixels, texts)

    def _repr_png_(self) -> bytes:
        return showing.png(self.draw())

    def draw_words(self) -> Image.Image | None:
        """The picture, and for each word of the best sentence where the net looked; None of a net that does not attend."""
        if self.best.maps is None:
            return None
        return Image.open(io.BytesIO(png_bytes(words_figure(self.pixels, self.best.words, self.best.maps))))

    def json(self) -> dict[str, Any]:
        """caption and log_probability of the best sentence, and the same of all as sentences, best first."""
        return {**self.best.json(), "sentences": [sentence.json() for sentence in self.sentences]}
