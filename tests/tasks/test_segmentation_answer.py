"""The answer of a segmentation net: areas, mask as a picture, overlay with a legend."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

import gipi
from gipi.errors import DataError
from gipi.ops.segmentation import VOID
from gipi.tasks.segmentation import Segmentation

CLASSES, COLOURS = ("sky", "road", "car", "dog"), ((10, 20, 200), (128, 64, 128), (64, 0, 128), (1, 2, 3))


def answer(mask, colours=COLOURS):
    mask = torch.tensor(mask, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    return Segmentation(CLASSES, colours, torch.randint(0, 256, (3, *mask.shape), generator=generator, dtype=torch.uint8), mask)


def test_areas_are_counts_largest_first():
    got = answer([[0, 1, 1], [1, 1, VOID]]).json()
    assert json.loads(json.dumps(got)) == {
        "classes": [{"name": "road", "pixels": 4, "share": 4 / 6}, {"name": "sky", "pixels": 1, "share": 1 / 6}],
        "size": [3, 2],
    }
    assert [str(area) for area in answer([[0, 1, 1, 1]]).areas] == ["road (75.0%)", "sky (25.0%)"]


def test_index_image_holds_the_numbers_and_shows_the_colours():
    mask = torch.arange(48).view(6, 8) % 4
    file = io.BytesIO()
    answer(mask.tolist()).index_image().save(file, "PNG")
    image = Image.open(file)
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), mask.numpy())
    assert np.array_equal(np.asarray(image.convert("RGB")), np.array(COLOURS, np.uint8)[mask.numpy()])


@pytest.mark.parametrize("size", [(64, 96), (8, 200), (200, 8), (1, 1)])
def test_drawing_is_the_overlay_and_below_it_a_legend_of_what_is_there(size):
    mask = torch.zeros(size, dtype=torch.uint8)
    mask[:, size[1] // 2 :] = 1
    one = answer(mask.tolist())
    image = np.asarray(one.draw()).astype(int)
    times = -(-480 // max(size))
    height = size[0] * times
    for row, column in ((0, 0), (size[0] - 1, size[1] - 1)):
        number, pixel = int(mask[row, column]), one.pixels[:, row, column].tolist()
        want = [(a + b) // 2 for a, b in zip(pixel, COLOURS[number], strict=True)]
        assert image[row * times, column * times].tolist() == want
    shown = {tuple(pixel) for pixel in image[height:].reshape(-1, 3)}
    there = {int(number) for number in mask.unique()}
    assert {number for number in range(4) if COLOURS[number] in shown} == there
    assert (image[height:].sum(2) < 200).sum() > 50  # letters


def test_names_and_shares_stand_in_the_legend():
    """Drawings of other names, or other shares, differ there."""
    one = answer([[0, 1, 1, 1]] * 4)
    other = Segmentation(("sea", "road", "car", "dog"), COLOURS, one.pixels, one.mask)
    assert not np.array_equal(np.asarray(one.draw()), np.asarray(other.draw()))


def test_without_colours_those_of_pascal_voc_are_taken():
    assert answer([[0]], ()).colours == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))


def test_a_picture_that_would_not_fit_into_memory_once_scaled_is_refused():
    model, file = gipi.load("fcn-scenes"), io.BytesIO()
    Image.new("L", (1_000_000, 1)).save(file, "PNG")
    with pytest.raises(DataError, match="cut it into parts"):
        model.frame(file.getvalue())
    file = io.BytesIO()
    Image.new("L", (1000, 1)).save(file, "PNG")
    assert model.frame(file.getvalue()).shape == (3, 1, 1000)
