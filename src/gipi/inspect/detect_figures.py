"""Figures of detections: the worst images, how answers grew over the epochs, precision against recall, what is taken for what.

Boxes that are right are green, those missed or found falsely orange and dashed, those that do not count black and dotted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

from gipi.data.boxes import BoxSet
from gipi.errors import DataError
from gipi.inspect.figures import COLOURS, FAINT, GREY, INK, WIDTH, box, confusion, frame, short
from gipi.models.region_net import Found
from gipi.ops.detection import class_scores, curve
from gipi.ops.matching import SHOWN, UNCOUNTED, Matches, match

Look = tuple[str, Literal["-", "--", ":"]]  # colour, line

RIGHT: Look = COLOURS["test"], "-"
WRONG: Look = COLOURS["validation"], "--"
SPARED: Look = INK, ":"
HALO = [withStroke(linewidth=2.0, foreground="white")]
KEYS = {"right": RIGHT, "missed or false": WRONG, "does not count": SPARED}
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222", "#767676")
MOMENTS = 4  # epochs drawn at most
FEW = 16  # curves, drawn at most: each of LINES solid, then dashed
TITLE, CAPTION, LEGEND, FOOT = 0.3, 0.26, 0.22, 0.06  # inches
LONGEST = 1.5  # height of a panel, at most, as a share of its width
CROWD = 40  # boxes, from which on those that are right have no text


class Panel(NamedTuple):
    """Boxes drawn on an image: x0, y0, x1, y1 in its pixels, and of each what is written at it, its colour and its line."""

    name: str
    boxes: Float[Tensor, "b 4"]
    texts: Sequence[str]
    looks: Sequence[Look]


def worst(data: BoxSet, found: Found, f1: Float[Tensor, " n"], count: int = 6) -> Figure:
    """The `count` images of lowest F1, the lowest first: on the left their labels, on the right what was found.

    found: in pixels of the images; what has a score of `SHOWN` at least is drawn.  f1: of each image, 0 to 1.
    Raises DataError if the numbers of images, finds and F1s differ.
    """
    counts = len(data), len(found.boxes), len(f1)
    if len(set(counts)) != 1:
        raise DataError(f"images, what was found in them and F1s must be equally many, got {counts}")
    shown = f1.argsort(stable=True)[:count].tolist()
    title = f"The {len(shown)} images with the lowest F1, of {len(data):,}"
    names = "label", f"found, with a score of {SHOWN} or more, in percent"
    captions = [f"{short(data.names[index], 60)}: F1 {100 * float(f1[index]):.1f} %" for index in shown]
    return _sheet(title, data, shown, captions, [_panels(data, found, index, names) for index in shown])


def course(found: Mapping[int, Found], data: BoxSet) -> Figure:
    """A row an image: its labels, and what was found after up to `MOMENTS` of the epochs, the first and the last among them.

    found: by epoch, early to late. Raises DataError if the numbers of images and finds differ.
    """
    counts = len(data), *(len(each.boxes) for each in found.values())
    if len(set(counts)) != 1:
        raise DataError(f"images and what was found in them must be equally many, got {counts}")
    epochs = list(found)
    chosen = [epochs[at] for at in np.linspace(0, len(epochs) - 1, min(MOMENTS, len(epochs))).round().astype(int)]
    rows = []
    for index in range(len(data)):
        pairs = [_panels(data, found[epoch], index, ("label", f"epoch {epoch}")) for epoch in chosen]
        label = pairs[0][0]._replace(looks=[SPARED if look == SPARED else RIGHT for look in pairs[0][0].looks])
        rows.append([panel._replace(texts=()) for panel in (label, *(answer for _, answer in pairs))])
    title = "What is found in the same validation images after some of the epochs"
    return _sheet(title, data, range(len(data)), [""] * len(data), rows)


def precision_recall(matches: Matches, classes: Sequence[str]) -> Figure:
    """Precision against recall of each class at IoU 0.5, a dot at a score of `SHOWN`; of many classes, the FEW of lowest AP50."""
    ap50 = class_scores(matches, len(classes))["ap50"]
    there = (~ap50.isnan()).nonzero().flatten()
    shown = there if len(there) <= FEW else there[ap50[there].argsort(stable=True)[:FEW]]
    fig = Figure((WIDTH, 3.6), layout="constrained")
    ax = fig.subplots()
    for place, label in enumerate(map(int, shown)):
        recall, precision, score = (values.numpy() for values in curve(matches, label))
        colour, style = LINES[place % len(LINES)], "-" if place < len(LINES) else "--"
        name = f"{short(classes[label], 20)}  {100 * float(ap50[label]):.1f} %"
        ax.plot(100 * recall, 100 * precision, color=colour, linestyle=style, lw=1.4, label=name)
        at = int((score >= SHOWN).sum()) - 1
        if at >= 0:
            ax.plot(100 * recall[at], 100 * precision[at], "o", color=colour, ms=5)
    few = f"; the {FEW} lowest of {len(there)} classes" if len(there) > FEW else ""
    ax.set_title(f"dots: score {SHOWN}{few}", fontsize=9, color=INK, loc="left")
    ax.set(xlim=(-1, 102), ylim=(-1, 102))
    ax.set_xlabel("recall: of the truths, those found", fontsize=9, color=INK)
    ax.set_ylabel("precision: of the finds, those right", fontsize=9, color=INK)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:.0f} %")
    ax.tick_params(color=GREY, labelcolor=INK, labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.grid(color=FAINT, linewidth=0.6)
    legend = ax.legend(
        title="class, AP50", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, labelcolor=INK
    )
    legend.get_title().set(fontsize=8, color=GREY)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return fig


def taken_for(matrix: Int64[Tensor, "c c"], classes: Sequence[str]) -> Figure:
    """Which class is found as which: counts of boxes by label (row) and answer (column), the last of each being background.

    Raises DataError if the matrix is not (k + 1) x (k + 1) for k classes.
    """
    fig = confusion(matrix, [*classes, "background"])
    right, missed, false = int(matrix.trace()), int(matrix[:-1, -1].sum()), int(matrix[-1, :-1].sum())
    other = int(matrix.sum()) - right - missed - false
    title = f"{right:,} right, {other:,} of another class, {missed:,} missed, {false:,} false"
    fig.axes[0].set_title(title, fontsize=9, color=INK, loc="left")
    return fig


def _panels(data: BoxSet, found: Found, index: int, names: tuple[str, str]) -> tuple[Panel, Panel]:
    """An image's labels and what was found in it."""
    one, real = slice(index, index + 1), data.labels[index] >= 0
    part = Found(*(part[one] for part in found))
    matches = match(data.boxes[one], data.labels[one], data.ignored[one], data.scales[one], part)
    seen, classes = matches.score >= SHOWN, [short(name, 14) for name in data.classes]
    crowd = max(int(real.sum()), int(seen.sum())) > CROWD
    panels = []
    for name, boxes, labels, others, scores in (
        (names[0], data.boxes[index][real], matches.truth, matches.read, ()),
        (names[1], part.boxes[part.labels >= 0][seen], matches.label[seen], matches.meant[seen], matches.score[seen].tolist()),
    ):
        looks = [_look(*pair) for pair in zip(labels.tolist(), others.tolist(), strict=True)]
        ends = [f" {100 * score:.0f}" for score in scores] or [""] * len(looks)
        texts = [
            "" if crowd and look == RIGHT else classes[label] + end
            for label, end, look in zip(labels.tolist(), ends, looks, strict=True)
        ]
        panels.append(Panel(name, boxes, texts, looks))
    return panels[0], panels[1]


