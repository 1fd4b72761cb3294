"""Looking through images with captions before training on them: every image is opened once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gipi.config import DataConfig
from gipi.data.alike import Member, alike
from gipi.data.caption_findings import CaptionSurvey
from gipi.data.caption_layout import CaptionFiles, Pair, find_captions
from gipi.data.caption_look import OFTEN, Said, Words, count, odd, said
from gipi.data.faults import Fault, refused
from gipi.data.look import Look, look
from gipi.data.telling import spread, too_many
from gipi.data.threads import in_threads
from gipi.errors import DataError
from gipi.ops.text import Vocabulary

__all__ = ["CaptionSurvey", "caption_survey"]
SPLITS = ("train", "validation", "test")
COMMONEST = 10  # words that are told
MANY = 10, 0.05  # images of train, and the share of them, above both of which a caption of so many tells too little

Looked = Sequence[tuple[Pair, Look]]


def caption_survey(path: Path) -> CaptionSurvey:
    """What is in a data set of images with captions, and what hinders training on it. What is wrong is told, not raised.

    Images are looked for among each other, too: those whose bytes are equal, and those that look nearly equal, see `groups`.
    """
    try:
        files = find_captions(path)
    except DataError as error:
        return CaptionSurvey(str(path), error=str(error))
    parts = sorted(files.pairs().items(), key=lambda each: SPLITS.index(each[0]))
    pairs = [pair._replace(image=pair.image._replace(split=split)) for split, part in parts for pair in part]
    looks: list[Look] = []
    in_threads(look, [pair.image for pair in pairs], lambda _, got: looks.append(got), "looking at images")
    seen = list(zip(pairs, looks, strict=True))
    splits = {split: [each for each in seen if each[0].image.split == split] for split, _ in parts}
    good = [(pair, got) for pair, got in seen if not got.fault]
    told = {split: _told(part) for split, part in splits.items()}
    every = [one for part in told.values() for one in part]
    scripts = Counter(script for one in every for script in one.scripts)
    uses, train = Counter(word for one in told["train"] for word in one.words), {one.words for one in told["train"]}
    often = {word for word, number in uses.items() if number >= OFTEN}
    members = [Member(pair.image.name, pair.image.split, f"captions: {len(pair.captions)}") for pair, _ in good]
    return CaptionSurvey(
        str(path),
        splits={split: count(part, train, often) for split, part in told.items()},
        an_image=spread(np.array([len(pair.captions) for pair, _ in good], np.float64)),
        lengths=spread(np.array([len(one.words) for one in every], np.float64)),
        words=Words(len(uses), len(often), [*uses.values()].count(1), dict(uses.most_common(COMMONEST))),
        scripts=dict(scripts.most_common()),
        sizes=dict(Counter("{}x{}".format(*got.size) for _, got in good).most_common()),
        common=_common(told["train"]),
        faults=files.faults,
        unreadable={pair.image.name: got.fault for pair, got in seen if got.fault and pair.image.name not in files.missing},
        missing=files.missing,
        bare=files.bare,
        unlisted=files.unlisted,
        empty=files.empty,
        odd=odd(every, scripts),
        alike=alike(members, [got.digest for _, got in good], [got.grey for _, got in good]),
        refusals=_refusals(files, splits),
    )


def _told(part: Looked) -> list[Said]:
    """What is said of those images of a split that can be used."""
    return [one for pair, got in part if not got.fault for one in said(pair.image.name, pair.captions)]


def _common(train: Sequence[Said]) -> Mapping[str, int]:
    """What is said of very many images, as it is written first -> of how many."""
    first = {one.words: one.caption for one in reversed(train)}
    images = Counter(words for _, words in dict.fromkeys((one.file, one.words) for one in train))
    bound = max(MANY[0], MANY[1] * len({one.file for one in train}))
    return {first[words]: number for words, number in images.most_common() if number > bound}


def _refusals(files: CaptionFiles, splits: Mapping[str, Looked]) -> tuple[str, ...]:
    """What a training would say of the files, of each split, and of the words."""
    refusals = [f"lines that are not as they must be: {len(files.faults):,}; mend them"] if files.faults else []
    for split, part in splits.items():
        faults = [Fault("unreadable", pair.image.name, got.fault) for pair, got in part if got.fault]
        if refused(files.found.path, len(part), faults, allowed := DataConfig().broken, "captions"):
            refusals.append(too_many(f"{len(faults):,} of {len(part):,} images of {split}", allowed))
    try:
        Vocabulary.of(
            (caption for pair, got in splits["train"] if not got.fault for caption in pair.captions), DataConfig().least_count
        )
    except DataError as error:
        refusals.append(str(error))
    return tuple(refusals)
