"""Opening pictures of unknown origin, and augmentation whose randomness has an address (seed, epoch, index)."""

from __future__ import annotations

import math
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from gipi.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MAX_PIXELS = 50_000_000


def open_image(source: Path | bytes) -> Image.Image:
    """The picture in a file, or in the bytes of one: upright, decoded, mode "L" or "RGB", transparency laid on white.

    Of an animation, the first frame. Raises DataError if it is missing, empty, cut off, not one of `FORMATS`, or holds
    more than `MAX_PIXELS` by its own header, which is read before any pixel is.
    """
    name = "the image" if isinstance(source, bytes) else f"image {str(source)!r}"
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from error
    if not data:
        raise DataError(f"{name} is empty (0 bytes); allowed are {', '.join(FORMATS)} files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's advice to programmers; what matters here becomes a DataError
        try:
            image = Image.open(BytesIO(data), formats=FORMATS)
            width, height = image.size
            if width * height <= MAX_PIXELS:
                return _plain(ImageOps.exif_transpose(image))
        except Image.DecompressionBombError as error:
            raise DataError(f"{name} is too large ({error}); allowed are {MAX_PIXELS:,} pixels") from error
        except Image.UnidentifiedImageError as error:
            raise DataError(f"{name} ({len(data):,} bytes) is not a {', '.join(FORMATS)} file; convert it") from error
        except Exception as error:  # hostile bytes make a decoder fail in any way it likes
            raise DataError(f"{name} is broken or cut off: {error}; save or download it again") from error
    raise DataError(f"{name} has {width} x {height} pixels; allowed are {MAX_PIXELS:,} in all; make it smaller")


def _plain(image: Image.Image) -> Image.Image:
    """Any mode that the decoders give, as "L" or "RGB" of 8 bits."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to 255
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def resize(image: Image.Image, shape: tuple[int, int, int]) -> UInt8[Tensor, "c h w"]:
    """The picture scaled to `shape` (channels 1 or 3, height, width), its aspect ratio not kept."""
    channels, height, width = shape
    small = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(small, dtype=np.uint8).reshape(height, width, channels)).permute(2, 0, 1).contiguous()


def affine(
    images: Float[Tensor, "n c h w"],
    *,
    angle_deg: Float[Tensor, " n"],
    shift_px: Float[Tensor, "n 2"],
    scale: Float[Tensor, " n"],
) -> Float[Tensor, "n c h w"]:
    """Each image enlarged by `scale` and turned counter-clockwise by `angle_deg` about its centre, then moved.

    shift_px: (right, down).  Bilinear; zeros come in from outside. The memory format stays that of `images`.
    """
    height, width = images.shape[-2:]
    angle = angle_deg * (math.pi / 180)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # From a pixel of the result (x right, y down, from the centre) back to its source: undo the shift, the turn, the scale.
    back = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    start = -(back @ shift_px.unsqueeze(2))
    half = back.new_tensor([width / 2, height / 2])  # affine_grid counts in half widths and half heights
    theta = torch.cat([back * half / half.unsqueeze(1), start / half.unsqueeze(1)], 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return moved.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def uniforms(seed: int, epoch: int, index: Int64[Tensor, " n"], count: int) -> Float[Tensor, "n count"]:
    """`count` random numbers in [0, 1) for every sample: a pure function of (seed, epoch, index, column).

    seed, epoch: below 2**63.  Multiples of 2**-24, bitwise the same on every device. Each sample is a SplitMix64 stream
    (Steele, Lea and Flood, OOPSLA 2014) that starts at a hash of its address.
    """
    key = _mix(_mix(torch.full_like(index, seed) + _GAMMA) + epoch)
    start = _mix(key + index)
    column = torch.arange(1, count + 1, device=index.device)
    mixed = _mix(start.unsqueeze(1) + column * _GAMMA)
    return _shift(mixed, 40).float() * 2.0**-24


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


_GAMMA = _signed(0x9E3779B97F4A7C15)


def _shift(x: Int64[Tensor, "*any"], bits: int) -> Int64[Tensor, "*any"]:
    """The logical right shift; torch's own keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Int64[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
    """SplitMix64's finaliser, a bijection of 64-bit words; int64 products wrap around like unsigned ones."""
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)
