"""What `gipi predict` says of an answer, line by line, and where what is drawn of it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gipi.cli.drawn import saved

if TYPE_CHECKING:
    from gipi.api import Captioning, Classification, Detection, Segmentation

FEW = 10  # classes; of more, the likeliest are shown, down to
FAINT = 0.001  # probability


def told(
    answer: Captioning | Classification | Detection | Segmentation, files: Sequence[Path], *, scores: bool
) -> tuple[list[str], dict[str, str]]:
    """(lines, the pictures by what they show). files: into which those are written; none, and none are.

    scores: whether sentences are told with their log-probabilities.
    """
    from gipi import api

    if isinstance(answer, api.Classification):
        return [", ".join(f"{label} ({score:.1%})" for label, score in _shown(answer))], {}
    if isinstance(answer, api.Segmentation):
        return [", ".join(map(str, answer.areas))], saved(files, {"mask": answer.index_image(), "overlay": answer.draw()})
    if isinstance(answer, api.Detection):
        return [str(answer)], saved(files, {"drawn": answer.draw()})
    lines = [str(sentence) for sentence in answer.sentences] if scores else [str(answer)]
    return lines, _drawn(answer, files) if files else {}


def _drawn(answer: Captioning, files: Sequence[Path]) -> dict[str, str]:
    """The picture with its sentences and, of a net that attends, where it looked at each word of the best one."""
    pictures = {"drawn": answer.draw(), "words": answer.draw_words()}
    there = {what: picture for what, picture in pictures.items() if picture}
    return saved(files[: len(there)], there)


def _shown(answer: Classification) -> list[tuple[str, float]]:
    """Of many classes the likeliest five, of few the answer alone. A vote's answer stands first, likeliest or not."""
    answered = (answer.label, answer.score)
    if len(answer.probabilities) <= FEW:
        return [answered]
    others = [(label, score) for label, score in answer.top() if label != answer.label and score >= FAINT]
    return [answered, *others][:5]
