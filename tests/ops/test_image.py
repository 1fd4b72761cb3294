"""Opening any picture, moving it about, and random numbers that have an address."""

from __future__ import annotations

import math
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from gipi.errors import DataError
from gipi.ops.image import FORMATS, MAX_PIXELS, affine, open_image, uniforms

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


# ---- open_image


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


# ---- affine


def moved(images: torch.Tensor, angle: float = 0, shift: tuple[float, float] = (0, 0), scale: float = 1) -> torch.Tensor:
    n = len(images)
    return affine(
        images,
        angle_deg=torch.full((n,), float(angle)),
        shift_px=torch.tensor([shift], dtype=torch.float32).repeat(n, 1),
        scale=torch.full((n,), float(scale)),
    )


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def moved_pixel_by_pixel(image: np.ndarray, angle: float, shift: tuple[float, float], scale: float) -> np.ndarray:
    """The definition: where does each pixel of the result come from, and what do its four neighbours there weigh."""
    height, width = image.shape
    turn, result = complex(math.cos(math.radians(angle)), math.sin(math.radians(angle))), np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            # A complex number points right and UP from the centre.
            place = complex(column - (width - 1) / 2 - shift[0], -(row - (height - 1) / 2 - shift[1]))
            source = place / turn / scale
            x, y = source.real + (width - 1) / 2, -source.imag + (height - 1) / 2
            for j in (math.floor(y), math.floor(y) + 1):
                for i in (math.floor(x), math.floor(x) + 1):
                    if 0 <= j < height and 0 <= i < width:
                        result[row, column] += image[j, i] * (1 - abs(x - i)) * (1 - abs(y - j))
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 9),
    st.integers(2, 9),
    st.floats(-180, 180),
    st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
    st.floats(0.5, 2),
)
def test_affine_is_its_definition(height: int, width: int, angle: float, shift: tuple[float, float], scale: float) -> None:
    images = noise(1, 2, height, width)
    expected = [moved_pixel_by_pixel(c.numpy().astype(np.float64), angle, shift, scale) for c in images[0]]
    assert np.allclose(moved(images, angle, shift, scale)[0].numpy(), expected, atol=1e-4)


def test_nothing_to_do_changes_nothing() -> None:
    images = noise(3, 2, 28, 31)
    assert torch.allclose(moved(images), images, atol=1e-5)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    images = noise(2, 3, 28, 28)
    assert torch.allclose(moved(images, angle=90), torch.rot90(images, 1, (2, 3)), atol=1e-5)


def test_a_whole_shift_goes_right_and_down_and_lets_zeros_in() -> None:
    images = noise(2, 1, 12, 15)
    expected = torch.zeros_like(images)
    expected[..., 2:, 3:] = images[..., :-2, :-3]
    assert torch.allclose(moved(images, shift=(3, 2)), expected, atol=1e-5)


def test_scale_two_doubles_a_bright_square() -> None:
    images = torch.zeros(1, 1, 32, 32)
    images[..., 12:20, 12:20] = 1
    assert moved(images, scale=2).sum().item() == pytest.approx(4 * 64, rel=1e-4)


def test_each_image_moves_by_its_own_numbers() -> None:
    images = noise(3, 1, 16, 16)
    angle, shift, scale = torch.tensor([0.0, 30.0, -70.0]), noise(3, 2) * 4, torch.tensor([1.0, 0.7, 1.3])
    together = affine(images, angle_deg=angle, shift_px=shift, scale=scale)
    for i in range(3):
        alone = affine(images[i : i + 1], angle_deg=angle[i : i + 1], shift_px=shift[i : i + 1], scale=scale[i : i + 1])
        assert torch.allclose(together[i], alone[0], atol=1e-5)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_memory_format_stays(layout: torch.memory_format) -> None:
    images = noise(2, 3, 8, 8).contiguous(memory_format=layout)
    assert moved(images, angle=10).is_contiguous(memory_format=layout)


# ---- uniforms

WORD = 2**64 - 1


def mixed(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & WORD
    return x ^ (x >> 31)


def uniform_by_definition(seed: int, epoch: int, index: int, column: int) -> float:
    """In Python's unbounded integers, cut to 64 bits after each sum."""
    gamma = 0x9E3779B97F4A7C15
    start = mixed((mixed((mixed((seed + gamma) & WORD) + epoch) & WORD) + index) & WORD)
    return (mixed((start + (column + 1) * gamma) & WORD) >> 40) / 2**24


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**63 - 1), max_size=4), st.integers(1, 5))
def test_uniforms_are_their_definition(seed: int, epoch: int, index: list[int], count: int) -> None:
    got = uniforms(seed, epoch, torch.tensor(index, dtype=torch.int64), count)
    assert got.dtype == torch.float32
    assert got.tolist() == [[uniform_by_definition(seed, epoch, i, k) for k in range(count)] for i in index]


def test_splitmix64_is_the_published_one() -> None:
    """The first outputs of SplitMix64 from state 1234567, as its test vectors give them."""
    gamma = 0x9E3779B97F4A7C15
    assert [mixed((1234567 + k * gamma) & WORD) for k in (1, 2)] == [6457827717110365317, 3203168211198807973]


def test_a_sample_has_the_same_numbers_in_any_batch() -> None:
    whole = uniforms(7, 3, torch.arange(100), 4)
    some = torch.tensor([99, 5, 5, 0])
    assert torch.equal(uniforms(7, 3, some, 4), whole[some])
    assert torch.equal(uniforms(7, 3, some, 2), whole[some, :2])


def chi2(values: np.ndarray, *more: np.ndarray, bins: int = 16) -> float:
    """Standard deviations between the counts in equal cells and what uniform, independent numbers would give."""
    joint = np.stack([values, *more], 1)
    counts, _ = np.histogramdd(joint, bins=bins, range=[(0, 1)] * joint.shape[1])
    expected = len(values) / counts.size
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom))


def test_uniforms_are_uniform_and_neighbours_are_independent() -> None:
    index = torch.arange(100_000)
    base = uniforms(0, 0, index, 2).numpy().astype(np.float64)
    neighbours = {
        "column": base[:, 1],
        "index": uniforms(0, 0, index + 1, 1)[:, 0].numpy(),
        "epoch": uniforms(0, 1, index, 1)[:, 0].numpy(),
        "seed": uniforms(1, 0, index, 1)[:, 0].numpy(),
        "index and epoch": uniforms(0, 1, index - 1, 1)[:, 0].numpy(),
        "seed and epoch": uniforms(1, 1, index, 1)[:, 0].numpy(),
    }
    assert base.min() >= 0
    assert base.max() < 1
    assert abs(chi2(base[:, 0], bins=1000)) < 4
    assert abs(chi2((base[:, 0] * 4096) % 1, bins=256)) < 4, "the low bits"
    for name, other in neighbours.items():
        assert abs(chi2(base[:, 0], other)) < 4, name
        assert abs(np.corrcoef(base[:, 0], other)[0, 1]) * math.sqrt(len(index)) < 4, name


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits() -> None:
    index = torch.cat([torch.arange(1000), torch.arange(2**62, 2**62 + 1000)])
    assert torch.equal(uniforms(3, 2, index.cuda(), 6).cpu(), uniforms(3, 2, index, 6))
