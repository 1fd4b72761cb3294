"""Boxes and their labels over pictures."""

import numpy as np
import pytest
import torch

from gipi.ops.draw_boxes import draw_boxes, enlargement, label_places
from gipi.ops.overlay import with_legend

NAVY, YELLOW, RED = (0, 0, 128), (250, 250, 0), (255, 0, 0)
COLOURS = [NAVY, YELLOW, RED, (0, 128, 0), (200, 200, 255)]
LINE = 2  # of small pictures


def picture(height=40, width=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def some_boxes(count, height, width, seed=0):
    """Of all sizes, also reaching out of the picture."""
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.rand(count, 2, generator=generator) * torch.tensor([width, height]) * 1.4 - 5 for _ in range(2))
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], 1)


def by_hand(pixels, boxes, colours):
    """Pixel by pixel, the last box first."""
    out = pixels.clone()
    _, height, width = pixels.shape
    for (x0, y0, x1, y1), colour in reversed(list(zip(boxes.tolist(), colours, strict=True))):
        left, top = min(max(round(x0), 0), width - 1), min(max(round(y0), 0), height - 1)
        right, bottom = min(max(round(x1), left + 1), width), min(max(round(y1), top + 1), height)
        around = (0, 0, 0) if colour == YELLOW or colour == COLOURS[4] else (255, 255, 255)
        for row in range(height):
            for column in range(width):
                depth = min(row - top, bottom - 1 - row, column - left, right - 1 - column)
                if depth == -1:
                    out[:, row, column] = torch.tensor(around, dtype=torch.uint8)
                elif 0 <= depth < LINE:
                    out[:, row, column] = torch.tensor(colour, dtype=torch.uint8)
    return out


@pytest.mark.parametrize("seed", range(6))
def test_frames_are_those_drawn_pixel_by_pixel(seed):
    pixels, boxes = picture(seed=seed), some_boxes(5, 40, 60, seed)
    before = pixels.clone()
    assert draw_boxes(pixels, boxes, [""] * 5, COLOURS).equal(by_hand(pixels, boxes, COLOURS))
    assert pixels.equal(before)


def test_a_box_of_no_size_or_outside_is_a_dot_and_no_boxes_leave_the_picture():
    pixels = picture()
    boxes = torch.tensor([[10.0, 10, 10, 10], [-9, -9, -5, -5], [90, 90, 95, 95]])
    got = draw_boxes(pixels, boxes, [""] * 3, COLOURS[:3])
    for (row, column), colour in zip(((10, 10), (0, 0), (39, 59)), COLOURS[:3], strict=True):
        assert tuple(got[:, row, column].tolist()) == colour
    assert draw_boxes(pixels, torch.zeros(0, 4), [], []).equal(pixels)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (600, 800), (120, 300), (300, 120)])
def test_label_is_a_patch_of_the_colour_with_letters_wherever_the_box_is(height, width):
    for seed, colour in enumerate([NAVY, YELLOW] * 3):
        pixels, boxes = torch.full((3, height, width), 128, dtype=torch.uint8), some_boxes(1, height, width, seed)
        with_text, without = (draw_boxes(pixels, boxes, [text], [colour]).int() for text in ("RBC 98%", ""))
        rows, columns = with_text.ne(without).any(0).nonzero().T  # pixels that the label changed
        patch = with_text[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        paint = torch.tensor(colour)[:, None, None]
        assert (patch == paint).all(0).float().mean() > 0.4
        ink = 255 if colour == NAVY else 0
        assert ((patch - ink).abs().sum(0) < 60).sum() > 30  # of letters
        assert patch.shape[1] >= 13
        assert patch.shape[2] >= 40
        assert patch[:, 0].eq(paint[:, 0]).all() or patch[:, -1].eq(paint[:, 0]).all()  # whole: above or below the letters


def test_letters_grow_with_the_picture():
    def patch(height, width):
        black, box = torch.zeros(3, height, width, dtype=torch.uint8), torch.tensor([[10.0, height / 2, 40, height / 2 + 5]])
        one, other = (draw_boxes(black, box, [text], [RED]) for text in ("dog 55%", ""))
        return one.ne(other).any(0).any(1).sum().item()

    assert patch(1080, 1920) >= 2 * patch(320, 480) * 0.9 > 20


def test_text_that_is_larger_than_the_picture_is_left_out():
    pixels, box = picture(16, 200), torch.tensor([[3.0, 3, 9, 9]])
    assert draw_boxes(pixels, box, ["dog 55%"], [RED]).equal(draw_boxes(pixels, box, [""], [RED]))
    pixels = picture(60, 30)
    assert draw_boxes(pixels, box, ["dog 55%"], [RED]).equal(draw_boxes(pixels, box, [""], [RED]))


def test_the_first_of_labels_without_room_lies_on_top():
    pixels, boxes = picture(18, 70), torch.tensor([[0.0, 0, 70, 18]]).repeat(3, 1)
    colours = [RED, NAVY, YELLOW]
    both = draw_boxes(pixels, boxes, ["dog 55%", "cat 44%", "cow 33%"], colours)
    assert draw_boxes(pixels, boxes[:1], ["dog 55%"], [RED]).eq(both).all(0).float().mean() > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_places_are_inside_and_those_of_a_search_box_by_box(seed):
    generator = np.random.default_rng(seed)
    height, width, count = 100, 150, 25
    low = generator.integers(0, (130, 80), (count, 2))
    boxes = np.concatenate([low, low + generator.integers(1, 21, (count, 2))], 1)
    sizes = generator.integers(1, (14, 40), (count, 2))
    got = label_places(torch.from_numpy(boxes), torch.from_numpy(sizes), height, width)
    taken = []
    for (x0, y0, x1, y1), (high, wide), place in zip(boxes.tolist(), sizes.tolist(), got.tolist(), strict=True):
        best = None
        for y in (y0 - high, y0, y1, y1 - high):
            for x in (x0, x1 - wide):
                left, top = min(max(x, 0), width - wide), min(max(y, 0), height - high)
                covered = 0
                for a, b, c, d in taken:
                    covered += max(0, min(left + wide, c) - max(left, a)) * max(0, min(top + high, d) - max(top, b))
                if best is None or covered < best[0]:
                    best = covered, left, top
        assert best is not None
        assert place == [best[1], best[2]]
        taken.append((best[1], best[2], best[1] + wide, best[2] + high))
    assert torch.tensor(taken).min() >= 0
    assert max(right for _, _, right, _ in taken) <= width
    assert max(bottom for _, _, _, bottom in taken) <= height


def test_labels_of_the_same_box_four_times_do_not_meet():
    boxes, sizes = torch.tensor([[40, 40, 90, 80]] * 4), torch.tensor([[10, 60]] * 4)
    places = label_places(boxes, sizes, 200, 300).tolist()
    assert [place[1] for place in places] == [30, 40, 80, 70]


@pytest.mark.parametrize("size", [(64, 96), (479, 20), (480, 20), (700, 500), (1, 1)])
def test_small_pictures_are_enlarged_as_with_a_legend(size):
    times = enlargement(*size)
    pixels = picture(*size)
    legended = np.asarray(with_legend(pixels, [("a", RED)]))[: size[0] * times, : size[1] * times]
    assert np.array_equal(legended, pixels.repeat_interleave(times, 1).repeat_interleave(times, 2).permute(1, 2, 0).numpy())
