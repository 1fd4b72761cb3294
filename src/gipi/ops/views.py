"""Test-time augmentation: the views of an image over which an answer is averaged."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from gipi.config import Views


def views(images: UInt8[Tensor, "n c h w"], kind: Views) -> list[UInt8[Tensor, "n c h w"]]:
    """The images, and what `kind` adds to them.

    none: nothing.  shift: moved by one pixel left, right, up and down, zeros coming in.  flip: mirrored left to right.
    """
    if kind == "none":
        return [images]
    if kind == "flip":
        return [images, images.flip(3)]
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1))
    corners = ((1, 2), (1, 0), (2, 1), (0, 1))  # where in the padded image the view starts: (down, right)
    return [images, *(padded[:, :, down : down + height, right : right + width] for down, right in corners)]
