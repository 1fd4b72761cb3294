"""What a look through images with boxes has found: as numbers, as text and as verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from gipi.data.alike import Alike
from gipi.data.box_look import TROUBLES, Wrong
from gipi.data.entry import listed
from gipi.data.telling import counted, leaking, lists, opening, ranged
from gipi.showing import Told

FEW = 20  # boxes in train, below which a class is said to have few


class Count(NamedTuple):
    """Of one class, or of all, in one split: its boxes that training takes, and how many images have any of them."""

    boxes: int
    images: int


@dataclass(frozen=True)
class BoxSurvey(Told):
    """What is in a data set of images with boxes.

    error: what is wrong with its layout or its lists; then nothing else is known.  images: of each split, with their boxes.
    classes: split -> class -> what there is of it.  boxed: split -> the same of all.
    difficult, crowd: boxes that are marked so, and not counted: they are neither to be found nor a mistake to find.
    areas: "small", "medium" and "large" -> boxes, by COCO's bounds.  aspect: of the boxes' width to their height the lowest, the
    median and the highest; crowded: the same of the boxes of an image.  sizes: "480x360", width and height -> images.
    partners: files that have no partner, and what to do.  unreadable, mismatched, unknown: what is wrong with an image or its
    boxes, by its name: broken; of another size than is said; a class that there is not.  wrong: boxes that have a trouble.
    slips: classes whose names hardly differ.  alike: groups of equal or nearly equal images.
    left_out: files that are no part of the set, and why.  refusals: why a training on it is refused, and what to do.
    """

    path: str
    error: str = ""
    images: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    boxed: Mapping[str, Count] = field(default_factory=dict)
    difficult: int = 0
    crowd: int = 0
    areas: Mapping[str, int] = field(default_factory=dict)
    aspect: tuple[float, ...] = ()
    crowded: tuple[float, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    partners: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    mismatched: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    wrong: tuple[Wrong, ...] = ()
    slips: tuple[tuple[str, str], ...] = ()
    alike: tuple[Alike, ...] = ()
    left_out: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def trainable(self) -> bool:
        return not (self.error or self.refusals)

    def troubles(self) -> dict[str, list[Wrong]]:
        """The wrong boxes by their trouble, where there are any."""
        found = {trouble: [wrong for wrong in self.wrong if wrong.trouble == trouble] for trouble in TROUBLES}
        return {trouble: boxes for trouble, boxes in found.items() if boxes}

    def verdicts(self) -> list[str]:
        """What to make of it, in sentences; the first says whether it can be trained on."""
        said = opening(self.error, self.refusals)
        if self.error:
            return said
        if self.unreadable and self.trainable:
            said.append(f"images or their boxes that cannot be read: {len(self.unreadable):,}; they are left out")
        said += [f"boxes {trouble}: {len(boxes):,}; they are {TROUBLES[trouble]}" for trouble, boxes in self.troubles().items()]
        train = self.classes["train"]
        if absent := [name for name, count in train.items() if not count.boxes]:
            said.append(f"classes without a box in train: {listed(absent)}; a net cannot learn them: add some, or take them out")
        if few := [f"{name} ({count.boxes})" for name, count in train.items() if 0 < count.boxes < FEW]:
            said.append(f"classes with less than {FEW} boxes in train: {listed(few)}; they will hardly be learnt: add some")
        if self.slips:
            pairs = listed([f"{one} and {other}" for one, other in self.slips])
            said.append(f"classes whose names hardly differ: {pairs}; see that none is a slip of the other")
        if empty := sum(self.images[split] - count.images for split, count in self.boxed.items()):
            said.append(f"images without a box to find: {empty:,}; they are kept, as background")
        if len(self.sizes) > 1:
            said.append(f"sizes of images: {len(self.sizes):,}; those that differ are scaled to fit the commonest, and filled up")
        if self.difficult or self.crowd:
            marked = f"difficult {self.difficult:,}, crowds {self.crowd:,}"
            said.append(f"boxes that are marked: {marked}; they are neither to be found nor a mistake to find")
        return said + leaking(self.alike, "images")

    def json(self) -> dict[str, Any]:
        """All of it, ready for json.dumps."""
        splits = {
            split: {name: count._asdict() for name, count in {**counts, "(all)": self.boxed[split]}.items()}
            for split, counts in self.classes.items()
        }
        named = {"wrong": [each._asdict() for each in self.wrong], "alike": [group.json() for group in self.alike]}
        told = {"classes": splits, **named, "trainable": self.trainable, "verdicts": self.verdicts()}
        return {key: value for key, value in asdict(self).items() if key != "boxed"} | told

    def text(self) -> str:
        """For a terminal. Of long lists the first ten lines."""
        faults = {"cannot be read": self.unreadable, "another size than is said": self.mismatched, "of no class": self.unknown}
        told = {
            "without a partner": self.partners,
            **{title: [f"{name} {what}" for name, what in found.items()] for title, found in faults.items()},
            **{f"boxes {trouble}": [box.text() for box in boxes] for trouble, boxes in self.troubles().items()},
            "equal (=) or nearly equal (~)": [group.text() for group in self.alike],
            "left out": self.left_out,
        }
        facts = [] if self.error else [*self._table(), "", *self._facts()]
        return "\n".join([self.path, *facts, *lists(told), "", *self.verdicts()])

    def _facts(self) -> list[str]:
        small, medium, large = (f"{name} {self.areas[name]:,}" for name in ("small", "medium", "large"))
        return [
            f"box areas       {small} (below 32x32 pixels), {medium}, {large} (from 96x96)",
            f"width / height  {ranged(self.aspect, 'no boxes')}",
            f"boxes an image  {ranged(self.crowded, 'no boxes')}",
            f"image sizes     {counted(self.sizes) or 'none can be read'}",
        ]

    def _table(self) -> list[str]:
        """A row for each class and for all; for each split the boxes, and the images that have some; then all its images."""
        width = max(len(name) for name in (*self.classes["train"], "images"))
        rows = [f"{'':{width}}" + "".join(f"{split:>12}{'images':>9}" for split in self.boxed)]
        for name in (*self.classes["train"], "(all)"):
            counts = (self.classes[split].get(name, self.boxed[split]) for split in self.boxed)
            rows.append(f"{name:{width}}" + "".join(f"{count.boxes:>12,}{count.images:>9,}" for count in counts))
        return [*rows, f"{'images':{width}}" + "".join(f"{'':12}{count:>9,}" for count in self.images.values())]
