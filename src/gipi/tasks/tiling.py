"""Pictures of any size through a segmentation net: in one piece where memory allows, else in tiles."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gipi.engine.machine import free_memory
from gipi.engine.place import Place
from gipi.ops.tiles import tiled

BYTES_A_PIXEL = 1500  # of a picture read: SegNet at full width took 1,150 in float32 on a CPU, SegNet-Basic 800
# Of tiles, in pixels. For no seams at all a net may look a quarter of it far, see `ops/tiles.py`: SegNet-Basic looks 90 pixels,
# SegNet and the FCNs look twice as far, but what is there hardly counts.
OVERLAP = 384


def most_pixels(place: Place) -> int:
    """Pixels that may be read at once: their activations take half of the memory that is free now, at most."""
    free = torch.cuda.mem_get_info(place.device)[0] if place.device.type == "cuda" else free_memory()
    return free // (2 * BYTES_A_PIXEL)


def any_size(read: Callable[[Tensor], Tensor], pixels: Tensor, size: tuple[int, int], *, stride: int, limit: int) -> Tensor:
    """The class of each pixel of one picture, uint8 `size` (height, width) on the CPU.

    read: uint8 (1, 3, h, w) of any size -> logits (1, k, h, w).  pixels: uint8 (3, h, w), as the net is to see them.
    limit: pixels read at once; of a larger picture tiles are.
    """
    return tiled(read, pixels, size=size, limit=limit, overlap=OVERLAP, stride=stride)
