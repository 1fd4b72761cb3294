"""A look at captions, before training on them: their words, their scripts, and what is odd about one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple
from unicodedata import category, name, normalize

from gipi.ops.text import LONGEST, scored, tokens

OFTEN = 5  # times in train, from which on a word is said to be there often enough to be learnt
SHOWN = 100  # letters of a caption in a list
RARE = 0.01  # share of the captions, below which the script of one is odd
LONG, STRANGE, TWICE = f"of more than {LONGEST} words and commas", "with letters of a rare script", "given twice for an image"
TROUBLES = {  # of a caption -> what to make of it
    LONG: "cut there",
    STRANGE: "kept; see that none is a slip, for letters that look alike make different words",
    TWICE: "kept, and count twice",
}


class Odd(NamedTuple):
    """A caption that has a trouble. trouble: one of `TROUBLES`.  file: the image.  caption: as it is written."""

    trouble: str
    file: str
    caption: str

    def text(self) -> str:
        return f"{self.file}: {shortened(self.caption)}"


class Count(NamedTuple):
    """Of one split: its images, their captions, and the words in these.

    seldom: words that train has less than `OFTEN` times.  copied: captions that train has, too, word for word.
    """

    images: int
    captions: int
    words: int
    seldom: int
    copied: int


class Words(NamedTuple):
    """Of the different words in train: how many there are, how many are there `OFTEN` times or more, and how many once.

    commonest: ten of them, and how often each is there.
    """

    different: int = 0
    often: int = 0
    once: int = 0
    commonest: Mapping[str, int] = {}


class Said(NamedTuple):
    """A caption of an image. words: without the commas.  scripts: of its letters."""

    file: str
    caption: str
    words: tuple[str, ...]
    scripts: frozenset[str]


def shortened(caption: str) -> str:
    """On one line of a terminal."""
    line = " ".join(caption.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def said(file: str, captions: Iterable[str]) -> list[Said]:
    """What is said of the image `file`."""
    return [Said(file, caption, tuple(scored(caption)), scripts(caption)) for caption in captions]


def scripts(text: str) -> frozenset[str]:
    """Those of its letters, as Unicode's names of letters begin: "Latin", "Hangul", "CJK"."""
    return frozenset(script for letter in set(text) if (script := _script(letter)))


@cache
def _script(letter: str) -> str:
    plain = normalize("NFKC", letter)[:1]  # full and half widths are no scripts of their own
    script = name(plain, "").split(" ")[0] if category(plain) in ("Ll", "Lo", "Lt", "Lu") else ""
    return script if script == "CJK" else script.capitalize()


def count(part: Sequence[Said], train: Collection[tuple[str, ...]], often: Collection[str]) -> Count:
    """What there is in a split. train: the captions of train.  often: the words that are there often enough."""
    words = [word for one in part for word in one.words]
    copied = sum(one.words in train for one in part)
    return Count(len({one.file for one in part}), len(part), len(words), sum(word not in often for word in words), copied)


def odd(captions: Sequence[Said], often: Mapping[str, int]) -> tuple[Odd, ...]:
    """Those with troubles, each with all that it has. often: captions of each script."""
    rare = {script for script, count in often.items() if count < RARE * len(captions)}
    given = Counter((each.file, each.words) for each in captions)
    found = []
    for each in captions:
        has = len(tokens(each.caption)) > LONGEST, not each.scripts.isdisjoint(rare), given[each.file, each.words] > 1
        given[each.file, each.words] -= 1  # so that the last of equal ones is none
        found += [Odd(trouble, each.file, each.caption) for trouble, it_has in zip(TROUBLES, has, strict=True) if it_has]
    return tuple(found)
