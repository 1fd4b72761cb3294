"""Figures of captions: where a net that attends looked for each word, and the images that it describes worst."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import NamedTuple

from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from gipi.data.captions import CaptionSet
from gipi.errors import DataError
from gipi.inspect.figures import GREY, INK, WIDTH, box, frame, short, show
from gipi.inspect.letters import line, lines
from gipi.inspect.why import COVER, HEAT

FEWEST, MOST = 3, 7  # panels side by side
LONGEST = 1.5  # height of a panel, at most, as a share of its width
LETTERS = 400  # of a caption that are written, at most
HEAD, LINE, GAP = 0.3, 0.16, 0.16  # inches: the title, a line of text, between images
SIDE, LABEL = 2.1, 0.7  # inches: width of a picture beside its captions, of what stands before them
TEXT = WIDTH - SIDE - LABEL - 0.3  # of the captions
POINTS = 8  # size of a text
NOTHING = "(no word)"


class Attended(NamedTuple):
    """What was said of a picture, and of each word where the net looked: shares of the places, in rows and columns."""

    pixels: UInt8[Tensor, "3 h w"]
    words: Sequence[str]
    maps: Float[Tensor, "t i j"]


def words_figure(pixels: UInt8[Tensor, "3 h w"], words: Sequence[str], maps: Float[Tensor, "t i j"]) -> Figure:
    """The picture, then for each of the `words` the picture under its map, brought to the picture's size bicubically.

    maps: of each word how much each place counts, in rows and columns from the top left one. Each is drawn on a scale of its own.
    Raises DataError if the numbers of words and maps differ.
    """
    if len(words) != len(maps):
        raise DataError(f"words and maps must be equally many, got {len(words)} and {len(maps)}")
    shape = min(LONGEST, pixels.shape[1] / pixels.shape[2])
    columns = min(MOST, max(FEWEST, ceil(sqrt(shape * (len(words) + 1)))))
    side, caption = WIDTH / columns, 0.24  # inches
    wide = 0.94 * side
    rows = ceil((len(words) + 1) / columns)
    total = HEAD + rows * (caption + shape * wide) + 0.06
    fig = Figure((WIDTH, total))
    note = "Where the net looks for each word: the brighter, the more a place counts. Each map has a scale of its own."
    fig.text(0.06 / WIDTH, 1 - 0.5 * HEAD / total, note, fontsize=POINTS, color=INK, va="center")
    grey = pixels.float().mean(0, keepdim=True).byte()  # colour is heat alone
    for place in range(len(words) + 1):
        row, column = divmod(place, columns)
        top = HEAD + row * (caption + shape * wide) + caption
        ax = fig.add_axes(box((column + 0.03) * side, top, wide, shape * wide, total))
        show(ax, grey if place else pixels)
        if place:
            _lay(ax, maps[place - 1], (pixels.shape[1], pixels.shape[2]))
            word = line(words[place - 1], POINTS, wide)
            ax.set_title(word, fontsize=POINTS, color=INK, pad=3, parse_math=False)
    return fig


def _lay(ax: Axes, places: Float[Tensor, "i j"], size: tuple[int, int]) -> None:
    heat = F.interpolate(places[None, None].float().cpu(), size, mode="bicubic")[0, 0].clamp(min=0)
    heat = (heat / heat.max().clamp(min=1e-9)).numpy()
    ax.imshow(heat, cmap=HEAT, vmin=0, vmax=1, alpha=COVER * heat)
    frame(ax)


def ranked(data: CaptionSet, answers: Sequence[str], cider: Float[Tensor, " n"], count: int, *, best: bool) -> list[int]:
    """The places of the `count` images of highest, or else lowest CIDEr-D, the most extreme first.

    answers: what is said of each image.  cider: its CIDEr-D.
    Raises DataError if the numbers of images, answers and CIDErs differ.
    """
    counts = len(data), len(answers), len(cider)
    if len(set(counts)) != 1:
        raise DataError(f"images, answers and CIDErs must be equally many, got {counts}")
    return cider.argsort(descending=best, stable=True)[:count].tolist()


def worst(data: CaptionSet, answers: Sequence[str], cider: Float[Tensor, " n"], count: int = 6) -> Figure:
    """The `count` images of lowest CIDEr-D, the lowest first, each beside what is said of it and its references.

    See `ranked`.
    """
    shown = ranked(data, answers, cider, count, best=False)
    tall = SIDE * min(LONGEST, data.images.shape[2] / data.images.shape[3])
    blocks = []
    for index in shown:
        name = f"{short(data.names[index], LETTERS)}: CIDEr-D {float(cider[index]):.2f}"
        texts = [("said", answers[index] or NOTHING), *(("reference", text) for text in data.captions[index])]
        blocks.append([(line(name, POINTS, LABEL + TEXT), ""), *(row for label, text in texts for row in _rows(label, text))])
    heights = [max(tall, LINE * len(block)) + GAP for block in blocks]
    total, top = HEAD + sum(heights), HEAD
    fig = Figure((WIDTH, total))
    title = f"The {len(shown)} images with the lowest CIDEr-D, of {len(data):,}"
    fig.text(0.08 / WIDTH, 1 - 0.5 * HEAD / total, title, fontsize=9, color=INK, va="center")
    for index, block, high in zip(shown, blocks, heights, strict=True):
        show(fig.add_axes(box(0.08, top, SIDE, tall, total)), data.images[index])
        for row, texts in enumerate(block):
            middle = 1 - (top + (row + 0.5) * LINE) / total
            for text, left, colour in zip(texts, (SIDE + 0.2, SIDE + 0.2 + LABEL), (GREY, INK), strict=True):
                fig.text(left / WIDTH, middle, text, fontsize=POINTS, color=colour, va="center", parse_math=False)
        top += high
    return fig


def _rows(label: str, text: str) -> list[tuple[str, str]]:
    """(label, text) of each line, the label before the first."""
    rows = lines(short(text, LETTERS), POINTS, TEXT)
    return [*zip([label, *[""] * (len(rows) - 1)], rows, strict=True)]
