"""How a detector came to its boxes: the regions it looked at, what it thought of them, what was left. A panel for each stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from gipi.data.mask_legend import palette_colour
from gipi.errors import ConfigError
from gipi.inspect.figures import GREY, INK, WIDTH, box, show
from gipi.models.faster_rcnn import FasterRCNN
from gipi.models.rcnn import RCNN, warp
from gipi.models.region_net import Found
from gipi.ops import selective_search as search
from gipi.ops.boxes import areas, clip

COLUMNS, HEAD, CAPTION = 3, 0.32, 0.36  # panels side by side; inches
DRAWN, CROPS, NAMED = 100, 12, 12  # boxes drawn of a stage, warped regions shown, boxes named, at most
LONGEST = 2.0  # height of a panel, at most, as a share of its width
Drawing = tuple[Float[Tensor, "k 4"], list[str], list[str]]  # boxes, the best first; colours; names, "" for none


@torch.inference_mode()
def regions_figure(
    net: nn.Module, images: Float[Tensor, "1 c h w"], pixels: UInt8[Tensor, "3 i j"], classes: Sequence[str]
) -> Figure:
    """The stages of one picture, by an R-CNN or a Faster R-CNN in evaluation mode.

    images: the picture as the net is fed it, padded.  pixels: the same, unpadded. Raises ConfigError for another net.
    """
    size = torch.tensor([pixels.shape[1:]], device=images.device)
    if isinstance(net, RCNN):
        return _sheet(pixels, *_rcnn(net, images, size, pixels, classes))
    if isinstance(net, FasterRCNN) and not net.GIVEN:
        return _sheet(pixels, _faster(net, images, size, classes), None)
    what = "Fast R-CNN, which is given its regions" if isinstance(net, FasterRCNN) else f"a {type(net).__name__}"
    raise ConfigError(f"regions are drawn of an R-CNN or a Faster R-CNN, this is {what}")


def _faster(net: FasterRCNN, images: Tensor, size: Tensor, classes: Sequence[str]) -> list[tuple[str, Drawing]]:
    regions, objectness = net.proposals(images, size)
    own = regions[0][areas(regions[0]) > 0]
    limit, net.overlap = net.overlap, 1.0  # an instance attribute for a moment: nothing gives way
    try:
        before = net.detect(images, size)
    finally:
        net.overlap = limit
    after = net.detect(images, size)
    likely = int((objectness[0] > 0.5).sum())
    return [
        (f"{len(own):,} proposals, {likely:,} of them\nmore likely a thing than not: the best", _grey(own)),
        ("boxes of the head, before\nnon-maximum suppression", _found(before, net.score, classes, named=False)),
        ("after it", _found(after, net.score, classes, named=True)),
    ]


def _rcnn(
    net: RCNN, images: Tensor, size: Tensor, pixels: Tensor, classes: Sequence[str]
) -> tuple[list[tuple[str, Drawing | UInt8[np.ndarray, "i j 3"]]], Tensor]:
    """The panels, and the warped regions of highest score (r, c, side, side)."""
    small = search.fitted(pixels)
    labels, _, _ = search.first_segments(small)[0]
    regions = search.selective_search(pixels).to(images.device)
    image = images[0, :, : pixels.shape[1], : pixels.shape[2]]
    features = net.features(image, regions)
    scores, label = net.scores(features).max(1)
    order = scores.argsort(descending=True)
    sure = order[scores[order] > net.score]
    moved = clip(net.moved(features, regions), size.expand(len(regions), 2))[torch.arange(len(regions)), label]
    colours = [_colour(int(label[row])) for row in sure]
    after = net.detect(images, size, regions[None])
    panels = [
        (f"{int(labels.max()) + 1} first regions, by the graph\n(hue, saturation, value; smallest k)", _painted(labels, small)),
        (f"{len(regions):,} regions of selective search:\nthe first {min(DRAWN, len(regions))}", _grey(regions)),
        (f"{len(sure):,} scores above {net.score:g}", (regions[sure].cpu(), colours, [""] * len(sure))),
        ("their boxes after regression", (moved[sure].cpu(), colours, [""] * len(sure))),
        ("after non-maximum suppression", _found(after, net.score, classes, named=True)),
    ]
    return panels, warp(image, regions[order[:CROPS]], net.side).cpu()


def _grey(boxes: Tensor) -> Drawing:
    return boxes.cpu(), [GREY] * len(boxes), [""] * len(boxes)


def _found(found: Found, least: float, classes: Sequence[str], *, named: bool) -> Drawing:
    boxes, scores, labels = (part[0].cpu() for part in found)
    good = (labels >= 0) & (scores >= least)
    boxes, scores, labels = boxes[good], scores[good].tolist(), labels[good].tolist()
    names = [f"{classes[label]} {score:.0%}" if named else "" for label, score in zip(labels, scores, strict=True)]
    return boxes, [_colour(label) for label in labels], names


def _painted(labels: np.ndarray, image: np.ndarray) -> UInt8[np.ndarray, "i j 3"]:
    """Each region in the mean of its colours, a dark line between two."""
    sizes = np.bincount(labels.ravel())
    means = np.stack([np.bincount(labels.ravel(), image[..., c].ravel()) / sizes for c in range(3)], 1)
    painted = means[labels]
    painted[1:][labels[1:] != labels[:-1]] = 30
    painted[:, 1:][labels[:, 1:] != labels[:, :-1]] = 30
    return painted.astype(np.uint8)


def _sheet(pixels: Tensor, panels: Sequence[tuple[str, Drawing | np.ndarray]], crops: Tensor | None) -> Figure:
    side = WIDTH / COLUMNS
    tall = 0.96 * side * min(LONGEST, pixels.shape[1] / pixels.shape[2])
    rows = -(-(len(panels) + (crops is not None)) // COLUMNS)
    total = 0.1 + rows * (tall + CAPTION + 0.06)
    fig = Figure((WIDTH, total))
    for place, (title, drawn) in enumerate(panels):
        ax = _panel(fig, place, title, side, tall, total)
        if isinstance(drawn, np.ndarray):
            show(ax, torch.from_numpy(drawn).permute(2, 0, 1))
        else:
            show(ax, pixels)
            _boxes(ax, drawn)
            ax.set(xlim=(-0.5, pixels.shape[2] - 0.5), ylim=(pixels.shape[1] - 0.5, -0.5))
    if crops is not None:
        ax = _panel(
            fig, len(panels), f"warped regions of highest score,\n{crops.shape[-1]} pixels with context", side, tall, total
        )
        show(ax, _mosaic(crops, 4))
    return fig


def _panel(fig: Figure, place: int, title: str, side: float, tall: float, total: float) -> Axes:
    row, column = divmod(place, COLUMNS)
    top = 0.06 + row * (tall + CAPTION + 0.06) + CAPTION
    left = (column + 0.02) * side
    fig.text(left / WIDTH, 1 - (top - 0.04) / total, title, fontsize=7.5, color=INK, va="bottom", parse_math=False)
    return fig.add_axes(box(left, top, 0.96 * side, tall, total))


def _boxes(ax: Axes, drawn: Drawing) -> None:
    """The best on top."""
    for place, ((x0, y0, x1, y1), colour, name) in reversed(
        [*enumerate(zip(drawn[0].tolist(), *drawn[1:], strict=True))][:DRAWN]
    ):
        ax.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, color=colour, linewidth=0.8))
        if name and place < NAMED:
            style = {"facecolor": "white", "edgecolor": colour, "linewidth": 0.5, "pad": 0.8}
            ax.text(x0, y0, name, fontsize=5.5, color=INK, va="bottom", bbox=style, parse_math=False, clip_on=True)


def _mosaic(crops: Tensor, columns: int) -> UInt8[Tensor, "c i j"]:
    """Regions side by side, each from its darkest to its lightest value."""
    low, high = crops.amin((1, 2, 3), keepdim=True), crops.amax((1, 2, 3), keepdim=True)
    scaled = (255 * (crops - low) / (high - low).clamp(min=1e-6)).to(torch.uint8)
    blank = scaled.new_full((-len(scaled) % columns, *scaled.shape[1:]), 255)
    lines = torch.cat([scaled, blank]).unflatten(0, (-1, columns))
    return torch.cat([torch.cat([*line], 2) for line in lines], 1)


def _colour(label: int) -> str:
    return "#" + bytes(palette_colour(label + 1)).hex()
