"""Figures of a segmentation: its worst images, how its answers grew over the epochs, and the IoU of each class.

A mask is drawn in the colours of its classes, each named below the figure; what has no label (void) is striped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64, UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from gipi.data.masks import MaskSet
from gipi.errors import DataError
from gipi.inspect.figures import COLOURS, FAINT, GREY, INK, WIDTH, box, frame, short
from gipi.ops.segmentation import VOID, iou

Colours = Sequence[tuple[int, int, int]]
Panel = tuple[str, UInt8[np.ndarray, "h w 3"]]  # name and pixels

WRONG = COLOURS["validation"]
MOMENTS = 4  # epochs drawn at most
FEW = 30  # bars, drawn at most
LEGEND_ROW, TITLE, CAPTION, FOOT = 0.19, 0.3, 0.26, 0.08  # inches
LONGEST = 2.0  # height of a panel, at most, as a share of its width


def worst(
    data: MaskSet,
    answers: UInt8[Tensor, "n h w"],
    ious: Float[Tensor, " n"],
    count: int = 6,
) -> Figure:
    """The `count` images of lowest mean IoU, the lowest first: picture, label, answer, and in orange where they differ.

    ious: mean IoU of each image, 0 to 1; images without one (nan: nothing is labelled in them) are left out.
    Raises DataError if the numbers of images, answers and IoUs differ.
    """
    counts = len(data), len(answers), len(ious)
    if len(set(counts)) != 1:
        raise DataError(f"images, answers and IoUs must be equally many, got {counts}")
    order = ious.argsort(stable=True)
    shown = order[~ious[order].isnan()][:count].tolist()
    title = f"The {len(shown)} images with the lowest mean IoU, of {len(data):,}" if shown else "No image has a labelled pixel"
    rows = [
        (
            f"{short(data.names[index], 60)}: mean IoU {100 * float(ious[index]):.1f} %",
            [
                ("picture", _pixels(data.images[index])),
                ("label", paint(data.labels[index], data.colours)),
                ("answer", paint(answers[index], data.colours)),
                ("where they differ", _differences(data.images[index], data.labels[index], answers[index])),
            ],
        )
        for index in shown
    ]
    return _sheet(title, rows, [*data.labels[shown], *answers[shown]], data.classes, data.colours)


def course(answers: Mapping[int, UInt8[Tensor, "m h w"]], data: MaskSet) -> Figure:
    """A row an image: picture, label, and its answers after up to `MOMENTS` of the epochs, the first and the last among them.

    answers: by epoch, early to late. Raises DataError if the numbers of images and answers differ.
    """
    counts = len(data), *map(len, answers.values())
    if len(set(counts)) != 1:
        raise DataError(f"images and answers must be equally many, got {counts}")
    epochs = list(answers)
    chosen = [epochs[at] for at in np.linspace(0, len(epochs) - 1, min(MOMENTS, len(epochs))).round().astype(int)]
    rows = [
        (
            "",
            [
                ("picture", _pixels(data.images[index])),
                ("label", paint(data.labels[index], data.colours)),
                *((f"epoch {epoch}", paint(answers[epoch][index], data.colours)) for epoch in chosen),
            ],
        )
        for index in range(len(data))
    ]
    masks = [*data.labels, *(mask for epoch in chosen for mask in answers[epoch])]
    return _sheet("Answers to the same validation images after some of the epochs", rows, masks, data.classes, data.colours)


def iou_bars(confusion: Int64[Tensor, "k k"], classes: Sequence[str], colours: Colours) -> Figure:
    """The IoU of each class as a bar in its colour, the mean as a line; of more than `FEW` classes, those of lowest IoU.

    confusion: pixels by label (row) and answer (column). A class in neither has no bar.
    Raises DataError if the matrix is not k x k for k classes.
    """
    k = len(classes)
    if tuple(confusion.shape) != (k, k):
        raise DataError(f"a confusion matrix of {k} classes must be {k} x {k}, got {tuple(confusion.shape)}")
    values = 100 * iou(confusion).numpy()
    there = np.flatnonzero(~np.isnan(values))
    shown = list(range(k)) if k <= FEW else there[values[there].argsort(kind="stable")][:FEW].tolist()
    fig = Figure((WIDTH, 0.75 + 0.21 * len(shown)), layout="constrained")
    ax = fig.subplots()
    places = range(len(shown))
    ax.barh(
        places,
        np.nan_to_num(values[shown]),
        color=[_hex(colours[index]) for index in shown],
        edgecolor=GREY,
        linewidth=0.6,
        height=0.72,
    )
    for place, value in zip(places, values[shown], strict=True):
        text = "in no label and no answer" if np.isnan(value) else f"{value:.1f} %"
        ax.text(np.nan_to_num(value) + 1, place, text, va="center", fontsize=8, color=INK, backgroundcolor="white")
    if len(there):
        mean = values[there].mean()
        ax.axvline(mean, color=WRONG, linewidth=1.2, linestyle="--", zorder=0)
        few = f"; the {len(shown)} lowest of {k} classes" if len(shown) < k else ""
        ax.set_title(f"mean IoU {mean:.1f} % (dashed){few}", fontsize=9, color=INK, loc="left")
    ax.set_yticks(places, [short(classes[index], 24) for index in shown], parse_math=False)
    ax.set(xlim=(0, 112), ylim=(len(shown) - 0.4, -0.6), xticks=range(0, 101, 20))
    ax.xaxis.set_major_formatter("{x:.0f} %")
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(GREY)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    return fig


def paint(mask: UInt8[Tensor, "h w"], colours: Colours) -> UInt8[np.ndarray, "h w 3"]:
    """The mask in the colours of its classes, void in slanted stripes of grey."""
    values = mask.cpu().numpy()
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    pixels = palette[values]
    row, column = np.indices(values.shape)
    width = max(1, min(values.shape) // 40)
    stripes = np.where((row + column) // width % 2, 70, 190).astype(np.uint8)[..., None]
    return np.where((values == VOID)[..., None], stripes, pixels)


def _pixels(image: UInt8[Tensor, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
    if len(image) not in (1, 3):
        raise DataError(f"an image to show must have 1 or 3 channels, got {len(image)}")
    return image.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()


def _differences(
    image: UInt8[Tensor, "c h w"], label: UInt8[Tensor, "h w"], answer: UInt8[Tensor, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """A pale grey picture, orange where the answer is not the label; void is never wrong."""
    pale = (0.45 * _pixels(image).mean(2, keepdims=True) + 140).astype(np.uint8)
    wrong = ((label != answer) & (label != VOID)).cpu().numpy()
    orange = np.array([int(WRONG[at : at + 2], 16) for at in (1, 3, 5)], np.uint8)
    return np.where(wrong[..., None], orange, pale)


def _sheet(
    title: str, rows: Sequence[tuple[str, Sequence[Panel]]], masks: Sequence[Tensor], classes: Sequence[str], colours: Colours
) -> Figure:
    """Rows of pictures of one size, each row under its caption, the columns' names above the first, below a legend of `masks`."""
    names = [name for name, _ in rows[0][1]] if rows else []
    side = WIDTH / max(len(names), 1)
    aspect = rows[0][1][0][1].shape[0] / rows[0][1][0][1].shape[1] if rows else 0.0
    tall = 0.97 * side * min(aspect, LONGEST)
    caption = CAPTION if any(text for text, _ in rows) else 0.05
    handles = _legend(masks, classes, colours)
    longest = max([len(str(handle.get_label())) for handle in handles], default=0)
    columns = max(1, min(len(handles), int(WIDTH / (0.5 + 0.075 * longest))))
    head, keys = TITLE + CAPTION, LEGEND_ROW * -(-len(handles) // columns)
    total = head + len(rows) * (tall + caption) + keys + 2 * FOOT
    fig = Figure((WIDTH, total))
    fig.text(0.015 * side / WIDTH, 1 - TITLE / 2 / total, title, fontsize=9, color=INK, va="center")
    for column, name in enumerate(names):
        left = (column + 0.5) * side / WIDTH
        fig.text(
            left, 1 - (TITLE + CAPTION / 2) / total, name, fontsize=8, color=GREY, ha="center", va="center", parse_math=False
        )
    for row, (text, panels) in enumerate(rows):
        top = head + row * (tall + caption) + caption
        left, bottom = 0.015 * side / WIDTH, 1 - (top - 0.05) / total
        fig.text(left, bottom, text, fontsize=8, color=INK, va="bottom", parse_math=False)
        for column, (_, pixels) in enumerate(panels):
            ax = fig.add_axes(box((column + 0.015) * side, top, 0.97 * side, tall, total))
            ax.imshow(pixels, interpolation="antialiased")
            frame(ax)
    if handles:
        style = {"ncols": columns, "fontsize": 8, "labelcolor": INK, "frameon": False}
        gaps = {"borderaxespad": 0.2, "handlelength": 1.4, "columnspacing": 1.2, "labelspacing": 0.4}
        legend = fig.legend(handles=handles, loc="lower left", **style, **gaps)
        for label in legend.get_texts():
            label.set_parse_math(False)
    return fig


def _legend(masks: Sequence[UInt8[Tensor, "h w"]], classes: Sequence[str], colours: Colours) -> list[Patch]:
    """A patch for each class in the masks, and for void."""
    there: list[int] = sorted({value for mask in masks for value in mask.unique().tolist()})
    handles = [
        Patch(facecolor=_hex(colours[value]), edgecolor=GREY, linewidth=0.6, label=short(classes[value], 24))
        for value in there
        if value != VOID
    ]
    void = Patch(facecolor="#BEBEBE", edgecolor="#464646", linewidth=0.6, hatch="//////", label="not labelled")
    return [*handles, void] if VOID in there else handles


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()
