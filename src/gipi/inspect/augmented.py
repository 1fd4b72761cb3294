"""Training images as the net is fed them, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from gipi.data.stream import ImageBatch
from gipi.inspect.figures import GREY, INK, WIDTH, box, short, show
from gipi.inspect.segment_figures import paint

IMAGES, EPOCHS = 6, 8  # at most
Label = Integer[Tensor, ""] | UInt8[Tensor, "h w"]  # number of the class, of the image or of each pixel


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


def versions(batches: Iterable[ImageBatch], prepare: Callable[[ImageBatch], ImageBatch], count: int = IMAGES) -> list[Versions]:
    """Of the first `count` images of the first batch all versions in `batches`. prepare: what training does to a batch."""
    found: dict[int, Versions] = {}
    for batch in batches:
        numbers = batch.number.tolist()
        if not found:
            found = {number: Versions(batch.images[row], batch.labels[row], {}) for row, number in enumerate(numbers[:count])}
        if found.keys().isdisjoint(numbers):
            continue
        prepared = prepare(batch)
        for row, number in enumerate(numbers):
            if number in found:
                share = 1.0 if prepared.own is None else float(prepared.own[row])
                found[number].fed[batch.epoch] = Fed(prepared.images[row], share, prepared.labels[row])
    return list(found.values())


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
    are laid half over their images; void is striped.  Raises DataError for images not of 1 or 3 channels.
    """
    names, head, caption = 0.9, 0.5, 0.18  # inches
    side = (WIDTH - names) / (epochs + 1)
    mixed = any(fed.share < 1 for one in shown for fed in one.fed.values())
    high = side + (caption if mixed else 0)
    total = head + caption + high * len(shown) + 0.06
    fig = Figure((WIDTH, total))
    note = f"{title}\nOn the left the originals, beside them the version of each epoch"
    note += ", their masks half over them, void in stripes." if colours else "."
    note += " Percent: the share of its own label; the rest is another's." if mixed else ""
    fig.text(0.08 / WIDTH, 1 - 0.06 / total, note, fontsize=8, color=INK, va="top", parse_math=False)
    for column, text in enumerate(["original", *(f"epoch {epoch}" for epoch in range(epochs))]):
        x = (names + (column + 0.47) * side) / WIDTH
        fig.text(x, 1 - (head + caption / 2) / total, text, fontsize=7, color=INK, ha="center", va="center")
    for row, one in enumerate(shown):
        top = head + caption + row * high + high - side
        middle = 1 - (top + 0.47 * side) / total
        name = f"image {row + 1}" if colours else short(classes[int(one.label)], 14)
        fig.text((names - 0.08) / WIDTH, middle, name, fontsize=7, color=INK, ha="right", va="center", parse_math=False)
        for column in range(epochs + 1):
            ax = fig.add_axes(box(names + column * side, top, 0.94 * side, 0.94 * side, total))
            if column == 0:
                show(ax, _masked(one.image, one.label, colours) if colours else one.image)
            elif column - 1 in one.fed:
                values, share, label = one.fed[column - 1]
                image = pixels(values).clamp(0, 255).round().byte()
                show(ax, _masked(image, label, colours) if colours else image)
                if mixed:
                    ax.set_title(f"{100 * share:.0f} %", fontsize=6, color=INK, pad=2)
            else:
                ax.text(0.5, 0.5, "left out", fontsize=6, color=GREY, ha="center", va="center")
                ax.set_axis_off()
    return fig


def _masked(
    image: UInt8[Tensor, "c h w"], mask: UInt8[Tensor, "h w"], colours: Sequence[tuple[int, int, int]]
) -> UInt8[Tensor, "3 h w"]:
    return ((image.cpu().float() + torch.from_numpy(paint(mask, colours)).permute(2, 0, 1)) / 2).byte()
