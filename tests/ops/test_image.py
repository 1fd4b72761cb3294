"""Opening any picture, and bringing it to a size."""

from __future__ import annotations

import math
import struct
import zlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from gipi.errors import ConfigError, DataError
from gipi.ops.image import (
    FORMATS,
    LONGEST,
    MAX_PIXELS,
    centre_crop,
    open_image,
    scale,
    scale_masks,
    scale_short,
    scale_short_masks,
    short_size,
    shrink,
)

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


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "GIF", "TIFF"])
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


def without_adobe(data: bytes) -> bytes:
    """A JPEG without the segment that says that Adobe wrote it."""
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + struct.unpack(">H", data[start + 2 : start + 4])[0] :]


def inks(cyan: int) -> Image.Image:
    return Image.new("CMYK", (16, 16), (cyan, 0, 0, 0))


@pytest.mark.parametrize(
    "data",
    [
        saved(inks(255), "JPEG", quality=95),  # Pillow writes as Adobe does: no ink is 255
        without_adobe(
            saved(Image.eval(inks(255), lambda ink: 255 - ink), "JPEG", quality=95)
        ),  # as the standard says: no ink is 0
        saved(inks(255), "TIFF"),
    ],
    ids=["Adobe's", "not Adobe's", "TIFF"],
)
def test_cyan_ink_looks_cyan(data) -> None:
    assert Image.open(BytesIO(data)).mode == "CMYK"
    opened = open_image(data)
    assert opened.mode == "RGB"
    red, green, blue = opened.getpixel((8, 8))
    assert red < 40
    assert green > 160
    assert blue > 160


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_of_grey_in_a_tiff(order: str) -> None:
    values = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    image = Image.frombytes("I;16" if order == "<" else "I;16B", (3, 1), values.astype(f"{order}u2").tobytes())
    opened = open_image(saved(image, "TIFF"))
    assert opened.mode == "L"
    assert np.asarray(opened)[0].tolist() == GREY


def test_one_bit_as_faxes_have_it() -> None:
    image = Image.fromarray(np.indices((8, 16)).sum(0) % 3 == 0)
    assert image.mode == "1"
    opened = open_image(saved(image, "TIFF", compression="group4"))
    assert opened.mode == "L"
    assert np.array_equal(np.asarray(opened), 255 * np.asarray(image))


