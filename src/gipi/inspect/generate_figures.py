"""Figures of a generator: how its training went, its images by class and by epoch, what they are near to, shares of classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from torch import Tensor

from gipi.errors import DataError
from gipi.inspect.figures import COLOURS, FAINT, GREY, INK, WIDTH, box, short
from gipi.inspect.letters import line
from gipi.ops.gallery import grid

BLUE, ORANGE = COLOURS["train"], COLOURS["validation"]
ACROSS = 10  # images side by side
CLASSES, FEW = 20, 30  # drawn at most: classes with their images, classes as bars
POINTS = 8  # size of a name
TITLE, LABEL, NOTE, GAP = 0.3, 0.95, 0.18, 0.07  # inches: above all, left of a row, below it, between rows


class Panel(NamedTuple):
    """label, names of values and of their lines, the rows that they stand in, whether they are shares, height in inches."""

    label: str
    lines: Mapping[str, str]
    splits: tuple[str, ...]
    share: bool = False
    height: float = 2.0


PANELS = (
    Panel("loss", {"loss": "generator", "discriminator_loss": "discriminator"}, ("train",)),
    Panel("taken for real", {"real": "real images", "made": "made images"}, ("train",), share=True),
    Panel("Fréchet distance", {"frechet": "Fréchet distance"}, ("validation", "test")),
    Panel("precision, recall", {"precision": "precision", "recall": "recall"}, ("validation", "test"), share=True),
    Panel("learning rate", {"lr": "learning rate"}, ("train",), height=1.2),
)


class Near(NamedTuple):
    """A training image near to the made image number `sample`, and how far apart the two are."""

    sample: int
    image: UInt8[Tensor, "c h w"]
    distance: float


class Strip(NamedTuple):
    """A row of images behind its name, with a note below each image."""

    name: str
    images: UInt8[Tensor, "n c h w"]
    notes: Sequence[str] = ()


def curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Losses, what the discriminator takes for real, distance, precision and recall, learning rate, as far as `rows` go.

    rows: of metrics.jsonl. The bold line of a long training is a running mean, a star is the test set. Values that are not finite
    are left out.
    """
    panels = [panel for panel in PANELS if any(_points(rows, name, panel.splits) for name in panel.lines)]
    heights = [panel.height for panel in panels] or [1.2]
    fig = Figure((WIDTH, sum(heights)), layout="constrained")
    if not panels:
        fig.text(0.5, 0.5, "No measurements yet.", ha="center", va="center", fontsize=12, color=INK)
        return fig
    axes = fig.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for ax, panel in zip(axes, panels, strict=True):
        for (name, words), colour in zip(panel.lines.items(), (BLUE, ORANGE), strict=False):
            for split in panel.splits:
                steps, values = np.array(_points(rows, name, (split,)), float).reshape(-1, 2).T
                _line(ax, split, colour, words, steps, 100 * values if panel.share else values)
        _scale(ax, panel)
    axes[-1].set_xlabel("step", fontsize=9, color=INK)
    axes[-1].xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axes[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return fig


def _points(rows: Sequence[Mapping[str, Any]], name: str, splits: Iterable[str]) -> list[tuple[float, float]]:
    return [(row["step"], row[name]) for row in rows if row["split"] in splits and isfinite(row.get(name, np.nan))]


def _line(ax: Axes, split: str, colour: str, words: str, steps: np.ndarray, values: np.ndarray) -> None:
    if not len(values):
        return
    style, size, thick = {"train": ("-", 0, 1.6), "validation": ("o-", 3, 1.6), "test": ("*", 11, 0)}[split]
    width = max(1, len(values) // 30) if split == "train" and words != "learning rate" else 1
    if width > 1:
        ax.plot(steps, values, color=colour, lw=0.6, alpha=0.25)
        steps, values = (np.convolve(of, np.full(width, 1 / width), mode="valid") for of in (steps, values))
    ax.plot(steps, values, style, color=colour, ms=size, lw=thick, label=words if split != "test" else f"{words}, test")


def _scale(ax: Axes, panel: Panel) -> None:
    if panel.share:
        ax.set_ylim(0, 100)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g} %"))
    else:
        if "frechet" in panel.lines and ax.dataLim.intervaly[0] > 0:  # late progress is in small numbers
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        elif "lr" in panel.lines:
            ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel(panel.label, fontsize=9, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(color=GREY, labelcolor=INK, labelsize=8)
    ax.grid(color=FAINT, linewidth=0.6)
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=2, loc="best")


def by_class(images: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"], classes: Sequence[str]) -> Figure:
    """A row a class that was asked for, of the first `CLASSES` of them, with its first `ACROSS` images.

    Raises DataError if the numbers of images and labels differ.
    """
    if len(images) != len(labels):
        raise DataError(f"images and labels must be equally many, got {len(images)} and {len(labels)}")
    asked = labels.unique().tolist()
    title = f"asked for, and made; {CLASSES} of {len(asked)} classes" if len(asked) > CLASSES else "asked for, and made"
    return _sheet(title, [Strip(classes[int(label)], images[labels == label][:ACROSS]) for label in asked[:CLASSES]])


def course(pictures: Mapping[int, UInt8[Tensor, "m c h w"]]) -> Figure:
    """A row an epoch, early to late: what the same noise gives, a column for each of the first `ACROSS`."""
    return _sheet("each column is one noise", [Strip(f"epoch {epoch:,}", images[:ACROSS]) for epoch, images in pictures.items()])


def nearest(samples: UInt8[Tensor, "n c h w"], near: Sequence[Near]) -> Figure:
    """Each sample that `near` speaks of above its training images, in their order, each with its distance below it."""
    of = defaultdict[int, list[Near]](list)
    for one in near:
        of[one.sample].append(one)
    shown, strips = list(of), list[Strip]()
    for start in range(0, len(shown), ACROSS):
        part = shown[start : start + ACROSS]
        strips.append(Strip("made", samples[part]))
        for rank in range(min(len(of[sample]) for sample in part)):
            found = [of[sample][rank] for sample in part]
            name = f"nearest {rank + 1}" if rank else "nearest"
            strips.append(Strip(name, torch.stack([one.image for one in found]), [f"{one.distance:.3g}" for one in found]))
    return _sheet("made images above the nearest ones of the training, with their distance", strips)


def balance(shares: Mapping[str, tuple[float, float]]) -> Figure:
    """Of each class two bars: its share of the made images, and of the real ones; of more than `FEW`, those made too rarely.

    shares: (of the made, of the real), 0 to 1, by class.
    """
    shown = list(shares) if len(shares) <= FEW else sorted(shares, key=lambda name: shares[name][0] - shares[name][1])[:FEW]
    fig = Figure((WIDTH, 0.9 + 0.28 * len(shown)), layout="constrained")
    ax = fig.subplots()
    places = np.arange(len(shown))
    for row, (words, colour) in enumerate((("made", BLUE), ("real", FAINT))):
        values = [100 * shares[name][row] for name in shown]
        ax.barh(places + 0.38 * row - 0.19, values, height=0.36, color=colour, edgecolor=GREY, linewidth=0.5, label=words)
        if not row:
            for place, value in zip(places, values, strict=True):
                ax.text(value, place - 0.19, f" {value:.1f} %", va="center", fontsize=7, color=INK)
    few = f"; the {len(shown)} of {len(shares)} classes that are made too rarely most" if len(shown) < len(shares) else ""
    ax.set_title(f"share of the images{few}", fontsize=9, color=INK, loc="left")
    ax.set_yticks(places, [short(name, 24) for name in shown], parse_math=False)
    ax.set(ylim=(len(shown) - 0.4, -0.6), xlim=(0, 1.12 * max(ax.dataLim.intervalx[1], 1e-9)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g} %"))
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(GREY)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left", bbox_to_anchor=(1, 1))
    return fig


def _sheet(title: str, strips: Sequence[Strip]) -> Figure:
    """Rows of square images under a title."""
    side = (WIDTH - LABEL) / ACROSS
    heights = [side + (NOTE if strip.notes else 0) + GAP for strip in strips]
    total, top = TITLE + sum(heights), TITLE
    fig = Figure((WIDTH, total))
    fig.text(0.06 / WIDTH, 1 - 0.5 * TITLE / total, title, fontsize=9, color=INK, va="center", parse_math=False)
    for (name, images, notes), height in zip(strips, heights, strict=True):
        ax = fig.add_axes(box(LABEL, top, side * (len(images) - 0.03), 0.97 * side, total))
        ax.imshow(np.asarray(grid(images, columns=len(images)).convert("RGB")), aspect="auto")
        ax.set_axis_off()
        left, middle = (LABEL - 0.08) / WIDTH, 1 - (top + side / 2) / total
        fig.text(
            left, middle, line(name, POINTS, LABEL - 0.14), fontsize=POINTS, color=INK, ha="right", va="center", parse_math=False
        )
        for column, note in enumerate(notes):
            x, y = (LABEL + (column + 0.5) * side) / WIDTH, 1 - (top + side + NOTE / 2) / total
            fig.text(x, y, note, fontsize=7, color=INK, ha="center", va="center", parse_math=False)
        top += height
    return fig
