"""Opening any picture."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from gipi.errors import DataError
from gipi.ops.image import FORMATS, MAX_PIXELS, open_image

PICTURE = Image.fromarray((np.indices((9, 14)).sum(0) * 11).astype(np.uint8))


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""
    chunks = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 64)),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return chunks


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP"])
def test_every_lossless_format_gives_its_pixels_from_bytes_and_from_a_file(form: str, tmp_path: Path) -> None:
    data = saved(PICTURE, form, **({"lossless": True} if form == "WEBP" else {}))
    (tmp_path / "picture").write_bytes(data)
    for source in (data, tmp_path / "picture"):
        assert np.array_equal(open_image(source).convert("L"), PICTURE)


def test_jpeg_gives_nearly_its_pixels() -> None:
    opened = open_image(saved(PICTURE, "JPEG", quality=95))
    assert opened.mode == "L"
    assert np.abs(np.asarray(opened, int) - np.asarray(PICTURE, int)).mean() < 3


GREY = [0, 100, 255]


@pytest.mark.parametrize(
    ("mode", "pixels", "mode_out", "expected"),
    [
        ("1", [0, 255, 255], "L", [0, 255, 255]),
        ("L", GREY, "L", GREY),
        ("LA", [(0, 255), (0, 0), (100, 255)], "RGB", [(0,) * 3, (255,) * 3, (100,) * 3]),
        ("RGB", [(1, 2, 3), (4, 5, 6), (7, 8, 9)], "RGB", [(1, 2, 3), (4, 5, 6), (7, 8, 9)]),
        ("RGBA", [(9, 9, 9, 0), (0, 0, 0, 51), (1, 2, 3, 255)], "RGB", [(255,) * 3, (204,) * 3, (1, 2, 3)]),
        ("I;16", [0, 257 * 100, 65535], "L", GREY),
    ],
)
def test_every_mode_becomes_grey_or_colour_on_white(mode, pixels, mode_out, expected) -> None:
    image = Image.new(mode, (3, 1))
    for x, pixel in enumerate(pixels):
        image.putpixel((x, 0), pixel)
    opened = open_image(saved(image, "PNG"))
    assert opened.mode == mode_out
    assert np.asarray(opened)[0].tolist() == [list(p) if isinstance(p, tuple) else p for p in expected]


@pytest.mark.parametrize("transparency", [None, 1, b"\xff\x00"], ids=["none", "one index", "a table"])
def test_a_palette_is_looked_up_and_its_transparent_entry_is_white(transparency: int | bytes | None) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    opened = open_image(saved(image, "PNG", **({} if transparency is None else {"transparency": transparency})))
    assert opened.mode == "RGB"
    assert np.asarray(opened)[0].tolist() == [[10, 20, 30], [40, 50, 60] if transparency is None else [255] * 3]


def test_cmyk_jpeg_becomes_colour() -> None:
    opened = open_image(saved(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=95))
    assert opened.mode == "RGB"
    red, green, blue = opened.getpixel((8, 8))
    assert red < 40
    assert green > 160
    assert blue > 160


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda a: a), (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)],
)
def test_a_turned_camera_is_turned_back(orientation, upright) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(open_image(saved(PICTURE, "PNG", exif=exif)), upright(np.asarray(PICTURE)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello, world", "not a PNG, JPEG, WEBP, BMP file"),
        (saved(PICTURE, "GIF"), "not a PNG, JPEG, WEBP, BMP file"),
        (saved(PICTURE, "PNG")[:-30], "broken or cut off"),
        (png_header(10_000, 5_001), "10000 x 5001 pixels; allowed are 50,000,000"),  # between our cap and Pillow's warning
        (png_header(12_000, 8_000), "12000 x 8000 pixels"),  # where Pillow warns
        (png_header(100_000, 100_000), "too large"),  # where Pillow refuses
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(data: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(data)
    with pytest.raises(DataError, match=says) as caught:
        open_image(file)
    assert str(file) in str(caught.value)
    with pytest.raises(DataError, match=says):
        open_image(data)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            open_image(path)


VALID = [saved(PICTURE, form) for form in FORMATS]


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda d, n: d[: int(n * len(d))], st.sampled_from(VALID), st.floats(0, 1)),
        st.builds(
            lambda d, n, b: d[: int(n * len(d))] + b + d[int(n * len(d)) + len(b) :],
            st.sampled_from(VALID),
            st.floats(0, 1),
            st.binary(min_size=1, max_size=8),
        ),
    )
)
@example(png_header(0, 0))
@example(png_header(2**31 - 1, 1))
def test_any_bytes_are_a_small_picture_or_a_data_error(data: bytes) -> None:
    try:
        image = open_image(data)
    except DataError:
        return
    assert image.mode in ("L", "RGB")
    assert image.width * image.height <= MAX_PIXELS
