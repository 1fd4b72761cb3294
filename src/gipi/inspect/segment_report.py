"""The report of a segmentation net's training: what it reached, how it got there, where it is wrong, what it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from gipi.data.masks import MaskSet
from gipi.inspect import figures, segment_figures
from gipi.inspect.layers import fed, layer_table
from gipi.inspect.report import Section, Table, write_report
from gipi.inspect.training import facts, last_sections, title
from gipi.model import Card
from gipi.ops.segmentation import iou
from gipi.runs import Run

SCORES = {
    "mean_iou": "test mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "class_accuracy": "class accuracy",
    "boundary_f1": "boundary F1",
}


def write_segment_report(
    run: Run,
    net: nn.Module,
    card: Card,
    *,
    data: MaskSet,
    answers: UInt8[Tensor, "n h w"],
    ious: Float[Tensor, " n"],
    confusion: Int64[Tensor, "k k"],
    followed: MaskSet | None,
    course: Mapping[int, UInt8[Tensor, "m h w"]],
) -> None:
    """Write report.html into the run folder.

    data: the test set.  answers: to it.  ious: mean IoU of each of its images, 0 to 1.  confusion: pixels by label and answer.
    followed: a few validation images, if there are any.  course: the answers to them, by epoch.
    """
    table = layer_table(net, fed(net, card.image))
    bars = segment_figures.iou_bars(confusion, card.classes, data.colours)
    grown = [segment_figures.course(course, followed)] if followed and course else []
    sections = [
        Section("Course of the training", png=figures.png_bytes(figures.curves(run.rows()))),
        Section("Classes", png=figures.png_bytes(bars)),
        Section(
            "Classes in numbers",
            "IoU: of the pixels that are the class or are called it, the share that are both. Accuracy: of those that are, the "
            "share called so. Precision: of those called so, the share that are. Pixels: its share of all that are labelled.",
            table=class_table(confusion, card.classes),
        ),
        Section(
            "Worst images of the test set",
            "IoU of an image is the mean over the classes in its label or its answer.",
            png=figures.png_bytes(segment_figures.worst(data, answers, ious)),
        ),
        Section(
            "Confusion matrix",
            "Of the pixels of each label, how many in a hundred get each answer.",
            png=figures.png_bytes(figures.confusion(confusion, card.classes, pixels=True)),
        ),
        *(Section("Answers over the epochs", png=figures.png_bytes(figure)) for figure in grown),
        *last_sections(run, table),
    ]
    scores = [(name, f"{card.metrics[key]:.2%}") for key, name in SCORES.items()]
    summary = [*scores, *facts(run, card, table)]
    write_report(run.path / "report.html", title=title(run, card), summary=summary, sections=sections)


def class_table(confusion: Int64[Tensor, "k k"], classes: Sequence[str]) -> Table:
    """(header, rows): IoU, accuracy (recall), precision and share of the labelled pixels of each class; empty where 0 / 0."""
    right, labels, answers = confusion.diagonal().double(), confusion.sum(1), confusion.sum(0)
    columns = iou(confusion), right / labels, right / answers, labels / labels.sum()
    rows = [
        [name, *("" if value.isnan() else f"{100 * float(value):.2f} %" for value in values)]
        for name, *values in zip(classes, *columns, strict=True)
    ]
    return ["class", "IoU", "accuracy", "precision", "pixels"], rows