def test_fractions_are_refused() -> None:
    with pytest.raises(DataError, match="fractions of an unknown white"):
        open_image(saved(Image.new("F", (3, 3), 0.5), "TIFF"))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation_and_the_first_page(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = saved(frames[0], form, save_all=True, append_images=frames[1:], **({"lossless": True} if form == "WEBP" else {}))
    assert Image.open(BytesIO(data)).n_frames == 2
    assert open_image(data).getpixel((4, 4)) == (255, 0, 0)


def test_transparent_parts_of_a_gif_are_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert np.asarray(open_image(saved(image, "GIF", transparency=1)))[0].tolist() == [[10, 20, 30], [255] * 3]


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
        (b"hello, world", "not a PNG, JPEG, WEBP, BMP, GIF, TIFF file"),
        (saved(PICTURE, "PPM"), "not a PNG, JPEG, WEBP, BMP, GIF, TIFF file"),
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


VALID = [saved(PICTURE, form) for form in FORMATS] + [saved(PICTURE, "TIFF", compression=c) for c in ("tiff_lzw", "jpeg")]


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


# Decoding at a smaller scale


def smooth(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 40), st.sampled_from([1, 6]))
def test_a_jpeg_is_decoded_as_small_as_allowed(width: int, height: int, least: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_image(saved(Image.new("L", (width, height)), "JPEG", exif=exif), least=least)
    size = opened.size if orientation == 1 else opened.size[::-1]
    allowed = [s for s in (1, 2, 4, 8) if min(width, height) // s >= 2 * least] or [1]
    assert size == (-(-width // allowed[-1]), -(-height // allowed[-1]))
    assert min(size) >= min(2 * least, width, height)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_other_formats_are_decoded_whole(form: str) -> None:
    assert open_image(saved(PICTURE, form), least=1).size == PICTURE.size


def test_a_picture_decoded_small_looks_the_same() -> None:
    data = saved(smooth(800, 640), "JPEG", quality=95)
    whole, small = (shrink(open_image(data, least=least), 64).int() for least in (0, 64))
    assert open_image(data, least=64).size == (200, 160)
    assert (whole - small).abs().float().mean() < 1.5
    assert whole.float().std() > 30


# Shorter side and middle


def resized_and_cropped(image: Image.Image, short: int, size: int) -> np.ndarray:
    """A slow twin: all of the picture scaled, then the middle of all of it cut out, both rounded as torchvision does."""
    width, height = image.size
    if width <= height:
        scaled = image.resize((short, int(short * height / width)), Image.Resampling.BILINEAR)
    else:
        scaled = image.resize((int(short * width / height), short), Image.Resampling.BILINEAR)
    top, left = round((scaled.height - size) / 2.0), round((scaled.width - size) / 2.0)
    return np.asarray(scaled)[top : top + size, left : left + size].transpose(2, 0, 1)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_middle_of_the_middle_is_the_middle_of_the_whole(data: st.DataObject) -> None:
    short = data.draw(st.integers(5, 40))
    size = short - 4 * data.draw(st.integers(0, (short - 1) // 4))
    width, height = data.draw(st.tuples(st.integers(1, 90), st.integers(1, 90)).filter(lambda s: max(s) <= LONGEST * min(s)))
    pixels = np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    cut = centre_crop(shrink(image, short), (size, size))
    assert np.array_equal(cut.numpy(), resized_and_cropped(image, short, size))


def test_places_by_hand() -> None:
    """A picture of 341 x 256 is not scaled. The middle 224 columns begin at 58.5, rounded to even: 58."""
    columns = np.broadcast_to(np.arange(341) % 256, (256, 341)).astype(np.uint8)
    rows = np.broadcast_to(np.arange(256)[:, None], (256, 341)).astype(np.uint8)
    image = Image.fromarray(np.stack([columns, rows, columns], axis=2))
    cut = centre_crop(shrink(image, 256), (224, 224))
    assert cut[0, 0].tolist() == [column % 256 for column in range(58, 282)]
    assert cut[1, :, 0].tolist() == list(range(16, 240))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "RGB"])
def test_every_mode_is_shrunk_to_colour(mode: str) -> None:
    small = shrink(PICTURE.convert(mode), 6)
    assert (small.shape, small.dtype) == ((3, 6, 6), torch.uint8)
    if mode in ("1", "L"):
        assert torch.equal(small[0], small[1])
        assert torch.equal(small[0], small[2])


def test_a_small_picture_is_enlarged() -> None:
    small = shrink(Image.new("RGB", (2, 1), (10, 20, 30)), 8)
    assert small.flatten(1).tolist() == [[10] * 64, [20] * 64, [30] * 64]


@pytest.mark.parametrize("size", [(1, 1_000_000), (1_000_000, 1), (3, 900_001)])
def test_a_stripe_takes_no_memory_and_gives_its_middle(size: tuple[int, int]) -> None:
    along = 0 if size[0] > size[1] else 1
    lengthwise = np.linspace(0, 255, max(size)).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(lengthwise if along == 0 else lengthwise[:, None], size[::-1]).copy())
    small = shrink(image, 256)
    assert small.shape == (3, 256, 256)
    assert (small.int() - 127).abs().max() <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.integers(0, 3), max_size=2), st.data())
def test_the_centre_is_a_view_of_the_middle(height: int, width: int, several: list[int], data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    images = torch.arange(np.prod([*several, 2, height, width])).to(torch.uint8).view(*several, 2, height, width)
    cut = centre_crop(images, (rows, columns))
    assert cut.shape == (*several, 2, rows, columns)
    assert cut.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
    top, left = cut.storage_offset() // width, cut.storage_offset() % width
    assert abs(top - (height - rows - top)) <= 1
    assert abs(left - (width - columns - left)) <= 1


def test_half_a_place_is_rounded_to_even() -> None:
    row = torch.arange(9, dtype=torch.uint8).view(1, 1, 9)
    assert [int(centre_crop(row[..., :width], (1, 4))[0, 0, 0]) for width in range(4, 10)] == [0, 0, 1, 2, 2, 2]


@pytest.mark.parametrize("size", [(5, 4), (4, 5), (0, 4), (4, -1)])
def test_a_crop_that_does_not_fit(size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=f"a crop of {size[0]}x{size[1]} does not fit images of 4x4"):
        centre_crop(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), size)


# All of an image and of its mask, scaled

SIDES = st.integers(1, 40)


@pytest.mark.parametrize(
    ("size", "short", "scaled"),
    [
        ((360, 480), 180, (180, 240)),
        ((480, 360), 180, (240, 180)),
        ((360, 480), 0, (360, 480)),
        ((360, 480), 360, (360, 480)),
        ((100, 333), 50, (50, 166)),  # 166.5, to even
        ((100, 335), 50, (50, 168)),  # 167.5
        ((3, 7), 6, (6, 14)),
        ((5, 5), 2, (2, 2)),
    ],
)
def test_the_shorter_side_and_the_other(size, short, scaled) -> None:
    assert short_size(size, short) == scaled
    images = torch.zeros(2, 3, *size, dtype=torch.uint8)
    assert scale_short(images, short).shape == (2, 3, *scaled)
    assert scale_short_masks(images[:, 0], short).shape == (2, *scaled)


def test_a_shorter_side_below_nothing() -> None:
    with pytest.raises(ConfigError, match="a shorter side of -1 pixels"):
        scale_short(torch.zeros(3, 4, 4, dtype=torch.uint8), -1)


def test_what_has_the_size_is_not_touched() -> None:
    images = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
    for short in (0, 3):
        assert scale_short(images, short) is images
        assert scale_short_masks(images, short) is images


@settings(max_examples=80, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 9))
@example(2, 1, 3, 1, 0)  # one pixel wide
@example(9, 7, 4, 1, 0)
@example(9, 7, 1, 1, 0)
def test_images_are_scaled_as_pillow_scales_them(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    """Another implementation of the same filter; it rounds after each direction, so they may differ by one."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    images = torch.from_numpy(pixels).permute(2, 0, 1)
    scaled = scale(images, (rows, columns))
    assert (scaled.shape, scaled.dtype) == ((3, rows, columns), torch.uint8)
    assert np.abs(scaled.numpy().astype(int) - expected).max() <= 1
    assert torch.equal(scale(torch.stack([images, images.flip(2)]), (rows, columns))[0], scaled)


@settings(max_examples=25, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_masks_take_the_pixel_at_the_centre(height: int, width: int, rows: int, columns: int) -> None:
    masks = torch.randint(0, 256, (2, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(height))
    scaled = scale_masks(masks, (rows, columns))
    for y in range(rows):
        for x in range(columns):
            centre = Fraction(2 * y + 1, 2) * height / rows, Fraction(2 * x + 1, 2) * width / columns
            assert torch.equal(scaled[:, y, x], masks[:, math.floor(centre[0]), math.floor(centre[1])])


@pytest.mark.parametrize("size", [(180, 240), (90, 120), (97, 130), (400, 533)])
def test_masks_are_scaled_as_torch_does_exactly(size: tuple[int, int]) -> None:
    masks = torch.randint(0, 256, (2, 360, 480), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(masks[None].double(), size, mode="nearest-exact")[0].to(torch.uint8)
    assert torch.equal(scale_masks(masks, size), expected)


def test_a_mask_stays_on_its_image() -> None:
    """A bright square and its mask, scaled: where the image is bright, the mask is 1, but for a pixel at the border."""
    image = torch.zeros(3, 60, 90, dtype=torch.uint8)
    image[:, 12:41, 30:77] = 255
    for short in (20, 37, 90):
        mask = scale_short_masks((image[0] > 0).to(torch.uint8), short)
        bright = scale_short(image, short)[0]
        assert (bright[mask == 1] >= 100).all()
        assert (bright[mask == 0] <= 155).all()
