"""Training images as the net is fed them, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int64, Integer, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from gipi.data.mask_legend import palette_colour
from gipi.data.stream import ImageBatch
from gipi.inspect.figures import GREY, INK, WIDTH, box, short, show
from gipi.inspect.letters import lines
from gipi.inspect.segment_figures import paint
from gipi.ops.text import END, joined

IMAGES, EPOCHS = 6, 8  # at most
ROWS = 6  # of a caption, at most


class Boxed(NamedTuple):
    """The boxes of an image: x0, y0, x1, y1 in its pixels, and the number of the class of each, -1 in rows that hold none."""

    boxes: Float[Tensor, "m 4"]
    labels: Int64[Tensor, " m"]


# The number of the class: of the image, of each pixel, of each box; or of each word of its captions, see `Vocabulary`.
Label = Integer[Tensor, ""] | UInt8[Tensor, "h w"] | Boxed | Int64[Tensor, "c t"]


class BoxBatch(Protocol):
    """A batch of images with boxes as their net is fed it."""

    @property
    def images(self) -> Float[Tensor, "n c h w"]: ...

    @property
    def boxes(self) -> Float[Tensor, "n m 4"]: ...

    @property
    def labels(self) -> Int64[Tensor, "n m"]: ...


class Fed(NamedTuple):
    """What the net is fed for an image in one epoch, the share of the image's own label in it, and that label."""

    values: Float[Tensor, "c h w"]
    share: float
    label: Label


class Versions(NamedTuple):
    """A training image, its label and, by epoch, what the net is fed for it.

    An epoch that leaves the image out, since it ends with whole batches, is missing.
    """

    image: UInt8[Tensor, "c h w"]
    label: Label
    fed: dict[int, Fed]


def versions(
    batches: Iterable[ImageBatch],
    prepare: Callable[[ImageBatch], ImageBatch | BoxBatch],
    count: int = IMAGES,
    boxes: Float[Tensor, "n m 4"] | None = None,
) -> list[Versions]:
    """Of the first `count` images of the first batch all versions in `batches`.

    prepare: what training does to a batch.  boxes: those of all images of the data, where there are such.
    """
    found: dict[int, Versions] = {}
    for batch in batches:
        numbers = batch.number.tolist()
        if not found:
            labels = batch.labels if boxes is None else [Boxed(*pair) for pair in zip(boxes[numbers], batch.labels, strict=True)]
            found = {number: Versions(batch.images[row], labels[row], {}) for row, number in enumerate(numbers[:count])}
        if found.keys().isdisjoint(numbers):
            continue
        prepared = prepare(batch)
        for row, number in enumerate(numbers):
            if number in found:
                found[number].fed[batch.epoch] = _fed(prepared, row)
    return list(found.values())


def _fed(batch: ImageBatch | BoxBatch, row: int) -> Fed:
    if not isinstance(batch, ImageBatch):
        return Fed(batch.images[row], 1.0, Boxed(batch.boxes[row], batch.labels[row]))
    return Fed(batch.images[row], 1.0 if batch.own is None else float(batch.own[row]), batch.labels[row])


def augmented_figure(
    shown: Sequence[Versions],
    classes: Sequence[str],
    epochs: int,
    *,
    pixels: Callable[[Tensor], Tensor],
    title: str,
    colours: Sequence[tuple[int, int, int]] = (),
) -> Figure:
    """A row an image: the original, then what the net is fed for it in each epoch.

    pixels: input values of an image (c, h, w) back to pixels of 0 to 255.  colours: of the classes where labels are masks, which
    are laid half over their images; void is striped. Boxes are framed, a class always in the same colour.
    Raises DataError for images not of 1 or 3 channels.
    """
    names, head, caption = 0.9, 0.5, 0.18  # inches
    side = (WIDTH - names) / (epochs + 1)
    mixed = any(fed.share < 1 for one in shown for fed in one.fed.values())
    high = side + (caption if mixed else 0)
    framed = any(isinstance(one.label, Boxed) for one in shown)
    total = head + caption + high * len(shown) + 0.06
    fig = Figure((WIDTH, total))
    note = f"{title}\nOn the left the originals, beside them the version of each epoch"
    note += ", their masks half over them, void in stripes." if colours else "."
    note += " Frames: their boxes, a colour for each class." if framed else ""
    note += " Percent: the share of its own label; the rest is another's." if mixed else ""
    fig.text(0.08 / WIDTH, 1 - 0.06 / total, note, fontsize=8, color=INK, va="top", parse_math=False)
    for column, text in enumerate(["original", *(f"epoch {epoch}" for epoch in range(epochs))]):
        x = (names + (column + 0.47) * side) / WIDTH
        fig.text(x, 1 - (head + caption / 2) / total, text, fontsize=7, color=INK, ha="center", va="center")
    for row, one in enumerate(shown):
        top = head + caption + row * high + high - side
        middle = 1 - (top + 0.47 * side) / total
        name, size = _name(one.label, row, classes, names - 0.12)
        fig.text((names - 0.08) / WIDTH, middle, name, fontsize=size, color=INK, ha="right", va="center", parse_math=False)
        for column in range(epochs + 1):
            ax = fig.add_axes(box(names + column * side, top, 0.94 * side, 0.94 * side, total))
            if column == 0:
                _show(ax, one.image, one.label, colours)
            elif column - 1 in one.fed:
                values, share, label = one.fed[column - 1]
                _show(ax, pixels(values).clamp(0, 255).round().byte(), label, colours)
                if mixed:
                    ax.set_title(f"{100 * share:.0f} %", fontsize=6, color=INK, pad=2)
            else:
                ax.text(0.5, 0.5, "left out", fontsize=6, color=GREY, ha="center", va="center")
                ax.set_axis_off()
    return fig


def _name(label: Label, row: int, classes: Sequence[str], wide: float) -> tuple[str, float]:
    """What stands beside an image, in a column `wide` inches, and the size of its letters: its class or its first caption."""
    if isinstance(label, Boxed) or label.dtype == torch.uint8:
        return f"image {row + 1}", 7
    if not label.ndim:
        return short(classes[int(label)], 14), 7
    caption = joined(classes[int(number)] for number in label[0] if number > END)
    rows = lines(caption, 5.5, wide)
    return "\n".join(rows[:ROWS]) + ("…" if len(rows) > ROWS else ""), 5.5


def _show(ax: Axes, image: UInt8[Tensor, "c h w"], label: Label, colours: Sequence[tuple[int, int, int]]) -> None:
    if isinstance(label, Boxed):
        show(ax, image)
        for (x0, y0, x1, y1), number in zip(label.boxes.tolist(), label.labels.tolist(), strict=True):
            if number >= 0:
                colour = [part / 255 for part in palette_colour(number + 1)]  # whose 0 is black
                ax.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=0.7))
    elif colours:
        mask = torch.from_numpy(paint(label, colours)).permute(2, 0, 1)
        show(ax, ((image.cpu().float() + mask) / 2).byte())
    else:
        show(ax, image)
