"""Images and masks of several sizes brought to one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from gipi.data.mask_layout import Pair
from gipi.data.mask_read import Pixels
from gipi.errors import DataError
from gipi.ops.image import scale, scale_masks, short_size

ORIENTATION = 0x0112  # tag of EXIF: above 4, the picture lies on its side
Size = tuple[int, int]


def common_size(pairs: Sequence[Pair], short: int) -> Size:
    """(height, width) that most images have once their shorter side is scaled to `short` pixels, by the heads of their files.

    Of several that are as frequent, the one that comes first.
    """
    sizes = Counter[Size]()
    for pair in pairs:
        with suppress(Exception), Image.open(pair.image.path) as image:  # what is broken is told when it is read
            lies = image.getexif().get(ORIENTATION, 1) > 4
            sizes[short_size(image.size if lies else image.size[::-1], short)] += 1
    return sizes.most_common(1)[0][0] if sizes else (1, 1)


def check_memory(what: str, count: int, size: Size) -> None:
    """Raises DataError if so many images with masks are more than all the memory of this machine, where the system tells it."""
    need = count * 4 * size[0] * size[1]
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else need
    if need > there:
        got = f"{count:,} images of {size[0]}x{size[1]} with masks need {need / 1e9:,.1f} GB"
        raise DataError(f"{what}: {got}, this machine has {there / 1e9:,.1f} GB; scale them down by --data.size")


def fitted(pixels: Pixels, short: int, size: Size) -> tuple[UInt8[Tensor, "3 h w"], UInt8[Tensor, "h w"]]:
    """Image and mask, their shorter side scaled to `short`; if that gives not `size`, scaled to just fit into it."""
    height, width = pixels.mask.shape
    scaled = short_size((height, width), short)
    if scaled != size:
        ratio = min(size[0] / height, size[1] / width)
        scaled = min(size[0], max(1, round(height * ratio))), min(size[1], max(1, round(width * ratio)))
    return scale(torch.from_numpy(pixels.image).permute(2, 0, 1), scaled), scale_masks(torch.from_numpy(pixels.mask), scaled)
