"""Figures of a player: how its training went, what its Q promised beside what came true, and how the test episodes ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from gipi.inspect.figures import COLOURS, FAINT, GREY, INK, WIDTH

BLUE, ORANGE, GREEN = COLOURS.values()
SPLITS = {"train": "training", "validation": "validation", "test": "test"}
BINS = 24  # bars of a histogram, at most


class Panel(NamedTuple):
    """label, name of the value, height in inches, whether it is a share."""

    label: str
    name: str
    height: float
    share: bool = False


PANELS = (
    Panel("return", "return", 2.4),
    Panel("return, clipped", "clipped", 1.8),
    Panel("length, decisions", "length", 1.8),
    Panel("epsilon", "epsilon", 1.2, share=True),
    Panel("decisions/s", "speed", 1.4),
    Panel("loss", "loss", 1.8),
)


def measured(rows: Sequence[Mapping[str, Any]], act: Mapping[str, Any], batch: int) -> list[dict[str, Any]]:
    """`rows` of metrics.jsonl with their "decisions" since the beginning and, where learning was timed, "speed" in decisions/s.

    act: an `ActConfig` as JSON.  batch: transitions of an update.
    """
    return [
        {
            **row,
            "decisions": act["warmup"] + row["step"] * act["every"],
            **({"speed": row["samples_per_s"] * act["every"] / batch} if "samples_per_s" in row else {}),
        }
        for row in rows
    ]


def curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Returns as they are and of clipped rewards, length, share of random decisions, speed and loss, as far as `rows` go.

    rows: of `measured`. The bold line of a long training is a running mean, a star is the test, the faint band is the spread over
    the validation's episodes. Where no episode ended, or a value is not finite, a line has a gap.
    """
    panels = [panel for panel in PANELS if any(isfinite(row.get(panel.name, nan)) for row in rows)]
    heights = [panel.height for panel in panels] or [1.2]
    fig = Figure((WIDTH, sum(heights)), layout="constrained")
    if not panels:
        fig.text(0.5, 0.5, "No measurements yet.", ha="center", va="center", fontsize=12, color=INK)
        return fig
    axes = fig.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for ax, panel in zip(axes, panels, strict=True):
        for split, words in SPLITS.items():
            places, values = _points(rows, split, panel.name)
            _line(ax, split, COLOURS[split], words, places, 100 * values if panel.share else values, smooth=not panel.share)
        if panel.name == "return":
            _band(ax, rows)
        _scale(ax, panel)
    axes[0].legend(frameon=False, fontsize=8, labelcolor=INK, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    _decisions(axes[-1])
    return fig


def drift(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """The mean greatest Q and the discounted return that followed from the same states, by decisions: Q is right where they meet.

    rows: of `measured`, of which validation and test hold both and train holds the former, of the states that were learnt from.
    """
    fig = Figure((WIDTH, 2.8), layout="constrained")
    ax = fig.subplots()
    for name, words, colour in (("predicted", "predicted", ORANGE), ("realised", "came true", GREEN)):
        _line(ax, "validation", colour, words, *_points(rows, "validation", name))
        _line(ax, "test", colour, f"{words}, test", *_points(rows, "test", name))
    _line(ax, "train", BLUE, "predicted, where learnt from", *_points(rows, "train", "q"))
    places, predicted = _points(rows, "validation", "predicted")
    _, realised = _points(rows, "validation", "realised")
    ax.fill_between(places, predicted, realised, color=FAINT, linewidth=0)
    _look(ax)
    ax.set_ylabel("discounted return", fontsize=9, color=INK)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    _decisions(ax)
    return fig


def episodes(returns: Sequence[float], lengths: Sequence[float]) -> Figure:
    """How many of the test's episodes ended with which return, and after how many decisions; a dashed line is the mean."""
    fig = Figure((WIDTH, 2.4), layout="constrained")
    left, right = fig.subplots(1, 2, sharey=True)
    _bars(left, returns, "return")
    _bars(right, lengths, "length, decisions")
    left.set_ylabel("episodes", fontsize=9, color=INK)
    left.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    return fig


def _points(rows: Sequence[Mapping[str, Any]], split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(decisions, values) of each row of the split; NaN where it has no value or none that is finite."""
    of = [row for row in rows if row["split"] == split]
    values = [value if isfinite(value := row.get(name, nan)) else nan for row in of]
    return np.array([row["decisions"] for row in of], float), np.array(values, float)


def _line(ax: Axes, split: str, colour: str, words: str, places: np.ndarray, values: np.ndarray, *, smooth: bool = True) -> None:
    if not np.isfinite(values).any():
        return
    style, size, thick = {"train": (".-", 3, 1.6), "validation": ("o-", 3, 1.6), "test": ("*", 11, 0)}[split]
    width = max(1, len(values) // 30) if split == "train" and smooth else 1
    if width > 1:
        ax.plot(places, values, ".-", color=colour, ms=1.5, lw=0.6, alpha=0.25)
        places, values = _running(places, values, width)
        size = 0
    ax.plot(places, values, style, color=colour, ms=size, lw=thick, label=words)


def _running(places: np.ndarray, values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of `width` rows after each other, of the values that are there; NaN where none is."""
    there, ones = np.isfinite(values), np.ones(width)
    total, count = (np.convolve(of, ones, mode="valid") for of in (np.where(there, values, 0), there))
    return np.convolve(places, ones / width, mode="valid"), np.where(count > 0, total / np.maximum(count, 1), nan)


def _band(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """The spread over the validation's episodes, and what random play reached in the test."""
    places, values = _points(rows, "validation", "return")
    _, spread = _points(rows, "validation", "spread")
    ax.fill_between(places, values - spread, values + spread, color=COLOURS["validation"], alpha=0.15, linewidth=0)
    for level in _points(rows, "test", "random")[1]:
        ax.axhline(level, color=GREY, lw=1, ls="--", label="random play")


def _scale(ax: Axes, panel: Panel) -> None:
    _look(ax)
    ax.set_ylabel(panel.label, fontsize=9, color=INK)
    if panel.share:
        ax.set_ylim(0, 105)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g} %"))
    elif panel.name == "loss" and ax.dataLim.intervaly[0] > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    elif panel.name in ("speed", "length"):
        ax.set_ylim(0, 1.08 * ax.dataLim.intervaly[1])


def _look(ax: Axes) -> None:
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(color=GREY, labelcolor=INK, labelsize=8)
    ax.grid(color=FAINT, linewidth=0.6)


def _decisions(ax: Axes) -> None:
    ax.set_xlabel("decisions", fontsize=9, color=INK)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _bars(ax: Axes, values: Sequence[float], label: str) -> None:
    """A histogram; of whole numbers that are near each other a bar each."""
    numbers = np.asarray(values, float)
    low, high = numbers.min(), numbers.max()
    if whole := bool((numbers == numbers.round()).all()) and high - low < BINS:
        edges = np.arange(low - 0.5, high + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1, int(np.clip(2 * len(numbers) ** 0.5, 5, BINS)) + 1)
    _look(ax)
    ax.grid(visible=False, axis="x")
    ax.set_axisbelow(True)
    ax.hist(numbers, edges, color=GREEN, edgecolor="white", linewidth=0.6)
    ax.axvline(numbers.mean(), color=INK, lw=1.2, ls="--")
    middle = (edges[0] + edges[-1]) / 2
    reach = max(edges[-1] - edges[0], 5 * (edges[1] - edges[0])) * 0.55  # a bar alone is not a wall
    ax.set_xlim(middle - reach, middle + reach)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=whole))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    ax.set_xlabel(label, fontsize=9, color=INK)
