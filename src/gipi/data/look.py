"""A look at one picture, before training on it."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import NamedTuple

from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from gipi.data.entry import Entry, reason
from gipi.data.twins import grey_copy
from gipi.errors import DataError
from gipi.ops.image import FORMATS, decode

SMALL = 64  # pixels of the shorter side, below which a picture counts as small


class Look(NamedTuple):
    """What one picture is. digest: of its bytes.  fault: what is wrong with it; then no more is known.

    size: width and height in its file.  grey: what it is compared with others by; None of small or plain ones.
    """

    digest: bytes
    fault: str = ""
    format: str = ""
    mode: str = ""
    size: tuple[int, int] = (0, 0)
    grey: UInt8[ndarray, "8 9"] | None = None


def look(entry: Entry) -> Look:
    """What a picture is; in several threads at once, as `decode` is."""
    try:
        data = entry.read()
    except DataError as error:
        return Look(b"", reason(error))
    digest = sha256(data).digest()
    try:
        image = decode(data, least=SMALL)
    except DataError as error:
        return Look(digest, reason(error))
    with Image.open(BytesIO(data), formats=FORMATS) as opened:
        form, mode, size = opened.format or "", opened.mode, opened.size
    form = "JPEG" if form == "MPO" else form  # several JPEGs in one, by some cameras
    return Look(digest, "", form, mode, size, grey_copy(image) if min(size) >= SMALL else None)
