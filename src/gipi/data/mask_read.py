"""An image and its mask from their files, the mask's numbers or colours looked up."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int16, Int32, UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from gipi.data.entry import listed, reason
from gipi.data.faults import Fault
from gipi.data.mask_layout import Pair
from gipi.data.mask_legend import HIGHEST, LIST, Legend
from gipi.errors import DataError
from gipi.ops.image import FORMATS, MAX_PIXELS, decode

KEEPING = ("PNG", "BMP", "TIFF")  # formats; JPEG and WEBP smooth, and GIF's writers number colours anew
NUMBERED = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")  # Pillow's modes that index masks may have
UNKNOWN = -1


class Pixels(NamedTuple):
    """An image and its mask: of each pixel the class, or VOID."""

    image: UInt8[ndarray, "h w 3"]
    mask: UInt8[ndarray, "h w"]


class Reader:
    """Reads pairs whose masks name classes as `legend` says; in several threads at once, as `decode` does."""

    def __init__(self, legend: Legend) -> None:
        self._legend = legend
        self._numbers = np.full(HIGHEST + 2, UNKNOWN, np.int16)
        self._numbers[list(legend.numbers)] = list(legend.numbers.values())
        codes = sorted((_code(*colour), label) for colour, label in legend.paints.items())
        self._codes, self._labels = (np.array([pair[side] for pair in codes], np.int32) for side in (0, 1))

    def read(self, pair: Pair) -> Pixels | Fault:
        """The pixels of a pair, or the first thing that is found to be wrong with it."""
        try:
            image = np.array(decode(pair.image.read()).convert("RGB"))
        except DataError as error:
            return Fault("unreadable", pair.image.name, reason(error))
        try:
            mask, form = _open(pair.mask)
        except DataError as error:
            return Fault("unreadable", pair.mask_name, str(error))
        if form not in KEEPING:
            what = f"is a {form} file, which may change the numbers of pixels: allowed for masks are {', '.join(KEEPING)}"
            return Fault("form", pair.mask_name, f"{what}; make it anew from the source")
        if mask.size != image.shape[1::-1]:
            sizes = f"is {mask.width}x{mask.height} pixels, its image {pair.image.name} {image.shape[1]}x{image.shape[0]}"
            return Fault("size", pair.mask_name, f"{sizes}: make them equal, without smoothing the mask")
        got = self._look_up(mask, pair.mask_name)
        return got if isinstance(got, Fault) else Pixels(image, got)

    def _look_up(self, mask: Image.Image, name: str) -> UInt8[ndarray, "h w"] | Fault:
        pixels = np.asarray(mask.convert("L")) // 255 if mask.mode == "1" else np.asarray(mask)
        if mask.mode in NUMBERED:
            values = np.where((pixels < 0) | (pixels > HIGHEST), HIGHEST + 1, pixels) if pixels.dtype == np.int32 else pixels
            labels = self._numbers[values]
            say, allowed = str, sorted(self._legend.numbers)
        elif mask.mode not in ("RGB", "RGBA"):
            return Fault(
                "form", name, f"has pixels of mode {mask.mode}: allowed are numbers of classes (L, P, I) and colours (RGB)"
            )
        elif not self._legend.paints:
            what = f"has colours, but {LIST} does not say of which classes: store the numbers of the classes, or write"
            return Fault("form", name, f"{what} NAME RED GREEN BLUE in each line of {LIST}")
        elif mask.mode == "RGBA" and pixels[..., 3].min() < 255:
            return Fault(
                "form", name, "has transparent pixels, of which nothing says what they are: store its colours without them"
            )
        else:
            pixels = _code(*(pixels[..., channel].astype(np.int32) for channel in range(3)))
            labels = self._of_codes(pixels)
            say, allowed = _colour, list(self._legend.paints)
        if (unknown := labels == UNKNOWN).any():
            values, counts = np.unique(pixels[unknown], return_counts=True)
            found = {say(int(values[place])): int(counts[place]) for place in np.argsort(-counts, kind="stable")}
            got = listed([f"{value} ({count:,} pixels)" for value, count in found.items()])
            known = listed([str(value) for value in allowed])
            return Fault("unknown", name, f"has values of no class: {got}; allowed are {known}; mend it or {LIST}", found)
        return labels.astype(np.uint8)

    def _of_codes(self, codes: Int32[ndarray, "h w"]) -> Int16[ndarray, "h w"]:
        places = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return np.where(self._codes[places] == codes, self._labels[places], UNKNOWN).astype(np.int16)


def _code(red, green, blue):
    """One number for a colour, or for each of an array of colours."""
    return red << 16 | green << 8 | blue


def _colour(code: int) -> str:
    return str((code >> 16, code >> 8 & 255, code & 255))


def _open(path: Path) -> tuple[Image.Image, str]:
    """(the mask, upright, its pixels as they are stored; format of its file). Raises DataError that names no file."""
    try:
        if not (data := path.read_bytes()):
            raise DataError("is empty (0 bytes)")
        mask = Image.open(BytesIO(data), formats=FORMATS)
        form = "JPEG" if mask.info.get("compression") == "jpeg" else mask.format or ""
        if mask.width * mask.height > MAX_PIXELS:
            raise DataError(f"has {mask.width} x {mask.height} pixels; allowed are {MAX_PIXELS:,} in all")
        ImageOps.exif_transpose(mask, in_place=True)
        mask.load()
        return mask, form
    except DataError:
        raise
    except Exception as error:  # hostile bytes make a decoder fail in any way it likes
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
