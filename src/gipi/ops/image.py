"""Opening pictures of unknown origin and bringing them to a size."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageChops, ImageOps
from torch import Tensor
from torch.nn import functional

from gipi.errors import ConfigError, DataError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 50_000_000
LONGEST = 16  # times the shorter side; of longer pictures `shrink` takes the middle before it scales, for memory's sake


def open_image(source: Path | bytes, *, least: int = 0) -> Image.Image:
    """The picture in a file, or in the bytes of one: upright, decoded, mode "L" or "RGB", transparency laid on white.

    Of an animation, the first frame; of several pages, the first. 16 bits of grey become 8, inks become red, green and blue.
    least: if not 0, a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as its shorter side stays
    at least 2 * `least` pixels: much faster, and enough to be scaled down to `least`.
    Raises DataError if it is missing, empty, cut off, not one of `FORMATS`, or holds more than `MAX_PIXELS` by its own header,
    which is read before any pixel is.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's advice to programmers; what matters here becomes a DataError
        return decode(source, least=least)


def decode(source: Path | bytes, *, least: int = 0) -> Image.Image:
    """`open_image` for several threads at once; the caller silences Pillow around them, as `catch_warnings` knows no threads."""
    name = "the image" if isinstance(source, bytes) else f"image {str(source)!r}"
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from error
    if not data:
        raise DataError(f"{name} is empty (0 bytes); allowed are {', '.join(FORMATS)} files")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height <= MAX_PIXELS:
            if least:
                image.draft(None, (2 * least, 2 * least))
            return _plain(image)
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is too large ({error}); allowed are {MAX_PIXELS:,} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{name} ({len(data):,} bytes) is not a {', '.join(FORMATS)} file; convert it") from error
    except Exception as error:  # hostile bytes make a decoder fail in any way it likes
        raise DataError(f"{name} is broken or cut off: {error}; save or download it again") from error
    raise DataError(f"{name} has {width} x {height} pixels; allowed are {MAX_PIXELS:,} in all; make it smaller")


def _plain(image: Image.Image) -> Image.Image:
    """What the decoders give, in any mode and way up, as upright "L" or "RGB" of 8 bits."""
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F":
        raise ValueError("its pixels are fractions of an unknown white")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to 255
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Adobe writes its inks inverted, and Pillow takes every JPEG of inks for one of Adobe's
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def resize(image: Image.Image, shape: tuple[int, int, int]) -> UInt8[Tensor, "c h w"]:
    """The picture scaled to `shape` (channels 1 or 3, height, width), its aspect ratio not kept."""
    channels, height, width = shape
    small = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(small, dtype=np.uint8).reshape(height, width, channels)).permute(2, 0, 1).contiguous()


def shrink(image: Image.Image, short: int) -> UInt8[Tensor, "3 short short"]:
    """The middle square of the picture in colour, once its shorter side is scaled to `short` pixels, up or down.

    Sizes and places are rounded as torchvision's Resize and CenterCrop round them. So `centre_crop` of it to a size smaller by a
    multiple of 4 gives what they give of the whole picture; of one longer than `LONGEST` times its shorter side, nearly.
    """
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    side = min(image.size)
    if max(image.size) > LONGEST * side:
        image = _middle(image, *(min(length, LONGEST * side) for length in image.size))
    width, height = (int(short * length / side) for length in image.size)
    square = _middle(image.resize((width, height), Image.Resampling.BILINEAR), short, short).convert("RGB")
    return torch.from_numpy(np.stack([np.asarray(band) for band in square.split()]))


def _middle(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def centre_crop(images: Shaped[Tensor, "*n c h w"], size: tuple[int, int]) -> Shaped[Tensor, "*n c i j"]:
    """The middle of the images, `size` (height, width), as a view of them. Raises ConfigError if they are smaller."""
    (height, width), (rows, columns) = images.shape[-2:], size
    if not (0 < rows <= height and 0 < columns <= width):
        raise ConfigError(f"a crop of {rows}x{columns} does not fit images of {height}x{width}")
    top, left = round((height - rows) / 2), round((width - columns) / 2)
    return images[..., top : top + rows, left : left + columns]


def short_size(size: tuple[int, int], short: int) -> tuple[int, int]:
    """(height, width) once the shorter side is `short` pixels, and the other rounded; 0: as it is. ConfigError below 0."""
    if short < 0:
        raise ConfigError(f"a shorter side of {short} pixels: allowed are numbers from 1 on, and 0 for as it is")
    side = min(size)
    return size if short == 0 else (round(size[0] * short / side), round(size[1] * short / side))


def scale_short(images: UInt8[Tensor, "*n h w"], short: int) -> UInt8[Tensor, "*n i j"]:
    """The images scaled so that their shorter side has `short` pixels, see `short_size`; 0: as they are."""
    return scale(images, short_size((images.shape[-2], images.shape[-1]), short))


def scale_short_masks(masks: UInt8[Tensor, "*n h w"], short: int) -> UInt8[Tensor, "*n i j"]:
    """Masks scaled as `scale_short` scales their images."""
    return scale_masks(masks, short_size((masks.shape[-2], masks.shape[-1]), short))


def scale(images: UInt8[Tensor, "*n h w"], size: tuple[int, int]) -> UInt8[Tensor, "*n i j"]:
    """The images scaled to `size` (height, width): bilinear, antialiased where they shrink, values rounded to even."""
    if images.shape[-2:] == size:
        return images
    planes = images.reshape(-1, 1, *images.shape[-2:]).float()
    if size[1] == 1:  # torch 2.13 mixes up the rows of contiguous planes that become one pixel wide
        planes = planes.expand(-1, 2, -1, -1).contiguous(memory_format=torch.channels_last)
    scaled = functional.interpolate(planes, size, mode="bilinear", antialias=True)[:, :1]
    return scaled.round_().clamp_(0, 255).to(torch.uint8).reshape(*images.shape[:-2], *size)


def scale_masks(masks: UInt8[Tensor, "*n h w"], size: tuple[int, int]) -> UInt8[Tensor, "*n i j"]:
    """Masks scaled to `size` (height, width) as `scale` scales their images: of each new pixel, the old one at its centre.

    The same as torch's "nearest-exact", but in whole numbers, so that a centre on the border of two pixels is rounded alike
    everywhere: to the later one.
    """
    if masks.shape[-2:] == size:
        return masks
    places = [
        (2 * torch.arange(new, device=masks.device) + 1) * old // (2 * new)
        for old, new in zip(masks.shape[-2:], size, strict=True)
    ]
    return masks[..., places[0][:, None], places[1]]
