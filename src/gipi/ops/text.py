"""Words of any script: a caption's tokens, the numbers a net knows them by, and back to a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from unicodedata import category, normalize

import torch
from jaxtyping import Int64
from torch import Tensor

from gipi.errors import DataError

START, END, UNKNOWN = 0, 1, 2
PAD = -1  # behind the end of a caption
SPECIALS = ("<start>", "<end>", "<unknown>")
LONGEST = 50  # tokens of a caption, without its end
SIDES = frozenset(("left", "right"))  # words that a mirror makes wrong
COMMAS = ",\u060c\u3001\uff0c"  # Arabic's, and ideographic ones
IDEOGRAPHS = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
ALIKE = {0x2019: "'", 0x2010: "-", 0x2011: "-", 0xAD: None}  # curly apostrophe, two hyphens, and the soft one that is none
JOINERS = "'\\-\u200c\u200d"  # part of a word only between two letters; the last two are zero wide


def tokens(text: str) -> list[str]:
    """Lower-case words and commas, in NFC, so that it does not matter how accents and Hangul are composed.

    A word is of letters, numbers and the marks on them; an apostrophe or hyphen inside stays: "don't", "t-shirt". Ideographs and
    kana are a token each, as no blanks show where their words end. (Thai, Lao and Khmer do not show it either, and are parted
    at blanks alone.) Other punctuation, symbols and emoji are dropped.
    """
    return _pattern().findall(normalize("NFC", text.lower().translate(ALIKE)))


def scored(text: str) -> list[str]:
    """What metrics compare: the tokens without the commas."""
    return [token for token in tokens(text) if token not in COMMAS]


def joined(words: Iterable[str]) -> str:
    """The sentence of such tokens: a blank between two, but none before a comma nor between ideographs and kana."""
    return re.sub(rf" (?=[{COMMAS}])|(?<=[{_DENSE}\u3001\uff0c]) (?=[{_DENSE}])", "", " ".join(words))


@dataclass(frozen=True)
class Vocabulary:
    """The words that a net knows, each by its place: first SPECIALS, then words by falling count, equal ones by alphabet.

    Raises DataError if it does not begin with SPECIALS, names a word twice or has fewer than two words beside them.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[: len(SPECIALS)] != SPECIALS or len(set(self.words)) < len(self.words):
            raise DataError(f"a vocabulary begins with {', '.join(SPECIALS)} and names each word once, got {self.words[:4]}")
        if len(self) < len(SPECIALS) + 2:
            found = f"the one word {self.words[-1]!r}" if len(self) > len(SPECIALS) else "no word"
            raise DataError(f"a vocabulary of {found}: sentences are made of two words or more")

    def __len__(self) -> int:
        return len(self.words)

    @staticmethod
    def of(captions: Iterable[str], least: int) -> Vocabulary:
        """The words that captions have `least` times or more. Raises DataError if these are not even two."""
        counts = Counter(token for caption in captions for token in tokens(caption))
        often = sorted((-count, word) for word, count in counts.items() if count >= least)
        if len(often) < 2:
            raise DataError(
                f"{len(often)} of the captions' {len(counts):,} different words are there {least:,} times or more, "
                "a vocabulary needs two; give more captions or set --data.least-count lower"
            )
        return Vocabulary((*SPECIALS, *(word for _, word in often)))

    @cached_property
    def places(self) -> dict[str, int]:
        """The number of each word."""
        return {word: place for place, word in enumerate(self.words)}

    def numbers(self, text: str) -> list[int]:
        """The numbers of a text's tokens, UNKNOWN for words that are not here, and END behind them."""
        return [*(self.places.get(token, UNKNOWN) for token in tokens(text)), END]

    def text(self, numbers: Iterable[int]) -> str:
        """The sentence of these numbers, up to the first END or PAD."""
        words = []
        for number in numbers:
            if number in (END, PAD):
                break
            words.append(self.words[number])
        return joined(words)


def encoded(captions: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Int64[Tensor, "n c t"]:
    """The numbers of each image's captions, PAD behind them and in the rows of images with fewer captions than another.

    A caption of more than LONGEST tokens is cut there, and has no END.
    """
    rows = [[_cut(vocabulary.numbers(caption)) for caption in each] for each in captions]
    most = max(map(len, rows), default=0)
    longest = max((len(row) for each in rows for row in each), default=0)
    filled = [[[*row, *[PAD] * (longest - len(row))] for row in [*each, *[[]] * (most - len(each))]] for each in rows]
    return torch.tensor(filled, dtype=torch.int64).reshape(len(rows), most, longest)


def _cut(numbers: list[int]) -> list[int]:
    return numbers if len(numbers) <= LONGEST + 1 else numbers[:LONGEST]


_DENSE = IDEOGRAPHS + KANA


@cache
def _pattern() -> re.Pattern[str]:
    """Of a token. Made when it is needed: Python's own patterns have no class of marks, so all signs are gone through."""
    marks = "".join(sign for sign in map(chr, range(0x300, 0x20000)) if category(sign) in ("Mn", "Mc"))
    marks = re.sub("[\ufe00-\ufe0f]", "", marks)  # these choose between a sign's pictures
    letter = rf"[^\W_{_DENSE}]"
    letters = rf"{letter}+(?:[{marks}]+{letter}*)*"
    return re.compile(rf"[{COMMAS}]|[{_DENSE}][{marks}]*|{letters}(?:[{JOINERS}]{letters})*")
