"""Names of classes that may be meant to be the same."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

RARE = 0.05  # of the uses of a name, below which one that is nearly alike may be a slip of it
LIKE = 0.85  # difflib's ratio from which on names count as nearly alike


def slips(uses: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    """Pairs of names, the rarer one first: alike but for cases, spaces and signs, or nearly so and the one much rarer.

    uses: how often each name is used. Names that differ in their digits are never a pair.
    """
    often = sorted(uses, key=lambda name: -uses[name])
    first = {_plain(name): name for name in reversed(often)}  # of those alike the commonest
    pairs = []
    for name in often:
        word = _plain(name)
        if (twin := first[word]) != name:
            pairs.append((name, twin))
            continue
        others = [other for other, whose in first.items() if uses[name] < RARE * uses[whose] and _digits(other) == _digits(word)]
        pairs += [(name, first[other]) for other in get_close_matches(word, others, 1, LIKE)]
    return tuple(pairs)


def _plain(name: str) -> str:
    """Letters and digits alone, without cases; a name that has none stays as it is."""
    return "".join(filter(str.isalnum, name.casefold())) or name


def _digits(word: str) -> str:
    return "".join(filter(str.isdigit, word))
