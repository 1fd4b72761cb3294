"""Opening pictures of unknown origin and bringing them to a size."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
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
