"""What excites the channels of a net's convolutions most: the parts of images behind each channel's largest outputs.

After Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", arXiv 1311.2901, figure 2, which shows nine
such parts a channel. Ours are taken from the convolution's own output, before batch norm and ReLU.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from matplotlib.figure import Figure
from torch import Tensor, nn

from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, nearest
from gipi.inspect.figures import COLOURS, INK, WIDTH, box, frame, short
from gipi.inspect.layers import Layer, layer_table, observe
from gipi.inspect.reach import Box

CHANNELS, ALL_CHANNELS = 6, 60  # drawn of each layer; of a layer on its own
IMAGES, ALL_IMAGES = 9, 50  # drawn of each channel; of a channel on its own
PADDING = 0xE4  # grey


class Top(NamedTuple):
    """The images that excite each channel of a layer most, from the most exciting down; no image twice for one channel.

    value: the channel's largest output in the image.  image: its number.  place: row * width + column of that output.
    """

    value: Float[Tensor, "k d"]
    image: Int64[Tensor, "k d"]
    place: Int64[Tensor, "k d"]


def convolutions(net: nn.Module, shape: tuple[int, int, int]) -> dict[str, Layer]:
    """The convolutions of a net by name, shallow to deep, for an image of `shape`. Raises ConfigError if it takes none such."""
    layers = layer_table(net, shape).layers
    return {layer.name: layer for layer in layers if isinstance(net.get_submodule(layer.name), nn.Conv2d)}


def choose(layers: Mapping[str, Layer], layer: str | None, channel: int | None) -> dict[str, Sequence[int]]:
    """The channels to draw of each layer: the first few of all, more of the one named, or one. Raises ConfigError."""
    if not layers:
        raise ConfigError("the net has no convolution whose channels could be excited")
    if layer is None:
        if channel is not None:
            raise ConfigError(f"channel {channel} of which layer? Name one{nearest('', layers)}")
        return {name: range(min(CHANNELS, found.shape[0])) for name, found in layers.items()}
    if layer not in layers:
        raise ConfigError(f"the net has no convolution {layer!r}{nearest(layer, layers)}")
    channels = layers[layer].shape[0]
    if channel is None:
        return {layer: range(min(ALL_CHANNELS, channels))}
    if not 0 <= channel < channels:
        raise ConfigError(f"convolution {layer!r} has no channel {channel}: allowed are 0 to {channels - 1}")
    return {layer: [channel]}


def most_exciting(
    net: nn.Module, batches: Iterable[Float[Tensor, "n c h w"]], layers: Collection[str], count: int
) -> dict[str, Top]:
    """The `count` most exciting images for each channel of the named `layers`, in one pass; of equal ones the first.

    batches: images as the net takes them, numbered from 0 on. No more is kept of a batch than of all those before it.
    Raises ConfigError if the net does not take the images.
    """
    tops: dict[str, Top] = {}
    seen = 0

    def visit(name: str, _layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        if name not in layers:
            return
        value, place = output.flatten(2).max(2)
        image = torch.arange(seen, seen + len(value), device=value.device).unsqueeze(1).expand_as(place)
        new = Top(value, image, place)
        if name in tops:
            new = Top(*(torch.cat(parts) for parts in zip(tops[name], new, strict=True)))
        best = new.value.argsort(dim=0, descending=True, stable=True)[:count]
        tops[name] = Top(*(part.gather(0, best) for part in new))

    for batch in batches:
        observe(net, batch, visit)
        seen += len(batch)
    return tops


def crop(image: UInt8[Tensor, "c h w"], part: Box) -> UInt8[Tensor, "c i j"]:
    """A part of an image, which may reach beyond its edges: grey there."""
    top, left, bottom, right = part
    margin = max(0, -top, -left, bottom - image.shape[1], right - image.shape[2])
    wide = F.pad(image, (margin,) * 4, value=PADDING)
    return wide[:, top + margin : bottom + margin, left + margin : right + margin]


def exciting_figure(
    tops: Mapping[str, Top], layers: Mapping[str, Layer], channels: Mapping[str, Sequence[int]], data: ImageSet
) -> Figure:
    """For each layer the chosen channels side by side, each a block of the parts of images that excite it most.

    tops: of each layer named in `channels`.  data: the images they were found in, of 1 or 3 channels.
    """
    alone = sum(map(len, channels.values())) == 1
    across = 10 if alone else 3
    count = next(iter(tops.values())).value.shape[0]
    down = -(-count // across)
    names, head, caption = 1.35, 0.38, 0.2  # inches
    block = (WIDTH - names) / (1 if alone else CHANNELS)
    rows = [(name, picked[i : i + CHANNELS]) for name, picked in channels.items() for i in range(0, len(picked), CHANNELS)]
    side = 0.94 * block / across
    high = caption + side * down
    total = head + high * len(rows) + 0.08
    fig = Figure((WIDTH, total))
    note = f"What excites each channel most: of {len(data):,} images of {data.name!r} ({data.split}), the parts that its "
    note += f"{count} largest outputs see,\nthe largest first. Grey is padding around the image."
    fig.text(0.06 / CHANNELS, 1 - 0.06 / total, note, fontsize=8, color=INK, va="top")
    for row, (name, picked) in enumerate(rows):
        top = head + row * high + caption
        for column, channel in enumerate(picked):
            ax = fig.add_axes(box(names + column * block, top, 0.94 * block, side * down, total))
            ax.set_title(f"channel {channel}", fontsize=6, color=INK, pad=2)
            for place, patch in enumerate(patches(tops[name], layers[name], channel, data.images)):
                x, y = place % across, place // across
                pixels = patch.permute(1, 2, 0).numpy()
                ax.imshow(
                    pixels,
                    cmap="gray",
                    vmin=0,
                    vmax=255,
                    interpolation="nearest",
                    extent=(x + 0.03, x + 0.97, y + 0.97, y + 0.03),
                )
            ax.set(xlim=(0, across), ylim=(down, 0), facecolor=COLOURS["train"])
            frame(ax)
        if name != (rows[row - 1][0] if row else None):
            layer = layers[name]
            field = f"\nsees {layer.reach.field[0]} x {layer.reach.field[1]} pixels" if layer.reach else ""
            label = f"{short(f'{name} {layer.kind}', 28)}\n{layer.shape[0]} channels{field}"
            place = (names - 0.08) / WIDTH, 1 - (top + side * down / 2) / total
            fig.text(*place, label, fontsize=6, color=INK, ha="right", va="center", parse_math=False)
    return fig


def patches(top: Top, layer: Layer, channel: int, images: UInt8[Tensor, "n c h w"]) -> list[UInt8[Tensor, "c i j"]]:
    """The parts of `images` that excite one channel most; whole images where the layer's geometry is not known."""
    whole = 0, 0, images.shape[2], images.shape[3]
    return [
        crop(images[number], layer.reach.box(*divmod(place, layer.shape[2])) if layer.reach else whole)
        for number, place in zip(top.image[:, channel].tolist(), top.place[:, channel].tolist(), strict=True)
    ]
