"""Images and their masks of several sizes brought to one."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor

from gipi.data.mask_read import Pixels
from gipi.data.sizes import Size, fitting_size
from gipi.ops.image import scale, scale_masks


def fitted(pixels: Pixels, short: int, size: Size) -> tuple[UInt8[Tensor, "3 h w"], UInt8[Tensor, "h w"]]:
    """Image and mask, their shorter side scaled to `short`; if that gives not `size`, scaled to just fit into it."""
    height, width = pixels.mask.shape
    scaled = fitting_size((height, width), short, size)
    return scale(torch.from_numpy(pixels.image).permute(2, 0, 1), scaled), scale_masks(torch.from_numpy(pixels.mask), scaled)
