"""What a look through images with captions has found: as numbers, as text and as verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gipi.data.alike import Alike
from gipi.data.caption_look import OFTEN, TROUBLES, Count, Odd, Words, shortened
from gipi.data.telling import counted, leaking, lists, opening, ranged
from gipi.showing import Told

SELDOM = 0.05  # share of a split's words that train has less than `OFTEN` times, above which it is said


@dataclass(frozen=True)
class CaptionSurvey(Told):
    """What is in a data set of images with captions.

    error: what is wrong with its layout or its lists; then nothing else is known.  splits: what there is in each, of images that
    can be used.  an_image: of the captions of an image the lowest number, the median and the highest; lengths: the same of the
    words of a caption.  words: those of train.  scripts: "Latin", "Hangul" and the like -> captions with such letters.
    sizes: "640x480", width and height -> images.  common: captions of very many images of train -> of how many.
    faults: lines that are not as they must be.  unreadable: what is wrong with an image, by its name.
    missing: images that have captions but are not there.  bare: images without a caption.  unlisted: images of no split, where
    others have one.  empty: captions that are empty.  odd: captions that have a trouble.
    alike: groups of equal or nearly equal images.  refusals: why a training on it is refused, and what to do.
    """

    path: str
    error: str = ""
    splits: Mapping[str, Count] = field(default_factory=dict)
    an_image: tuple[float, ...] = ()
    lengths: tuple[float, ...] = ()
    words: Words = field(default_factory=Words)
    scripts: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    common: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    odd: tuple[Odd, ...] = ()
    alike: tuple[Alike, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def trainable(self) -> bool:
        return not (self.error or self.refusals)

    def troubles(self) -> dict[str, list[Odd]]:
        """The odd captions by their trouble, where there are any."""
        found = {trouble: [odd for odd in self.odd if odd.trouble == trouble] for trouble in TROUBLES}
        return {trouble: captions for trouble, captions in found.items() if captions}

    def verdicts(self) -> list[str]:
        """What to make of it, in sentences; the first says whether it can be trained on."""
        said = opening(self.error, self.refusals)
        if self.error:
            return said
        lost = {"images that cannot be read": self.unreadable, "images that have captions, but are not there": self.missing}
        left_out = {
            **(lost if self.trainable else {}),
            "images without a caption": self.bare,
            "images of no split": self.unlisted,
            "captions that are empty": self.empty,
        }
        said += [f"{what}: {len(those):,}; they are left out" for what, those in left_out.items() if those]
        said += [f"captions {trouble}: {len(odd):,}; they are {TROUBLES[trouble]}" for trouble, odd in self.troubles().items()]
        if self.common:
            said.append(f"captions of very many images: {len(self.common):,}; a net will say little else: tell what differs")
        for split, count in self.splits.items():
            if split != "train" and count.seldom > SELDOM * count.words:
                share = f"{count.seldom / count.words:.0%} of the words of {split} are less than {OFTEN} times in train"
                said.append(f"{share}; a net can hardly say them: add captions")
        return said + leaking(self.alike, "images")

    def json(self) -> dict[str, Any]:
        """All of it, ready for json.dumps."""
        named = {"odd": [each._asdict() for each in self.odd], "alike": [group.json() for group in self.alike]}
        counts = {"splits": {split: count._asdict() for split, count in self.splits.items()}, "words": self.words._asdict()}
        return asdict(self) | counts | named | {"trainable": self.trainable, "verdicts": self.verdicts()}

    def text(self) -> str:
        """For a terminal. Of long lists the first ten lines."""
        told = {
            "lines that are not as they must be": self.faults,
            "cannot be read": [f"{name} {what}" for name, what in self.unreadable.items()],
            "captions, but no image": self.missing,
            "image, but no captions": self.bare,
            "of no split": self.unlisted,
            "empty captions": self.empty,
            **{f"captions {trouble}": [each.text() for each in odd] for trouble, odd in self.troubles().items()},
            "captions of very many images": [
                f"{shortened(caption)}: {images:,} images" for caption, images in self.common.items()
            ],
            "equal (=) or nearly equal (~)": [group.text() for group in self.alike],
        }
        facts = [] if self.error else [*self._table(), "", *self._facts()]
        return "\n".join([self.path, *facts, *lists(told), "", *self.verdicts()])

    def _facts(self) -> list[str]:
        words = self.words
        return [
            f"captions an image  {ranged(self.an_image, 'none')}",
            f"words a caption    {ranged(self.lengths, 'none')}",
            f"words of train     {words.different:,}; {words.often:,} at least {OFTEN} times, {words.once:,} once",
            f"commonest          {counted(words.commonest)}",
            f"scripts            {counted(self.scripts) or 'no letters'}",
            f"image sizes        {counted(self.sizes) or 'none can be read'}",
        ]

    def _table(self) -> list[str]:
        """A column for each split; what train has too seldom, or word for word, as shares."""
        counts = self.splits.values()
        seldom = (f"{count.seldom / max(1, count.words):.1%}" for count in counts)
        copied = (
            f"{count.copied / max(1, count.captions):.1%}" if split != "train" else "" for split, count in self.splits.items()
        )
        rows = {
            "": list(self.splits),
            "images": [f"{count.images:,}" for count in counts],
            "captions": [f"{count.captions:,}" for count in counts],
            "  in train, too": copied,
            "words": [f"{count.words:,}" for count in counts],
            f"  less than {OFTEN} times in train": seldom,
        }
        return [f"{name:30}" + "".join(f"{cell:>12}" for cell in cells) for name, cells in rows.items()]