def _look(label: int, other: int) -> Look:
    """other: label of what it is on, see `Matches`."""
    return SPARED if other == UNCOUNTED else RIGHT if other == label else WRONG


def _sheet(title: str, data: BoxSet, shown: Sequence[int], captions: Sequence[str], rows: Sequence[Sequence[Panel]]) -> Figure:
    """A row for each image shown, under its caption, the columns' names above the first, below a legend."""
    names = [panel.name for panel in rows[0]]
    side, caption, head = WIDTH / len(names), CAPTION if any(captions) else 0.05, TITLE + CAPTION
    heights = [0.97 * side * min(float(data.sizes[index, 0] / data.sizes[index, 1]), LONGEST) for index in shown]
    total = head + sum(heights) + len(rows) * caption + LEGEND + FOOT
    fig, top, left = Figure((WIDTH, total)), head, 0.015 * side / WIDTH
    fig.text(left, 1 - TITLE / 2 / total, title, fontsize=9, color=INK, va="center")
    for column, name in enumerate(names):
        middle, height = (column + 0.5) * side / WIDTH, 1 - (TITLE + CAPTION / 2) / total
        fig.text(middle, height, name, fontsize=8, color=GREY, ha="center", va="center")
    for index, text, panels, tall in zip(shown, captions, rows, heights, strict=True):
        top += caption
        fig.text(left, 1 - (top - 0.05) / total, text, fontsize=8, color=INK, va="bottom", parse_math=False)
        for column, panel in enumerate(panels):
            ax = fig.add_axes(box((column + 0.015) * side, top, 0.97 * side, tall, total))
            height, width = data.sizes[index].tolist()
            _draw(ax, data.images[index, :, :height, :width], panel)
        top += tall
    handles = [Line2D([], [], color=colour, linestyle=line, lw=1.6, label=name) for name, (colour, line) in KEYS.items()]
    fig.legend(handles=handles, loc="lower left", ncols=3, fontsize=8, labelcolor=INK, frameon=False, borderaxespad=0.2)
    return fig


def _draw(ax: Axes, image: UInt8[Tensor, "3 h w"], panel: Panel) -> None:
    height, width = image.shape[1:]
    ax.imshow(image.permute(1, 2, 0).cpu().numpy(), extent=(0, width, height, 0), interpolation="antialiased")
    frame(ax)
    for (x0, y0, x1, y1), (colour, line) in zip(panel.boxes.tolist(), panel.looks, strict=True):
        ax.add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linestyle=line, linewidth=1.1, path_effects=HALO)
        )
    for (x0, y0, *_), text, (colour, _) in zip(panel.boxes.tolist(), panel.texts, panel.looks, strict=False):
        style = {"fontsize": 5.5, "color": "white", "bbox": {"facecolor": colour, "edgecolor": "none", "pad": 0.8}}
        ax.text(x0, y0, text, va="bottom" if y0 > 0.06 * height else "top", clip_on=True, parse_math=False, **style)
