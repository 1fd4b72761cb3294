"""What a generator made: images, each of its own noise, and the sum and difference of noises with what comes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from PIL import Image
from torch import Tensor

from gipi import showing
from gipi.data.entry import SUFFIXES
from gipi.errors import ConfigError
from gipi.ops.gallery import as_picture, equation, grid


@dataclass(frozen=True)
class Generation:
    """images: uint8 (n, c, h, w).  classes: of each, of a conditional generator; else none.

    columns: of the picture; as many as rows if None.  asked: the seeds, for JSON.
    """

    SUFFIX: ClassVar[str] = ".png"  # of its file if none is named
    images: Tensor = field(repr=False)
    classes: tuple[str, ...]
    asked: dict[str, Any]
    columns: int | None = None

    def draw(self) -> Image.Image:
        """All images in one picture, small ones enlarged."""
        return grid(self.images, self.columns)

    def _repr_png_(self) -> bytes:
        return showing.png(self.draw())

    def pictures(self) -> list[Image.Image]:
        """Each image by itself, of its own size."""
        return [as_picture(image) for image in self.images]

    def save(self, out: Path | str) -> None:
        """One picture; without a suffix, or where a folder is, single images as 0000.png, 0001.png, ... in that folder.

        Raises ConfigError for a suffix that is no picture's and for files that cannot be written.
        """
        out = Path(out)
        if out.suffix and not out.is_dir():
            _save({out: self.draw()})
        else:
            _save({out / f"{number:04d}.png": picture for number, picture in enumerate(self.pictures())})

    def __str__(self) -> str:
        return f"{len(self.images):,} images"

    def json(self) -> dict[str, Any]:
        """count, what was asked for and, of a conditional generator, the class of each image."""
        return {"count": len(self.images), **self.asked, **({"classes": list(self.classes)} if self.classes else {})}


class Term(NamedTuple):
    """Of a sum: "+" or "-", and the seeds of which the mean noise is taken."""

    sign: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Sum:
    """sources: images of the seeds of each term, uint8 (m, c, h, w).  means: of their mean noise, (terms, c, h, w).

    result: of the sum of those, (c, h, w).  noise: that sum, (1, z, 1, 1).
    """

    SUFFIX: ClassVar[str] = ".png"
    terms: tuple[Term, ...]
    sources: tuple[Tensor, ...] = field(repr=False)
    means: Tensor = field(repr=False)
    result: Tensor = field(repr=False)
    noise: Tensor = field(repr=False)

    def draw(self) -> Image.Image:
        """Terms, signs and result in a row; above a term of several seeds their images."""
        return equation(self.sources, self.means, [term.sign for term in self.terms], self.result)

    def _repr_png_(self) -> bytes:
        return showing.png(self.draw())

    def save(self, out: Path | str) -> None:
        """The picture. Raises ConfigError for what is no name of one, and if it cannot be written."""
        out = Path(out)
        if not out.suffix or out.is_dir():
            raise ConfigError(f"--arithmetic gives one picture, and {out} is a folder: name a file, such as {out / 'sum.png'}")
        _save({out: self.draw()})

    def __str__(self) -> str:
        return f"{len(self.terms)} terms and what comes of them"

    def json(self) -> dict[str, Any]:
        return {"terms": [{"sign": term.sign, "seeds": list(term.seeds)} for term in self.terms]}


def _save(pictures: Mapping[Path, Image.Image]) -> None:
    for file, picture in pictures.items():
        if file.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"cannot write a picture {file}: allowed are {', '.join(SUFFIXES)}, and a folder for single images")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            picture.save(file)
        except OSError as error:
            raise ConfigError(f"cannot write {file}: {error.strerror}; choose another place with --out") from error


def read_terms(text: str) -> tuple[Term, ...]:
    """ "1,2,3-4" as its terms. Raises ConfigError for what is no sum of seeds."""
    compact = re.sub(r"\s", "", text)
    if not re.fullmatch(r"[+-]?\d+(,\d+)*([+-]\d+(,\d+)*)*", compact):
        raise ConfigError(
            f"--arithmetic {text!r}: wanted are seeds, or several with commas for their mean, with + and - between them, such as "
            "1,2,3-4,5,6+7,8,9"
        )
    terms = re.findall(r"([+-]?)([\d,]+)", compact)
    return tuple(Term(sign or "+", tuple(map(int, seeds.split(",")))) for sign, seeds in terms)
