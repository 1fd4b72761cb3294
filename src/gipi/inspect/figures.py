"""Figures of a training and of a net, drawn without any window or global state.

Colours: Okabe and Ito, "Color Universal Design", 2008; they stay apart for the colour-blind.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from torch import Tensor

from gipi.errors import DataError
from gipi.inspect.letters import legible
from gipi.inspect.maps import CHANNELS, RED_BLUE, scale, shown

COLOURS = {"train": "#0072B2", "validation": "#D55E00", "test": "#009E73"}
PANELS = {  # label, height in inches
    "loss": ("loss", 2.4),
    "accuracy": ("error", 2.4),
    "mean_iou": ("mean IoU", 2.4),
    "ap": ("AP", 2.4),
    "bleu4": ("BLEU-4", 2.4),
    "cider": ("CIDEr-D", 2.4),
    "lr": ("learning rate", 1.2),
}
SHARES = ("mean_iou", "ap", "bleu4")
INK, GREY, FAINT = "#222222", "#767676", "#E4E4E4"
WIDTH = 7.0  # inches
DPI = 160


def png_bytes(fig: Figure) -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with legible(fig):
        fig.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def mistakes(
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    answers: Int64[Tensor, " n"],
    scores: Float[Tensor, " n"],
    classes: Sequence[str],
    limit: int = 60,
) -> Figure:
    """The misread ones of `images`, each under "label → answer 97 %", the most confident first, `limit` at most.

    labels, answers: index into `classes`.  scores: of the answers, 0 to 1.
    Raises DataError if the numbers of images, labels, answers and scores differ, or for images not of 1 or 3 channels.
    """
    counts = len(images), len(labels), len(answers), len(scores)
    if len(set(counts)) != 1:
        raise DataError(f"images, labels, answers and scores must be equally many, got {counts}")
    wrong = (labels != answers).nonzero().flatten()
    shown = wrong[scores[wrong].argsort(descending=True, stable=True)][:limit].tolist()
    if not shown:
        return _message(f"All {len(images):,} images are read correctly.")
    brief = max(map(len, classes)) <= 3
    columns, caption, arrow = (10, 0.34, " → ") if brief else (7, 0.46, "\n→ ")
    side, head, foot = WIDTH / columns, 0.3, 0.06  # inches, as is `caption`
    rows = -(-len(shown) // columns)
    height = head + rows * (side + caption) + foot
    fig = Figure((WIDTH, height))
    title = f"{len(wrong):,} of {len(images):,} images misread, most confident mistakes first"
    title += f"; {len(shown)} shown" if len(shown) < len(wrong) else ""
    fig.text(0.06 / columns, 1 - 0.18 / height, title, fontsize=9, color=INK, va="center")
    for place, index in enumerate(shown):
        row, column = divmod(place, columns)
        top = head + row * (side + caption) + caption
        ax = fig.add_axes(box((column + 0.06) * side, top, 0.88 * side, 0.88 * side, height))
        show(ax, images[index])
        label, answer = (short(classes[int(of[index])], 16) for of in (labels, answers))
        text = f"{label}{arrow}{answer}\n{100 * float(scores[index]):.0f} %"
        ax.set_title(text, fontsize=7, color=INK, pad=2, linespacing=1.1, parse_math=False)
    return fig


def features(maps: Sequence[tuple[str, Float[Tensor, "d i j"]]], image: UInt8[Tensor, "c h w"]) -> Figure:
    """What each layer makes of `image`, shallow to deep: a row a layer, its first 16 channels.

    White is zero, blue positive, red negative; the contrast of each layer is its own, cut at its 99th percentile.
    Raises DataError for an image not of 1 or 3 channels.
    """
    names, head, gap = 1.35, 0.75, 0.06  # inches
    side = (WIDTH - names) / CHANNELS
    height = head + (side + gap) * len(maps)
    fig = Figure((WIDTH, height))
    show(fig.add_axes(box(names, 0.08, head - 0.2, head - 0.2, height)), image)
    note = "What each layer makes of this image, first 16 channels.\nWhite is zero, blue positive, red negative."
    fig.text((names + head) / WIDTH, 1 - 0.47 * head / height, note, fontsize=8, color=INK, va="center")
    for row, (name, values) in enumerate(maps):
        channels, top = shown(values), head + row * (side + gap)
        norm = scale(channels)
        for column, channel in enumerate(channels):
            ax = fig.add_axes(box(names + column * side, top, 0.94 * side, 0.94 * side, height))
            ax.imshow(channel, cmap=RED_BLUE, norm=norm, interpolation="nearest")
            frame(ax)
        label, middle = f"{short(name, 28)}\n{'x'.join(map(str, values.shape))}", 1 - (top + side / 2) / height
        left = (names - 0.08) / WIDTH
        fig.text(left, middle, label, fontsize=6, color=INK, ha="right", va="center", parse_math=False)
    return fig


def curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss, error (100 % less the accuracy), scores, learning rate against the step, as far as `rows` of metrics.jsonl go.

    A row holds "split" (train, validation or test), "step" and some of "loss", "lr", "cider" and, 0 to 1, "accuracy" and SHARES.
    The bold line of a long training is a running mean. Values that are not finite are left out.
    """
    points = {
        (name, split): [(row["step"], row[name]) for row in rows if row["split"] == split and isfinite(row.get(name, np.nan))]
        for name in PANELS
        for split in COLOURS
    }
    names = [name for name in PANELS if any(points[name, split] for split in COLOURS)]
    if not names:
        return _message("No measurements yet.")
    heights = [PANELS[name][1] for name in names]
    fig = Figure((WIDTH, sum(heights)), layout="constrained")
    panels = fig.subplots(len(names), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for ax, name in zip(panels, names, strict=True):
        for split, colour in COLOURS.items():
            if points[name, split]:
                steps, values = np.array(points[name, split], float).T
                values = 100 * (1 - values) if name == "accuracy" else 100 * values if name in SHARES else values
                _curve(ax, split, colour, steps, values, smooth=split == "train" and name != "lr")
        _axes(ax, name)
    panels[0].legend(frameon=False, fontsize=9, labelcolor=INK, ncols=3, loc="upper right")
    panels[-1].set_xlabel("step", fontsize=9, color=INK)
    panels[-1].xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    panels[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return fig


def confusion(matrix: Int64[Tensor, "k k"], classes: Sequence[str], *, pixels: bool = False) -> Figure:
    """How often an image of each class (row) is read as each class (column).

    Blue is right, orange wrong, darker for a larger share of the row. Counts are written out for up to 20 classes.
    pixels: it counts pixels, of which there are many: written out is each cell's share of its row in percent, from 0.5 % on.
    Raises DataError if the matrix is not k x k for k classes.
    """
    k = len(classes)
    if tuple(matrix.shape) != (k, k):
        raise DataError(f"a confusion matrix of {k} classes must be {k} x {k}, got {tuple(matrix.shape)}")
    counts = matrix.cpu().numpy()
    share = np.where(counts > 0, counts, np.nan) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(k, dtype=bool)
    side = min(WIDTH, 2 + 0.8 * k)
    fig = Figure((side, 0.96 * side), layout="constrained")
    ax = fig.subplots()
    # Two pictures, one upon the other: the mistakes of a good net are too rare for the scale of the right answers.
    worst = np.nanmax(share, where=~right, initial=0.01)
    ax.imshow(np.where(right, np.nan, share), cmap="Oranges", vmin=-0.1 * worst, vmax=2 * worst)
    ax.imshow(np.where(right, share, np.nan), cmap="Blues", vmin=0, vmax=2)
    ax.spines[:].set(color=FAINT, linewidth=0.6)
    every = -(-k // 25)
    names = [short(name, 16) for name in classes[::every]]
    size = float(np.clip(160 / k, 6, 10))
    ax.set_xticks(range(0, k, every), names, parse_math=False, rotation=90 if max(map(len, names)) > 3 else 0)
    ax.set_yticks(range(0, k, every), names, parse_math=False)
    ax.tick_params(length=0, labelsize=size, labelcolor=INK)
    ax.set_xlabel("answer", fontsize=10, color=INK)
    ax.set_ylabel("label, each row 100 %" if pixels else "label", fontsize=10, color=INK)
    total, misread = int(counts.sum()), int(counts[~right].sum())
    title = f"{100 * misread / max(total, 1):.2f} % of the pixels wrong" if pixels else f"{misread:,} of {total:,} misread"
    ax.set_title(title, fontsize=10, color=INK, loc="left")
    if k <= 20:
        for row, column in np.argwhere(share >= 0.005 if pixels else counts > 0):
            text = f"{100 * share[row, column]:.0f}" if pixels else f"{counts[row, column]:,}"
            ax.text(column, row, text, ha="center", va="center", fontsize=size, color=INK)
    return fig


def _curve(ax: Axes, split: str, colour: str, steps: np.ndarray, values: np.ndarray, smooth: bool) -> None:
    style, size, line = {"train": ("-", 0, 1.6), "validation": ("o-", 3, 1.6), "test": ("*", 11, 0)}[split]
    width = max(1, len(values) // 30) if smooth else 1
    if width > 1:
        ax.plot(steps, values, color=colour, lw=0.6, alpha=0.25)
        steps = np.convolve(steps, np.full(width, 1 / width), mode="valid")
        values = np.convolve(values, np.full(width, 1 / width), mode="valid")
    ax.plot(steps, values, style, color=colour, ms=size, lw=line, label=split)


def _axes(ax: Axes, name: str) -> None:
    """Scale and look of a panel; logarithmic where nothing forbids it, since late progress is in small numbers."""
    low, high = ax.dataLim.intervaly
    if name == "accuracy":
        ax.set_yscale("symlog", linthresh=0.1, linscale=0.4)  # linear below 0.1 %, for batches without an error
        ticks = [0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
        ax.set_yticks(ticks, [f"{tick:g} %" for tick in ticks])
        ax.set_ylim(0 if low < 0.1 else 0.6 * low, 1.4 * max(high, 0.1))
    elif name in SHARES:
        ax.set_ylim(0, 100)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g} %"))
    else:
        if name == "loss" and low > 0:
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel(PANELS[name][0], fontsize=9, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(color=GREY, labelcolor=INK, labelsize=8)
    ax.grid(color=FAINT, linewidth=0.6)


def _message(text: str) -> Figure:
    """A figure that only says something."""
    fig = Figure((WIDTH, 1.2))
    fig.text(0.5, 0.5, text, ha="center", va="center", fontsize=12, color=INK)
    return fig


def box(left: float, top: float, width: float, height: float, total: float) -> tuple[float, float, float, float]:
    """Inches from the top left corner of a figure `total` high, as matplotlib's fractions from the bottom left one."""
    return left / WIDTH, 1 - (top + height) / total, width / WIDTH, height / total


def show(ax: Axes, image: UInt8[Tensor, "c h w"]) -> None:
    """A picture of 1 channel (grey) or 3 (red, green, blue) in a thin frame. Raises DataError for another number."""
    if len(image) not in (1, 3):
        raise DataError(f"an image to show must have 1 or 3 channels, got {len(image)}")
    pixels = image.permute(1, 2, 0).cpu().numpy()
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    frame(ax)


def frame(ax: Axes) -> None:
    """A thin line around, no ticks."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set(color=FAINT, linewidth=0.6)


def short(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
