"""Looking through images with masks before training on them: every image and mask is opened once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from gipi.config import DataConfig
from gipi.data.faults import Fault, named, refused
from gipi.data.mask_findings import Count, MaskSurvey, Member, Unknown
from gipi.data.mask_layout import MaskFiles, Pair, find_masks
from gipi.data.mask_read import Reader
from gipi.data.telling import too_many
from gipi.data.threads import in_threads
from gipi.errors import DataError
from gipi.ops.segmentation import VOID

__all__ = ["MaskSurvey", "mask_survey"]
SPLITS = ("train", "validation", "test")


class Look(NamedTuple):
    """What one pair is. digest: of the bytes of the image.  size: of the image.  counts: pixels of each label, void the last.

    fault: what is wrong with the pair; then size and counts are not known.
    """

    digest: bytes
    size: str = ""
    counts: Int64[ndarray, " 256"] | None = None
    fault: Fault | None = None


Looked = list[tuple[Pair, Look]]


def mask_survey(path: Path) -> MaskSurvey:
    """What is in a folder of images with masks, and what hinders training on it. What is wrong is told, not raised."""
    try:
        files = find_masks(path)
    except DataError as error:
        return MaskSurvey(str(path), error=str(error))
    reader = Reader(files.legend)
    parts = sorted(files.pairs().items(), key=lambda each: SPLITS.index(each[0]))
    pairs = [pair._replace(image=pair.image._replace(split=split)) for split, part in parts for pair in part]
    looks: list[Look] = []
    in_threads(lambda pair: _look(reader, pair), pairs, lambda _, look: looks.append(look), "looking at images and masks")
    seen = list(zip(pairs, looks, strict=True))
    faults = [look.fault for look in looks if look.fault]
    splits = {split: [each for each in seen if each[0].image.split == split] for split, _ in parts}
    counts = {split: [look.counts for _, look in part if look.counts is not None] for split, part in splits.items()}
    return MaskSurvey(
        str(path),
        images={split: len(part) for split, part in splits.items()},
        classes={split: _classes(files.found.classes, part) for split, part in counts.items()},
        void={split: _count(part, VOID) for split, part in counts.items()},
        sizes=dict(Counter(look.size for look in looks if look.size).most_common()),
        partners=files.faults,
        unreadable=named(faults, "unreadable"),
        mismatched=named(faults, "size"),
        forms=named(faults, "form"),
        unknown=tuple(Unknown(fault.file, value, pixels) for fault in faults for value, pixels in fault.values.items()),
        empty=tuple(pair.mask_name for pair, look in seen if look.counts is not None and not look.counts[:VOID].any()),
        uniform=_uniform(files.found.classes, seen),
        equal=_equal(seen),
        left_out=files.found.left_out,
        refusals=_refusals(files, splits),
    )


def _look(reader: Reader, pair: Pair) -> Look:
    try:
        digest = sha256(pair.image.read()).digest()
    except DataError:
        digest = b""  # which the reader tells
    got = reader.read(pair)
    if isinstance(got, Fault):
        return Look(digest, fault=got)
    height, width = got.mask.shape
    return Look(digest, f"{width}x{height}", np.bincount(got.mask.ravel(), minlength=VOID + 1))


def _classes(classes: Sequence[str], counts: Sequence[Int64[ndarray, " 256"]]) -> Mapping[str, Count]:
    return {name: _count(counts, label) for label, name in enumerate(classes)}


def _count(counts: Sequence[Int64[ndarray, " 256"]], label: int) -> Count:
    pixels = [int(count[label]) for count in counts]
    return Count(sum(pixels), sum(number > 0 for number in pixels))


def _uniform(classes: Sequence[str], seen: Looked) -> Mapping[str, str]:
    """Masks of one class and nothing else, not even void."""
    alone = ((pair, np.flatnonzero(look.counts)) for pair, look in seen if look.counts is not None)
    return {pair.mask_name: classes[int(labels[0])] for pair, labels in alone if len(labels) == 1 and labels[0] != VOID}


def _equal(seen: Looked) -> tuple[tuple[Member, ...], ...]:
    groups: dict[bytes, list[Member]] = {}
    for pair, look in seen:
        if look.digest:
            groups.setdefault(look.digest, []).append(Member(pair.image.name, pair.image.split))
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _refusals(files: MaskFiles, splits: Mapping[str, Looked]) -> tuple[str, ...]:
    """What a training would say of the files, and of each split."""
    said = [f"files without a partner: {len(files.faults):,}; add it or remove them"] if files.faults else []
    for split, part in splits.items():
        faults = [look.fault for _, look in part if look.fault]
        wrong = sum(fault.kind != "unreadable" for fault in faults)
        if wrong:
            said.append(f"masks of {split} that are wrong: {wrong:,}; mend them, or remove them with their images")
        elif refused(files.found.path, len(part), faults, allowed := DataConfig().broken, "masks"):
            said.append(too_many(f"{len(faults):,} of {len(part):,} images or masks of {split}", allowed))
        elif not any(look.counts is not None and look.counts[:VOID].any() for _, look in part):
            said.append(f"every pixel of every mask of {split} is void: label some")
    return tuple(said)
