"""RoIAlign: the part of a map below a region, of whatever size, as a small map of one size (He et al., ICCV 2017, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

Maps = Float[Tensor, "n c h w"]


def roi_align(
    maps: Maps,
    regions: Float[Tensor, "r 4"],
    image: Int64[Tensor, " r"],
    size: int,
    scale: float,
    samples: int = 2,
) -> Float[Tensor, "r c i j"]:
    """Each region parted into size x size equal bins, each the mean of samples x samples places, bilinear between pixels.

    regions: in pixels of the images.  image: which map each is of.  scale: of the map's pixels to the image's, 1 / stride.
    The semantics are those of torchvision's roi_align with aligned=False: pixel i of the map lies at i, a region is at least one
    pixel of the map wide and high, places up to a pixel outside read the nearest pixel, and 0 further out. Places are computed in
    the regions' number format, sums in float32 at least. What is not a number is outside.
    """
    n, c, h, w = maps.shape
    if torch.onnx.is_in_onnx_export():  # as one node, by ONNX's own operator
        facts = {"output_height": size, "output_width": size, "sampling_ratio": samples, "spatial_scale": scale}
        facts["coordinate_transformation_mode"] = "output_half_pixel"
        shape = (regions.shape[0], c, size, size)  # len(regions) would fix their number
        return torch.onnx.ops.symbolic("RoiAlign", (maps, regions, image), facts, dtype=maps.dtype, shape=shape, version=16)
    x0, y0, x1, y1 = (regions * scale).unbind(1)
    rows, row_shares = _taps(y0, y1, size, samples, h)
    columns, column_shares = _taps(x0, x1, size, samples, w)
    rows = rows + image[:, None, None] * h
    places = (rows[:, :, None, :, None] * w + columns[:, None, :, None, :]).flatten(0, 2).flatten(1)
    shares = (row_shares[:, :, None, :, None] * column_shares[:, None, :, None, :]).flatten(0, 2).flatten(1)
    wide = torch.promote_types(maps.dtype, torch.float32)
    pixels = maps.to(wide, memory_format=torch.channels_last).permute(0, 2, 3, 1).reshape(n * h * w, c)
    # Each value is a weighted sum of pixels: they are read where they lie, and no copies of them are kept for the backward pass.
    sums = F.embedding_bag(places, pixels, per_sample_weights=shares.to(wide), mode="sum")
    return sums.view(regions.shape[0], size, size, c).permute(0, 3, 1, 2).to(maps.dtype)


def _taps(
    start: Float[Tensor, " r"], end: Float[Tensor, " r"], size: int, samples: int, length: int
) -> tuple[Int64[Tensor, "r s t"], Float[Tensor, "r s t"]]:
    """Along one axis of a map: the pixels that each bin reads, and their shares of it."""
    step = (end - start).clamp(min=1) / size
    bins = torch.arange(size, device=start.device)
    within = (torch.arange(samples, device=start.device) + 0.5) / samples
    places = start[:, None, None] + step[:, None, None] * (bins[:, None] + within)
    inside = (places >= -1) & (places <= length)
    places = torch.where(inside, places.clamp(0, length - 1), 0)
    low = places.floor()
    part = places - low
    pixels = torch.cat([low, (low + 1).clamp(max=length - 1)], 2).long()
    return pixels, torch.cat([1 - part, part], 2) * torch.cat([inside, inside], 2) / samples
