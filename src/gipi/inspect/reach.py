"""The part of an image that one value of a net depends on: its receptive field, from kernels, strides and paddings alone.

Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

Pair = tuple[int, int]
Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two are just outside

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
ADAPTIVE_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class Reach(NamedTuple):
    """The part of the image that one value depends on, in pixels, each (height, width).

    field: its size; one larger than the image reaches into padding.  jump: from it to the field of the next value.
    start: from the image's corner to that of the first value's field; below zero it lies in padding.
    """

    field: Pair
    jump: Pair
    start: Pair

    def box(self, row: int, column: int) -> Box:
        """Where the field of the value at (row, column) lies, in pixels from the image's corner."""
        top, left = self.start[0] + row * self.jump[0], self.start[1] + column * self.jump[1]
        return top, left, top + self.field[0], left + self.field[1]


def reach_after(layer: nn.Module, before: Reach | None, came: torch.Size, went: torch.Size) -> Reach | None:
    """Reach of the output, of size `went`, of a layer whose input, of size `came` (height, width), reaches `before`.

    Values between the places of a transposed convolution's input depend on a little less than this field, which holds them all.
    """
    if isinstance(layer, nn.ConvTranspose2d | nn.MaxUnpool2d):
        return before and _between(layer, before)
    window = _window(layer, came, went)
    if before is None or window is None:
        return None
    kernel, stride, padding = window
    field = [f + (k - 1) * j for f, k, j in zip(before.field, kernel, before.jump, strict=True)]
    jump = [j * s for j, s in zip(before.jump, stride, strict=True)]
    start = [s - p * j for s, p, j in zip(before.start, padding, before.jump, strict=True)]
    return Reach((field[0], field[1]), (jump[0], jump[1]), (start[0], start[1]))


def _window(layer: nn.Module, came: torch.Size, went: torch.Size) -> tuple[Pair, Pair, Pair] | None:
    """(size, stride, padding above and on the left) of the window of inputs behind an output; None: not known."""
    if isinstance(layer, (nn.Conv2d, *POOLS)):
        kernel, stride = pair(layer.kernel_size), pair(layer.stride)
        dilation = (1, 1) if isinstance(layer, nn.AvgPool2d) else pair(layer.dilation)
        size = (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
        return size, stride, _padding(layer.padding, size)
    if isinstance(layer, ADAPTIVE_POOLS):  # exact where the input's size is a multiple of the output's
        stride = came[0] // went[0], came[1] // went[1]
        return (came[0] - (went[0] - 1) * stride[0], came[1] - (went[1] - 1) * stride[1]), stride, (0, 0)
    if isinstance(layer, nn.ConstantPad2d):
        left, _, top, _ = layer.padding
        return (1, 1), (1, 1), (top, left)
    if isinstance(layer, nn.Flatten) or came == went:
        return (1, 1), (1, 1), (0, 0)
    return None


def _between(layer: nn.ConvTranspose2d | nn.MaxUnpool2d, before: Reach) -> Reach | None:
    """As behind a convolution without stride of the input with zeros between its places; None if a place is less than a pixel."""
    stride, padding = pair(layer.stride), _padding(layer.padding, (1, 1))
    if any(j % s for j, s in zip(before.jump, stride, strict=True)):
        return None
    dilation = (1, 1) if isinstance(layer, nn.MaxUnpool2d) else pair(layer.dilation)
    more = [(k - 1) * d for k, d in zip(pair(layer.kernel_size), dilation, strict=True)]  # places beside the first
    jump = [j // s for j, s in zip(before.jump, stride, strict=True)]
    field = [f + m * j for f, m, j in zip(before.field, more, jump, strict=True)]
    start = [s + (p - m) * j for s, p, m, j in zip(before.start, padding, more, jump, strict=True)]
    return Reach((field[0], field[1]), (jump[0], jump[1]), (start[0], start[1]))


def _padding(padding: str | int | tuple[int, ...], size: Pair) -> Pair:
    if padding == "same":
        return (size[0] - 1) // 2, (size[1] - 1) // 2
    return (0, 0) if isinstance(padding, str) else pair(padding)


def pair(size: int | tuple[int, ...]) -> Pair:
    """PyTorch's sizes: one number stands for both directions."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
