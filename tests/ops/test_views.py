"""The views of an image: pixel by pixel."""

import torch

from gipi.ops.views import views

IMAGES = torch.randint(1, 256, (3, 2, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def moved(images, right, down):
    out = torch.zeros_like(images)
    for y in range(4):
        for x in range(5):
            if 0 <= y - down < 4 and 0 <= x - right < 5:
                out[:, :, y, x] = images[:, :, y - down, x - right]
    return out


def test_shift_moves_by_a_pixel_each_way_and_zeros_come_in():
    seen = views(IMAGES, "shift")
    wanted = [IMAGES, *(moved(IMAGES, right, down) for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1)))]
    assert len(seen) == 5
    assert all(torch.equal(view, want) for view, want in zip(seen, wanted, strict=True))
    assert all(view.dtype == torch.uint8 for view in seen)


def test_flip_mirrors_left_to_right():
    image, mirrored = views(IMAGES, "flip")
    assert torch.equal(image, IMAGES)
    assert all(torch.equal(mirrored[..., x], IMAGES[..., 4 - x]) for x in range(5))


def test_none_is_the_image_alone():
    [image] = views(IMAGES, "none")
    assert torch.equal(image, IMAGES)
