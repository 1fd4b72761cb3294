"""Colours over pictures, and legends."""

import numpy as np
import pytest
import torch

from gipi.ops.overlay import as_image, as_pixels, legend, overlay, palette, with_legend

COLOURS = [(255, 0, 0), (0, 255, 1), (9, 8, 7)]


def pictures(seed=0, shape=(3, 5, 7)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("many", [(), (2,), (2, 3)])
def test_each_pixel_is_halfway_to_the_colour_of_its_class(many):
    pixels = pictures(shape=(*many, 3, 5, 7))
    mask = pictures(1, (*many, 5, 7)) % 5  # of which 3 and 4 are no class
    mask[..., 0, 0] = 255
    got = overlay(pixels, mask, COLOURS)
    for place in np.ndindex(*mask.shape):
        *picture, row, column = place
        old, new = (of[(*picture, slice(None), row, column)].tolist() for of in (pixels, got))
        number = int(mask[place])
        assert new == ([(a + b) // 2 for a, b in zip(old, COLOURS[number], strict=True)] if number < 3 else old)


def test_classes_without_a_colour_stay_as_they_are():
    pixels, mask = pictures(), pictures(1, (5, 7)) % 3
    got, all_of_them = overlay(pixels, mask, [COLOURS[0], None, COLOURS[2]]), overlay(pixels, mask, COLOURS)
    assert (mask == 1).any()
    assert got.equal(torch.where(mask == 1, pixels, all_of_them))


def test_every_byte_is_halved_right():
    old, new = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    colours = [(number, 255 - number, 0) for number in range(256)]
    pixels = old.to(torch.uint8).expand(3, 256, 256).contiguous()
    got = overlay(pixels, new.to(torch.uint8).contiguous(), colours).int()
    assert got.equal(torch.stack([(old + new) // 2, (old + 255 - new) // 2, old // 2]).int())


def test_palette_is_black_beyond_the_classes():
    table = palette(COLOURS)
    assert table[:3].tolist() == [list(colour) for colour in COLOURS]
    assert not table[3:].any()


def colours_in(image):
    return {colour for _, colour in image.getcolors(1 << 24)}


def test_legend_has_a_swatch_of_each_colour_and_its_text():
    lines = [("Road 31.0 %", COLOURS[0]), ("Car 2.0 %", COLOURS[1])]
    drawn, wordless = legend(lines, 400), legend([("", colour) for _, colour in lines], 400)
    assert set(COLOURS[:2]) <= colours_in(drawn)
    dark = [(np.asarray(image.convert("L")) < 128).sum() for image in (drawn, wordless)]
    assert dark[0] > dark[1] + 100  # the letters
    assert np.asarray(drawn.convert("L"))[:, -20:].min() == 255  # nothing is cut at the right


@pytest.mark.parametrize("width", [40, 200, 1000])
def test_legend_goes_on_in_rows_that_hold_every_line(width):
    colours = [(number, 100, 200) for number in range(30)]
    image = legend([(f"class {number}", colour) for number, colour in enumerate(colours)], width)
    assert set(colours) <= colours_in(image)
    assert image.width >= width


def test_very_long_name_is_cut_short():
    assert legend([("name " * 1000, (1, 2, 3))], 100).width < 600


@pytest.mark.parametrize(("size", "times"), [((64, 96), 5), ((479, 20), 2), ((480, 20), 1), ((700, 500), 1)])
def test_small_picture_is_enlarged_by_a_whole_number_and_stays_as_it_is(size, times):
    pixels = pictures(shape=(3, *size))
    image = with_legend(pixels, [("Road", (255, 0, 0))])
    height, width = (length * times for length in size)
    assert image.height > height
    assert image.width >= width
    top = as_pixels(image)[:, :height, :width]
    assert top.equal(pixels.repeat_interleave(times, 1).repeat_interleave(times, 2))
    assert image.height - height >= 14 + 7  # a line that can be read


def test_pixels_to_an_image_and_back():
    pixels = pictures()
    assert as_image(pixels).size == (7, 5)
    assert as_pixels(as_image(pixels)).equal(pixels)
