"""Receptive fields on an image: where the value in the middle of each convolution and pooling looks."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import UInt8
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from gipi.errors import ConfigError
from gipi.inspect.figures import COLOURS, FAINT, INK, WIDTH, box, short, show
from gipi.inspect.layers import Layer, layer_table
from gipi.inspect.reach import ADAPTIVE_POOLS, POOLS, Box

COLUMNS = 5
FIELD = COLOURS["validation"]


def middle_fields(net: nn.Module, shape: tuple[int, int, int]) -> list[tuple[Layer, Box]]:
    """Each convolution and pooling, and the field of the value in its middle (the lower right of two), in pixels.

    shape: of the image (channels, height, width). Layers behind one of unknown geometry are left out.
    Raises ConfigError if none is left, or if the net does not take such an image.
    """
    fields = [
        (layer, layer.reach.box(layer.shape[-2] // 2, layer.shape[-1] // 2))
        for layer in layer_table(net, shape).layers
        if layer.reach and isinstance(net.get_submodule(layer.name), (nn.Conv2d, *POOLS, *ADAPTIVE_POOLS))
    ]
    if not fields:
        raise ConfigError("the net has no convolution or pooling whose receptive field is known")
    return fields


def fields_figure(fields: Sequence[tuple[Layer, Box]], image: UInt8[Tensor, "c h w"]) -> Figure:
    """Each field as a rectangle on `image`, shallow to deep, under the layer's name and the field's size.

    All panels show the same stretch: the image and, in grey, as much padding as the largest field reaches into.
    Raises DataError for an image not of 1 or 3 channels.
    """
    height, width = image.shape[1:]
    edges = [(0, 0, height, width), *(field for _, field in fields)]
    top, left = (min(edge[side] for edge in edges) - 1 for side in (0, 1))
    bottom, right = (max(edge[side] for edge in edges) + 1 for side in (2, 3))
    side, caption, head = WIDTH / COLUMNS, 0.36, 0.36  # inches
    tall = 0.92 * side * (bottom - top) / (right - left)
    total = head + -(-len(fields) // COLUMNS) * (tall + caption) + 0.08
    fig = Figure((WIDTH, total))
    note = "The part of the image that one value in the middle of each layer depends on: its receptive field."
    note += "\nIt grows from layer to layer; grey is padding around the image."
    fig.text(0.04 / COLUMNS, 1 - 0.06 / total, note, fontsize=8, color=INK, va="top")
    for place, (layer, field) in enumerate(fields):
        row, column = divmod(place, COLUMNS)
        ax = fig.add_axes(box((column + 0.04) * side, head + row * (tall + caption) + caption, 0.92 * side, tall, total))
        show(ax, image)
        ax.set_facecolor(FAINT)
        size = field[2] - field[0], field[3] - field[1]
        # The picture's pixels have their centres, not their corners, on whole numbers.
        ax.add_patch(Rectangle((field[1] - 0.5, field[0] - 0.5), size[1], size[0], fill=False, color=FIELD, lw=1.6))
        ax.set(xlim=(left - 0.5, right - 0.5), ylim=(bottom - 0.5, top - 0.5))
        label = f"{short(f'{layer.name} {layer.kind}', 26)}\n{size[0]} x {size[1]} pixels"
        ax.set_title(label, fontsize=7, color=INK, pad=3, parse_math=False)
    return fig
