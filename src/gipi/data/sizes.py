"""Images of several sizes brought to one: which it is, and whether they find room."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from PIL import Image

from gipi.data.entry import Entry
from gipi.errors import DataError
from gipi.ops.image import short_size

ORIENTATION = 0x0112  # tag of EXIF: above 4, the picture lies on its side
Size = tuple[int, int]


def common_size(entries: Iterable[Entry], short: int) -> Size:
    """(height, width) that most images have once their shorter side is scaled to `short` pixels, by the heads of their files.

    Of several that are as frequent, the one that comes first.
    """
    sizes = Counter[Size]()
    for entry in entries:
        with suppress(Exception), Image.open(entry.path) as image:  # what is broken is told when it is read
            lies = image.getexif().get(ORIENTATION, 1) > 4
            sizes[short_size(image.size if lies else image.size[::-1], short)] += 1
    return sizes.most_common(1)[0][0] if sizes else (1, 1)


def fitting_size(size: Size, short: int, common: Size) -> Size:
    """(height, width) of an image once its shorter side is scaled to `short`; if that is not `common`, to just fit into that."""
    scaled = short_size(size, short)
    if scaled == common:
        return common
    ratio = min(common[0] / size[0], common[1] / size[1])
    return min(common[0], max(1, round(size[0] * ratio))), min(common[1], max(1, round(size[1] * ratio)))


def check_memory(what: str, count: int, size: Size, channels: int) -> None:
    """Raises DataError if so many images of a byte a channel are more than this machine's memory, where the system tells it."""
    need = count * channels * size[0] * size[1]
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else need
    if need > there:
        got = f"{count:,} images of {size[0]}x{size[1]} need {need / 1e9:,.1f} GB"
        raise DataError(f"{what}: {got}, this machine has {there / 1e9:,.1f} GB; scale them down by --data.size")
