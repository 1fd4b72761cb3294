"""What a survey of a data set has found: as numbers, as text and as verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gipi.data.alike import Alike
from gipi.data.entry import listed
from gipi.data.look import SMALL
from gipi.data.telling import leaking, lists, opening
from gipi.showing import Told

UNEVEN = 3  # times as many pictures as the smallest class has, above which it is said


@dataclass(frozen=True)
class Survey(Told):
    """What is in a data set.

    error: what is wrong with its layout; then nothing else is known.  counts: pictures of each class in each split.
    shorter: pixels of the shorter sides: smallest, median, largest.  small: how many are below `SMALL`.
    broken, misnamed: what is wrong with a picture, by its name.  left_out: files that are no part of the set, and why.
    alike: groups of equal or nearly equal pictures.  refusals: why a training on them is refused.
    """

    path: str
    error: str = ""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    shorter: tuple[int, ...] = ()
    small: int = 0
    formats: Mapping[str, int] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    misnamed: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    alike: tuple[Alike, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def trainable(self) -> bool:
        return not (self.error or self.refusals)

    def verdicts(self) -> list[str]:
        """What to make of it, in sentences; the first says whether it can be trained on."""
        said = opening(self.error, self.refusals)
        if self.error:
            return said
        if self.broken and self.trainable:
            total = sum(sum(classes.values()) for classes in self.counts.values())
            said.append(f"{len(self.broken):,} of {total:,} pictures ({len(self.broken) / total:.1%}) cannot be read: left out")
        said += leaking(self.alike, "pictures")
        if ambiguous := sum(group.ambiguous for group in self.alike):
            said.append(f"groups of equal or nearly equal pictures with more than one label: {ambiguous:,}; correct them")
        train = self.counts["train"]
        most, least = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
        if (ratio := train[most] / train[least]) > UNEVEN:
            said.append(
                f"{most} has {ratio:.1f} times the training pictures of {least}: add some, for rare classes are read badly"
            )
        if self.small:
            said.append(f"pictures with a shorter side below {SMALL} pixels: {self.small:,}; enlarged they are blurred")
        return said

    def json(self) -> dict[str, Any]:
        """All of it, ready for json.dumps."""
        alike = [group.json() for group in self.alike]
        return {**asdict(self), "alike": alike, "trainable": self.trainable, "verdicts": self.verdicts()}

    def text(self) -> str:
        """For a terminal. Of long lists the first ten lines."""
        facts = [] if self.error else [*_table(self.counts), "", *self._facts()]
        told = {
            "cannot be read": [f"{name} {what}" for name, what in self.broken.items()],
            "misnamed": [f"{name} {what}" for name, what in self.misnamed.items()],
            "left out": self.left_out,
            "equal (=) or nearly equal (~)": [group.text() for group in self.alike],
        }
        return "\n".join([self.path, *facts, *lists(told), "", *self.verdicts()])

    def _facts(self) -> list[str]:
        sides = "{} to {} pixels, median {}".format(*self.shorter[::2], self.shorter[1]) if self.shorter else "none can be read"
        kinds = [", ".join(f"{kind} {count:,}" for kind, count in kinds.items()) for kinds in (self.formats, self.modes)]
        return [f"shorter side  {sides}; {self.small:,} below {SMALL}", f"formats       {kinds[0]}", f"modes         {kinds[1]}"]


def _table(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A row for each class, at most ten, and for all, a column for each split."""
    columns = [["class", *counts["train"]]]
    columns += [[split, *(f"{count:,}" for count in classes.values())] for split, classes in counts.items()]
    rows = [*zip(*columns, strict=True), ("all", *(f"{sum(classes.values()):,}" for classes in counts.values()))]
    width = max(len(row[0]) for row in rows)
    lines = [f"{name:{width}}" + "".join(f"{cell:>12}" for cell in cells) for name, *cells in rows]
    return [lines[0], *listed(lines[1:-1], "\n").split("\n"), lines[-1]]
