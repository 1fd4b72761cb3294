"""What a look through images with masks has found: as numbers, as text and as verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from gipi.data.entry import listed
from gipi.data.telling import counted, lists, opening
from gipi.showing import Told

RARE = 0.001  # share of the labelled pixels of train, below which a class is said to be rare


class Count(NamedTuple):
    """Of one class, or of void, in one split: its pixels, and how many masks have any of them."""

    pixels: int
    masks: int


class Unknown(NamedTuple):
    """A number, or a colour "(red, green, blue)", of no class in a mask, and how many pixels have it."""

    file: str
    value: str
    pixels: int


class Member(NamedTuple):
    """One of several equal images."""

    name: str
    split: str


@dataclass(frozen=True)
class MaskSurvey(Told):
    """What is in a data set of images with masks.

    error: what is wrong with its layout or its list of classes; then nothing else is known.  images: of each split, with a mask.
    classes: split -> class -> what there is of it, in the masks that can be used.  void: split -> the same of pixels without one.
    sizes: "480x360", width and height -> images.  partners: files that have no partner, and what to do.
    unreadable, mismatched, forms: what is wrong with an image or mask, by its name: broken; of another size than its image;
    lossy, or coloured where the list of classes has no colours.  unknown: values of no class.  empty: masks that are all void.
    uniform: masks that are all of one class, and of which.  equal: groups of images that are equal to the byte.
    left_out: files that are no part of the set, and why.  refusals: why a training on it is refused, and what to do.
    """

    path: str
    error: str = ""
    images: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    void: Mapping[str, Count] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    partners: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    mismatched: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[Unknown, ...] = ()
    empty: tuple[str, ...] = ()
    uniform: Mapping[str, str] = field(default_factory=dict)
    equal: tuple[tuple[Member, ...], ...] = ()
    left_out: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def trainable(self) -> bool:
        return not (self.error or self.refusals)

    def absent(self) -> list[str]:
        """Classes that occur in no mask of train."""
        return [name for name, count in self.classes["train"].items() if not count.masks]

    def leaks(self) -> int:
        """Images outside of train that are in train, too, to the byte."""
        sides = ([member.split == "train" for member in group] for group in self.equal)
        return sum(side.count(False) for side in sides if any(side))

    def verdicts(self) -> list[str]:
        """What to make of it, in sentences; the first says whether it can be trained on."""
        said = opening(self.error, self.refusals)
        if self.error:
            return said
        if self.unreadable and self.trainable:
            said.append(f"images or masks that cannot be read: {len(self.unreadable):,}; they are left out")
        if absent := self.absent():
            said.append(
                f"classes in no mask of train: {listed(absent)}; a net cannot learn them: label some, or take them off the list "
                f"(255 in a mask is void, unless the list gives that number to a class)"
            )
        train = self.classes["train"]
        total = sum(count.pixels for count in train.values())
        if rare := [name for name, count in train.items() if 0 < count.pixels < RARE * total]:
            said.append(f"classes with less than {RARE:.1%} of the labelled pixels of train: {listed(rare)}; weigh the classes")
        if self.empty:
            said.append(f"masks that are all void: {len(self.empty):,}; nothing is learnt from them")
        if self.uniform:
            said.append(f"masks that are all of one class: {len(self.uniform):,}; see that they are meant so")
        if leaks := self.leaks():
            said.append(f"test or validation images that are in train, too: {leaks:,}; scores will be too good")
        if len(self.sizes) > 1:
            said.append(f"sizes of images: {len(self.sizes):,}; those that differ are scaled to fit the commonest, and filled up")
        return said

    def json(self) -> dict[str, Any]:
        """All of it, ready for json.dumps."""
        splits = {
            split: {name: count._asdict() for name, count in {**counts, "(void)": self.void[split]}.items()}
            for split, counts in self.classes.items()
        }
        named = {"unknown": [each._asdict() for each in self.unknown], "equal": [[m._asdict() for m in g] for g in self.equal]}
        told = {"classes": splits, **named, "trainable": self.trainable, "verdicts": self.verdicts()}
        return {key: value for key, value in asdict(self).items() if key != "void"} | told

    def text(self) -> str:
        """For a terminal. Of long lists the first ten lines."""
        told = {
            "without a partner": self.partners,
            "cannot be read": _sentences(self.unreadable),
            "another size than its image": _sentences(self.mismatched),
            "values of no class": [f"{u.file}: {u.value}, {u.pixels:,} pixels" for u in self.unknown],
            "wrong kind of mask": _sentences(self.forms),
            "all void": self.empty,
            "all of one class": [f"{name}: {label}" for name, label in self.uniform.items()],
            "equal": [" = ".join(f"{name} ({split})" for name, split in group) for group in self.equal],
            "left out": self.left_out,
        }
        facts = [] if self.error else [*self._table(), "", f"width x height  {counted(self.sizes) or 'none can be read'}"]
        return "\n".join([self.path, *facts, *lists(told), "", *self.verdicts()])

    def _table(self) -> list[str]:
        """A row for each class, for void and for all; for each split the share of all pixels, and the masks that have some."""
        splits = list(self.classes)
        width = max(len(name) for name in (*self.classes["train"], "(void)"))
        rows = [f"{'':{width}}" + "".join(f"{split:>12}{'masks':>9}" for split in splits)]
        for name in (*self.classes["train"], "(void)"):
            counts = [self.classes[split].get(name, self.void[split]) for split in splits]
            shares = (count.pixels / max(1, self._pixels(split)) for split, count in zip(splits, counts, strict=True))
            rows.append(f"{name:{width}}" + "".join(f"{s:>12.2%}{c.masks:>9,}" for s, c in zip(shares, counts, strict=True)))
        return [*rows, f"{'all':{width}}" + "".join(f"{'':12}{self.images[split]:>9,}" for split in splits)]

    def _pixels(self, split: str) -> int:
        return self.void[split].pixels + sum(count.pixels for count in self.classes[split].values())


def _sentences(faults: Mapping[str, str]) -> list[str]:
    return [f"{name} {what}" for name, what in faults.items()]
