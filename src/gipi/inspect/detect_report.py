"""The report of a detector's training: what it reached, how it got there, where it is wrong, what it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gipi.data.boxes import BoxSet
from gipi.inspect import detect_figures, figures
from gipi.inspect.layers import fed, layer_table
from gipi.inspect.report import Section, Table, write_report
from gipi.inspect.training import facts, last_sections, title
from gipi.model import Card
from gipi.models.region_net import Found
from gipi.ops.detection import box_confusion, class_scores, f1
from gipi.ops.matching import SHOWN, Matches
from gipi.runs import Run

SCORES = {
    "ap": "test AP",
    "ap50": "AP at IoU 0.5",
    "ap75": "AP at IoU 0.75",
    "ap_small": "AP, small",
    "ap_medium": "AP, medium",
    "ap_large": "AP, large",
    "ar100": "recall, 100 finds",
    "voc_ap": "VOC AP",
    "voc_ap11": "VOC AP of 2007",
}


def write_detect_report(
    run: Run,
    net: nn.Module,
    card: Card,
    *,
    data: BoxSet,
    found: Found,
    matches: Matches,
    followed: BoxSet | None,
    course: Mapping[int, Found],
) -> None:
    """Write report.html into the run folder.

    data: the test set.  found: in it, in pixels of its images.  matches: of both.
    followed: a few validation images, if there are any.  course: what was found in them, by epoch.
    """
    table = layer_table(net, fed(net, card.image))
    confusion = box_confusion(matches, len(card.classes))
    grown = [detect_figures.course(course, followed)] if followed and course else []
    sections = [
        Section("Course of the training", png=figures.png_bytes(figures.curves(run.rows()))),
        Section(
            "Precision and recall",
            "Of the finds down to some score: the share that is right, and the share of the truths that they find, at IoU 0.5.",
            png=figures.png_bytes(detect_figures.precision_recall(matches, card.classes)),
        ),
        Section(
            "Classes in numbers",
            "AP: average precision, the mean over IoU 0.5 to 0.95 as COCO has it. Precision and recall: of the finds with a "
            f"score of {SHOWN} or more, at IoU 0.5. Truths: how many boxes are to be found.",
            table=class_table(matches, confusion, card.classes),
        ),
        Section(
            "Worst images of the test set",
            "F1 of an image: 2 x right / (2 x right + false + missed), at IoU 0.5.",
            png=figures.png_bytes(detect_figures.worst(data, found, f1(matches))),
        ),
        Section(
            "Confusion matrix",
            f"How many boxes of each label are found as what, at IoU 0.5 and a score of {SHOWN} or more. Background as the "
            "answer: missed; as the label: found where nothing is.",
            png=figures.png_bytes(detect_figures.taken_for(confusion, card.classes)),
        ),
        *(Section("Finds over the epochs", png=figures.png_bytes(figure)) for figure in grown),
        *last_sections(run, table),
    ]
    scores = [(name, f"{card.metrics[key]:.2%}") for key, name in SCORES.items() if key in card.metrics]
    summary = [*scores, *facts(run, card, table)]
    write_report(run.path / "report.html", title=title(run, card), summary=summary, sections=sections)


def class_table(matches: Matches, confusion: Tensor, classes: Sequence[str]) -> Table:
    """(header, rows): AP, AP50, VOC AP, precision, recall and number of truths of each class; empty where 0 / 0."""
    scores, right = class_scores(matches, len(classes)), confusion.diagonal().double()
    truths = confusion[:-1].sum(1)
    shares = scores["ap"], scores["ap50"], scores["voc_ap"], (right / confusion.sum(0))[:-1], right[:-1] / truths
    rows = [
        [name, *("" if share.isnan() else f"{100 * float(share):.2f} %" for share in of_class), f"{int(count):,}"]
        for name, count, *of_class in zip(classes, truths, *shares, strict=True)
    ]
    return ["class", "AP", "AP50", "VOC AP", "precision", "recall", "truths"], rows
