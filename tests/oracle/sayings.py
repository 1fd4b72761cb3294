"""Captions for tests of scores: made-up ones with another implementation's numbers, and random ones of few words."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

Image = tuple[list[str], list[list[str]]]  # words of the candidate, of each reference

FILE = json.loads((Path(__file__).parent / "captions.json").read_text(encoding="utf-8"))
SAID = [each["candidate"].split() for each in FILE["images"]]
WANTED = [[text.split() for text in each["references"]] for each in FILE["images"]]


def saying(mixed: Random, least: int = 0) -> list[str]:
    """Of so few different words that n-grams are often the same."""
    return mixed.choices("abcd", k=mixed.randint(least, 9))


def images(seed: int) -> list[Image]:
    """One to six images with one to four references, some candidates empty, some a reference."""
    mixed = Random(seed)
    made = [(saying(mixed), [saying(mixed, 1) for _ in range(mixed.randint(1, 4))]) for _ in range(mixed.randint(1, 6))]
    return [(wanted[0] if mixed.random() < 0.1 else said, wanted) for said, wanted in made]
