"""One image with its mask: numbers and colours looked up, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gipi.data.entry import Entry
from gipi.data.faults import Fault
from gipi.data.mask_layout import Pair
from gipi.data.mask_legend import Legend, read_legend
from gipi.data.mask_read import Pixels, Reader
from gipi.ops.segmentation import VOID
from oracle.mask_folders import mask, numbers
from oracle.photos import photo

PLAIN = Legend(("sky", "road", "car"), ((0, 0, 0),) * 3, {0: 0, 1: 1, 2: 2, 255: VOID}, {})
COLOURS = {(0, 0, 0): VOID, (128, 64, 128): 0, (0, 0, 142): 1, (255, 255, 255): 2}
PAINTED = Legend(("road", "car", "line"), ((0, 0, 0),) * 3, {255: VOID}, COLOURS)


def pair(folder: Path, suffix: str = ".png") -> Pair:
    """With the image made, and a mask that is not."""
    return Pair(Entry(photo(folder / "i.png"), 0, "", "images/i.png"), folder / f"m{suffix}", f"masks/m{suffix}")


def read(folder: Path, image: Image.Image, legend: Legend = PLAIN, suffix: str = ".png", **options) -> Pixels | Fault:
    image.save(folder / f"m{suffix}", **options)
    return Reader(legend).read(pair(folder, suffix))


def labels(got: Pixels | Fault) -> np.ndarray:
    assert isinstance(got, Pixels), got
    assert got.mask.dtype == np.uint8
    assert got.image.shape == (*got.mask.shape, 3)
    return got.mask


def fault(got: Pixels | Fault) -> Fault:
    assert isinstance(got, Fault)
    return got


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_numbers_in_every_format(suffix: str, tmp_path: Path) -> None:
    pixels = numbers(0)
    pixels[3, 4] = 255
    assert np.array_equal(labels(read(tmp_path, Image.fromarray(pixels), suffix=suffix)), pixels)


def test_the_image_comes_with_it(tmp_path: Path) -> None:
    got = read(tmp_path, Image.fromarray(numbers(0)))
    assert isinstance(got, Pixels)
    assert np.array_equal(got.image, np.asarray(Image.open(tmp_path / "i.png")))


def test_a_palette_is_for_the_eye_and_its_indices_are_the_numbers(tmp_path: Path) -> None:
    pixels = numbers(1)
    image = Image.fromarray(pixels)
    image.putpalette([9, 9, 9, 1, 2, 3, 0, 0, 0])
    assert image.mode == "P"
    assert np.array_equal(labels(read(tmp_path, image)), pixels)
    assert np.array_equal(labels(read(tmp_path, image, transparency=1)), pixels)


def test_one_bit_and_sixteen(tmp_path: Path) -> None:
    bits = numbers(2, highest=1)
    assert np.array_equal(labels(read(tmp_path, Image.fromarray(bits.astype(bool)))), bits)
    legend = Legend(("a", "b"), ((0, 0, 0),) * 2, {0: VOID, 7: 0, 40_000: 1, 255: VOID}, {})
    wide = np.array([0, 7, 40_000], np.uint16)[numbers(3)]
    for suffix, dtype in ((".png", np.uint16), (".tif", np.uint16), (".tif", np.int32)):
        got = labels(read(tmp_path, Image.fromarray(wide.astype(dtype)), legend, suffix))
        assert np.array_equal(got, np.array([VOID, 0, 1], np.uint8)[numbers(3)])


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_colours_are_looked_up_as_slowly_pixel_by_pixel(tmp_path_factory, data: st.DataObject) -> None:
    channel = st.sampled_from([0, 1, 127, 128, 254, 255])
    colours = data.draw(st.lists(st.tuples(channel, channel, channel), min_size=2, max_size=9, unique=True))
    paints = {colour: data.draw(st.sampled_from([0, 1, 2, VOID])) for colour in colours}
    used = data.draw(st.lists(st.sampled_from(colours), min_size=108, max_size=108))
    image = Image.new("RGB", (12, 9))
    image.putdata(used)
    folder = tmp_path_factory.mktemp("pair")
    got = labels(read(folder, image, Legend(PLAIN.classes, PLAIN.colours, {255: VOID}, paints)))
    assert got.flatten().tolist() == [paints[colour] for colour in used]


def test_colours_may_have_an_alpha_that_hides_nothing(tmp_path: Path) -> None:
    pixels = np.array(list(COLOURS), np.uint8)[numbers(4, highest=3)]
    expected = np.array(list(COLOURS.values()), np.uint8)[numbers(4, highest=3)]
    image = Image.fromarray(pixels)
    assert np.array_equal(labels(read(tmp_path, image, PAINTED)), expected)
    image.putalpha(255)
    assert np.array_equal(labels(read(tmp_path, image, PAINTED)), expected)
    image.putpixel((0, 0), (0, 0, 0, 254))
    assert "masks/m.png has transparent pixels" in fault(read(tmp_path, image, PAINTED)).text()


def test_numbers_of_no_class(tmp_path: Path) -> None:
    pixels = numbers(5)
    pixels[0, :5], pixels[1, 0] = 7, 254
    got = fault(read(tmp_path, Image.fromarray(pixels)))
    assert (got.kind, got.file, got.values) == ("unknown", "masks/m.png", {"7": 5, "254": 1})
    assert got.what == (
        "has values of no class: 7 (5 pixels), 254 (1 pixels); allowed are 0, 1, 2, 255; mend it or classes.txt"
    )  # fmt: skip


def test_numbers_beyond_all_classes(tmp_path: Path) -> None:
    pixels = numbers(5).astype(np.int32)
    pixels[0, 0], pixels[0, 1] = -65_536, 65_537  # the first would be an index from the end
    got = fault(read(tmp_path, Image.fromarray(pixels), suffix=".tif"))
    assert got.values == {"-65536": 1, "65537": 1}


def test_colours_of_no_class(tmp_path: Path) -> None:
    pixels = np.zeros((9, 12, 3), np.uint8)
    pixels[2, 3:5] = 128, 64, 129
    got = fault(read(tmp_path, Image.fromarray(pixels), PAINTED))
    assert (got.kind, got.values) == ("unknown", {"(128, 64, 129)": 2})
    assert "allowed are (0, 0, 0), (128, 64, 128), (0, 0, 142), (255, 255, 255)" in got.what


def test_colours_where_the_list_has_none(tmp_path: Path) -> None:
    got = fault(read(tmp_path, Image.new("RGB", (12, 9))))
    assert got.kind == "form"
    assert "has colours, but classes.txt does not say of which classes: store the numbers of the classes, or write" in got.what


@pytest.mark.parametrize(("mode", "suffix"), [("LA", ".png"), ("CMYK", ".tif"), ("F", ".tif")])
def test_pixels_that_are_neither(mode: str, suffix: str, tmp_path: Path) -> None:
    got = fault(read(tmp_path, Image.new(mode, (12, 9)), PAINTED, suffix))
    assert (got.kind, got.what.split(":")[0]) == ("form", f"has pixels of mode {mode}")


@pytest.mark.parametrize(
    ("suffix", "options", "says"),
    [(".jpg", {}, "JPEG"), (".webp", {"lossless": True}, "WEBP"), (".gif", {}, "GIF"), (".tif", {"compression": "jpeg"}, "JPEG")],
)
def test_formats_that_change_pixels_are_refused(suffix: str, options: dict, says: str, tmp_path: Path) -> None:
    got = fault(read(tmp_path, Image.fromarray(numbers(0)), suffix=suffix, **options))
    assert got.kind == "form"
    assert got.what.startswith(f"is a {says} file, which may change the numbers of pixels: allowed for masks are PNG, BMP, TIFF")


def test_a_jpeg_by_another_name_is_one(tmp_path: Path) -> None:
    assert "is a JPEG file" in fault(read(tmp_path, Image.fromarray(numbers(0)), format="JPEG")).what


def test_another_size_than_the_image(tmp_path: Path) -> None:
    got = fault(read(tmp_path, Image.fromarray(numbers(0, (9, 12)))))
    assert got.kind == "size"
    assert got.text().startswith("masks/m.png is 9x12 pixels, its image images/i.png 12x9: make them equal")


def test_both_files_of_a_camera_on_its_side_are_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(numbers(0)).save(tmp_path / "m.png", exif=exif)
    address = pair(tmp_path)
    Image.open(tmp_path / "i.png").save(tmp_path / "i.png", exif=exif)
    assert np.array_equal(labels(Reader(PLAIN).read(address)), np.rot90(numbers(0), -1))


def whole(folder: Path) -> bytes:
    return mask(folder / "whole.png", numbers(0)).read_bytes()


@pytest.mark.parametrize("side", ["image", "mask"])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[:-30], ""),
        (lambda data: b"hello, world", ""),
        (lambda data: data[:30] + b"\xff" * 20 + data[50:], ""),
        (None, "cannot be read"),
    ],
    ids=["empty", "cut off", "no picture", "damaged", "gone"],
)
def test_broken_files(side: str, damage, says: str, tmp_path: Path) -> None:
    address = pair(tmp_path)
    mask(address.mask, numbers(0))
    path, name = (address.image.path, "images/i.png") if side == "image" else (address.mask, "masks/m.png")
    path.unlink() if damage is None else path.write_bytes(damage(path.read_bytes()))
    got = fault(Reader(PLAIN).read(address))
    assert (got.kind, got.file) == ("unreadable", name)
    assert says in got.what
    assert len(got.what) > 10


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_any_bytes_are_a_mask_or_a_fault(tmp_path_factory, place: int, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("junk")
    address, data = pair(folder), whole(folder)
    address.mask.write_bytes(data[:place] + junk + data[place + len(junk) :])
    got = Reader(PLAIN).read(address)
    assert isinstance(got, Fault) or set(np.unique(got.mask)) <= {0, 1, 2, VOID}


def test_the_list_of_camvid_maps_its_unlabelled_to_void(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("0 Sky 128 128 128\n1 Road 128 64 128\n2 Unlabelled 0 0 0\n")
    got = labels(read(tmp_path, Image.fromarray(numbers(0)), read_legend(tmp_path / "classes.txt")))
    assert np.array_equal(got, np.array([0, 1, VOID], np.uint8)[numbers(0)])
