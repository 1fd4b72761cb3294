"""Looking through images with boxes before training on them: every image is opened once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from gipi.config import DataConfig
from gipi.data.alike import Member, alike
from gipi.data.box_findings import BoxSurvey, Count
from gipi.data.box_format import wrong_format
from gipi.data.box_layout import BoxFiles, find_boxes
from gipi.data.box_look import Good, examine
from gipi.data.faults import Fault, named, refused
from gipi.data.slips import slips
from gipi.data.telling import spread, too_many
from gipi.data.threads import in_threads
from gipi.errors import DataError

__all__ = ["BoxSurvey", "box_survey"]
SPLITS = ("train", "validation", "test")
MEDIUM, LARGE = 32**2, 96**2  # pixels of a box from which on COCO calls it so


def box_survey(path: Path) -> BoxSurvey:
    """What is in a data set of images with boxes, and what hinders training on it. What is wrong is told, not raised.

    Images are looked for among each other, too: those whose bytes are equal, and those that look nearly equal, see `groups`.
    """
    try:
        files = find_boxes(path)
    except DataError as error:
        return BoxSurvey(str(path), error=str(error))
    parts = sorted(files.pairs().items(), key=lambda each: SPLITS.index(each[0]))
    pairs = [pair._replace(image=pair.image._replace(split=split)) for split, part in parts for pair in part]
    looks: list[Good | Fault] = []
    names = files.found.classes
    in_threads(lambda pair: examine(pair, names), pairs, lambda _, got: looks.append(got), "looking at images and boxes")
    splits = {s: [look for pair, look in zip(pairs, looks, strict=True) if pair.image.split == s] for s, _ in parts}
    seen = [(pair, look) for pair, look in zip(pairs, looks, strict=True) if isinstance(look, Good)]
    good, faults = [look for _, look in seen], [look for look in looks if isinstance(look, Fault)]
    found = {split: [look for look in part if isinstance(look, Good)] for split, part in splits.items()}
    classes = {s: {name: _count(part, [n]) for n, name in enumerate(names)} for s, part in found.items()}
    members = [Member(pair.image.name, pair.image.split, f"boxes: {len(look.boxes)}") for pair, look in seen]
    sides = np.concatenate([look.boxes[:, 2:] - look.boxes[:, :2] for look in good] or [np.zeros((0, 2))])
    return BoxSurvey(
        str(path),
        images={split: len(part) for split, part in found.items()},
        classes=classes,
        boxed={split: _count(part, range(len(names))) for split, part in found.items()},
        difficult=sum(look.marked[0] for look in good),
        crowd=sum(look.marked[1] for look in good),
        areas=_areas(sides.prod(1)),
        aspect=spread(sides[:, 0] / sides[:, 1]),
        crowded=spread(np.array([len(look.boxes) for look in good], np.float64)),
        sizes=dict(Counter(f"{look.size[1]}x{look.size[0]}" for look in good).most_common()),
        partners=files.faults,
        unreadable=named(faults, "unreadable"),
        mismatched=named(faults, "size"),
        unknown=named(faults, "unknown"),
        wrong=tuple(wrong for look in good for wrong in look.wrong),
        slips=slips({name: count.boxes for name, count in classes["train"].items()}),
        alike=alike(members, [look.digest for look in good], [look.grey for look in good]),
        left_out=files.found.left_out,
        refusals=_refusals(files, splits),
    )


def _count(looks: Iterable[Good], labels: Sequence[int]) -> Count:
    boxes = [int(np.isin(look.labels, labels).sum()) for look in looks]
    return Count(sum(boxes), sum(number > 0 for number in boxes))


def _areas(areas: Float[ndarray, " n"]) -> Mapping[str, int]:
    medium, large = (int((areas >= bound).sum()) for bound in (MEDIUM, LARGE))
    return {"small": len(areas) - medium, "medium": medium - large, "large": large}


def _refusals(files: BoxFiles, splits: Mapping[str, Sequence[Good | Fault]]) -> tuple[str, ...]:
    """What a training would say of the files, and of each split."""
    said = [f"files without a partner: {len(files.faults):,}; add it or remove them"] if files.faults else []
    for split, part in splits.items():
        faults, good = [look for look in part if isinstance(look, Fault)], [look for look in part if isinstance(look, Good)]
        if wrong := sum(fault.kind != "unreadable" for fault in faults):
            said.append(f"images of {split} whose boxes are of no class or for another size: {wrong:,}; mend them")
        elif refused(files.found.path, len(part), faults, allowed := DataConfig().broken, "boxes"):
            said.append(too_many(f"{len(faults):,} of {len(part):,} images or boxes of {split}", allowed))
        elif why := wrong_format(*_written(good), files.written):
            said.append(f"{split}: {why}")
        elif split == "train" and not any(len(look.labels) for look in good):
            said.append("no box of train can be learnt from: draw some")
    return tuple(said)


def _written(good: Sequence[Good]) -> tuple[Float[ndarray, "n 4"], Float[ndarray, "n 2"]]:
    """All boxes as they are written, and the size of the image of each."""
    sizes = [np.tile(np.array(look.size, np.float64), (len(look.written), 1)) for look in good]
    return np.concatenate([look.written for look in good]), np.concatenate(sizes)
