"""A picture read in overlapping tiles, whose scores are blended so that no seams show.

Neighbours overlap by `overlap` pixels. The outer quarter of the overlap, where a tile sees too little around a pixel, counts
nothing; over the middle half the weight of one tile falls linearly while that of the other rises. So a net that looks no farther
than a quarter of the overlap gives the same scores as in one piece. Tiles start at multiples of the net's stride, where the
cells of its pooling begin in the whole picture, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

Read = Callable[[Tensor], Tensor]  # uint8 (1, 3, h, w) of any size -> float32 (1, k, h, w)
AT_ONCE = 16_000_000  # scores that are enlarged at a time


def tiled(
    read: Read, pixels: UInt8[Tensor, "3 h w"], *, size: tuple[int, int], limit: int, overlap: int, stride: int
) -> UInt8[Tensor, "i j"]:
    """The class of the highest score at each pixel, the scores first brought to `size` (height, width), bilinearly.

    limit: pixels that are read at once, at most, unless tiles of twice the overlap have more.  overlap: at least 4 * the farthest
    pixel that matters to a score, for no seams at all.
    In memory are the scores of one row of tiles; the classes are on the CPU.
    """
    parts = bands(read, pixels, limit=limit, overlap=overlap, stride=stride)
    return labels(parts, (pixels.shape[1], pixels.shape[2]), size)


def spans(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    """(start, end) of tiles that cover `length` pixels, none longer than `side`, neighbours sharing `overlap` pixels.

    side, overlap: multiples of the stride, side > overlap; so are the starts and lengths then, but for the end of the last.
    """
    step = side - overlap
    count = 1 if length <= side else math.ceil((length - overlap) / step)
    starts = [number * step for number in range(count)]
    return [(start, min(start + side, length)) for start in starts]


def sides(size: tuple[int, int], *, limit: int, overlap: int, stride: int) -> tuple[int, int]:
    """Height and width of tiles: of `limit` pixels, at most, but twice the overlap each way, at least."""
    least = 2 * overlap
    height, width = (-(-length // stride) * stride for length in size)
    if height * width <= limit:
        return height, width
    across = min(width, max(least, math.isqrt(limit) // stride * stride))
    down = min(height, max(least, limit // across // stride * stride))
    across = min(width, max(least, limit // down // stride * stride))  # of a low picture the whole height
    return down, across


def bands(read: Read, pixels: UInt8[Tensor, "3 h w"], *, limit: int, overlap: int, stride: int) -> Iterator[Tensor]:
    """The scores (k, h, w) of a picture as bands of rows, from the top; together they are all its rows."""
    overlap = -(-overlap // stride) * stride
    height, width = pixels.shape[1:]
    down, across = sides((height, width), limit=limit, overlap=overlap, stride=stride)
    rows, columns = spans(height, down, overlap), spans(width, across, overlap)

    def row(top: int, bottom: int) -> Tensor:
        parts = (read(pixels[None, :, top:bottom, start:end])[0] for start, end in columns)
        return torch.cat(list(_blended(parts, columns, 2)), 2)

    return _blended((row(top, bottom) for top, bottom in rows), rows, 1)


def _blended(parts: Iterable[Tensor], places: list[tuple[int, int]], axis: int) -> Iterator[Tensor]:
    """Parts that lie at `places` along an axis and overlap, blended into parts that do not."""
    left = None  # of the part before: the scores that wait for those of this one
    for part, (start, _), after in zip(parts, places, [*places[1:], None], strict=True):
        if left is not None:
            shared = left.shape[axis]
            rise = _rise(shared, part).view(-1, *[1] * (2 - axis))
            both, own = part.split([shared, part.shape[axis] - shared], axis)
            part = torch.cat([torch.lerp(left, both, rise), own], axis)
        if after is None:
            yield part
        else:
            alone, left = part.split([after[0] - start, part.shape[axis] - (after[0] - start)], axis)
            yield alone


def _rise(shared: int, like: Tensor) -> Tensor:
    """Weights of the later of two parts over the pixels that both have: 0, then up linearly, then 1."""
    places = torch.arange(shared, dtype=like.dtype, device=like.device) + 0.5
    return ((places - shared / 4) / (shared / 2)).clamp(0, 1)


def labels(parts: Iterable[Tensor], size: tuple[int, int], new: tuple[int, int]) -> UInt8[Tensor, "i j"]:
    """The class of the highest score at each pixel, uint8 on the CPU, once scores are brought from `size` to `new`.

    parts: the scores (k, h, w) as bands of rows, from the top. They are brought to the other size as torch's bilinear
    interpolation does it, some rows at a time.
    """
    height, (new_height, new_width) = size[0], new
    places = ((torch.arange(new_height, dtype=torch.float64) + 0.5) * height / new_height - 0.5).clamp(0, height - 1)
    upper = places.floor().long()
    lower, share = (upper + 1).clamp(max=height - 1), (places - upper).float()
    out = torch.empty(new, dtype=torch.uint8)
    done, first, last = 0, 0, None  # rows done, number of the first row at hand, the last row of the band before
    for part in parts:
        part = part if last is None else torch.cat([last, part], 1)
        ready = int((lower < first + part.shape[1]).sum())  # lower rises
        chunk = max(1, AT_ONCE // (len(part) * max(new_width, part.shape[2])))
        for start, end in pairwise([*range(done, ready, chunk), ready]):
            if new == size:
                rows = part[:, start - first : end - first]
            else:
                above, below = ((which[start:end] - first).to(part.device) for which in (upper, lower))
                rows = torch.lerp(part[:, above], part[:, below], share[start:end, None].to(part.device))
                rows = F.interpolate(rows[None], (end - start, new_width), mode="bilinear")[0]
            out[start:end] = rows.argmax(0).to("cpu", torch.uint8)
        done, first, last = ready, first + part.shape[1] - 1, part[:, -1:]
    return out
