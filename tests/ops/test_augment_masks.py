"""A mask makes the move of its image: the image's is that of `augment` to the last bit, the mask's is done again pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gipi.config import AugmentConfig
from gipi.ops.augment import augment, augment_masks
from gipi.ops.random import uniforms
from gipi.ops.segmentation import VOID
from oracle.changes import EACH

COUNT, HEIGHT, WIDTH = 12, 20, 31
INDEX = torch.arange(COUNT) * 7
LIGHT = ("brightness", "contrast", "saturation")
ALL = AugmentConfig(**EACH)
alone = pytest.mark.parametrize(
    "change", [AugmentConfig(**{name: size}) for name, size in EACH.items()] + [ALL], ids=[*EACH, "all"]
)


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def pair() -> tuple[Tensor, Tensor]:
    masks = torch.randint(0, 6, (COUNT, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    masks[masks == 5] = VOID
    return noise(COUNT, 3, HEIGHT, WIDTH) * 255, masks


@alone
def test_the_image_is_that_of_augment_to_the_last_bit(change: AugmentConfig) -> None:
    images, masks = pair()
    got, moved = augment_masks(images, masks, change, 3, 1, INDEX)
    assert torch.equal(got, augment(images, change, 3, 1, INDEX))
    assert (moved.dtype, moved.shape) == (torch.uint8, masks.shape)


@alone
def test_the_mask_takes_the_class_of_the_pixel_nearest_to_where_the_image_looks(change: AugmentConfig) -> None:
    """The image holds its pixels' places, and white, which shows how much of a pixel of the result comes from inside."""
    right, down = (
        torch.arange(WIDTH).float().expand(HEIGHT, WIDTH),
        torch.arange(HEIGHT).float().view(-1, 1).expand(HEIGHT, WIDTH),
    )
    places = torch.stack([right, down, torch.full((HEIGHT, WIDTH), 255.0)]).expand(COUNT, 3, HEIGHT, WIDTH)
    _, masks = pair()
    moving = AugmentConfig(**{name: getattr(change, name) for name in EACH if name not in (*LIGHT, "erase")})
    looks, moved = augment_masks(places, masks, moving, 3, 1, INDEX)
    inside = outside = 0
    for image, row, column in np.ndindex(*masks.shape):
        x, y, white = looks[image, :, row, column].tolist()
        got = int(moved[image, row, column])
        if white > 254.999 and min(abs(x % 1 - 0.5), abs(y % 1 - 0.5)) > 1e-3:
            assert got == masks[image, round(y), round(x)]
            inside += 1
        elif white == 0:
            assert got == VOID
            outside += 1
    assert inside > 0.6 * masks.numel()
    assert outside > 0 or moving == AugmentConfig() or change.crop or change.flip


def test_light_leaves_masks_alone() -> None:
    images, masks = pair()
    change = AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.6)
    got, same = augment_masks(images, masks, change, 3, 1, INDEX)
    assert torch.equal(same, masks)
    assert not torch.allclose(got, images, atol=1)


def test_what_is_erased_is_void_and_nothing_else() -> None:
    images, masks = pair()
    images, masks = images.clamp(1, 254), masks.clamp(max=4)
    got, erased = augment_masks(images, masks, AugmentConfig(erase=0.5), 3, 1, INDEX)
    changed = (got != images).any(1)
    assert torch.equal(erased == VOID, changed)
    assert torch.equal(erased[~changed], masks[~changed])
    assert 0 < changed.any(2).any(1).sum() < COUNT


def test_a_whole_shift_lets_void_in() -> None:
    images, masks = pair()
    draw = (uniforms(3, 1, INDEX, 3) * 2 - 1) * 3
    _, moved = augment_masks(images, masks, AugmentConfig(shift_px=3.0), 3, 1, INDEX)
    for one, mask, (right, down) in zip(moved, masks, draw[:, 1:].round().int().tolist(), strict=True):
        expected = torch.full((HEIGHT + 6, WIDTH + 6), VOID, dtype=torch.uint8)
        expected[3 + down : 3 + down + HEIGHT, 3 + right : 3 + right + WIDTH] = mask
        assert torch.equal(one, expected[3:-3, 3:-3])


def test_no_change_gives_the_same_two() -> None:
    images, masks = pair()
    got = augment_masks(images, masks, AugmentConfig(), 3, 1, INDEX)
    assert got[0] is images
    assert got[1] is masks


def test_a_change_is_a_function_of_seed_epoch_and_index() -> None:
    images, masks = pair()
    once = augment_masks(images, masks, ALL, 3, 1, INDEX)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(5))
    again = augment_masks(images[order], masks[order], ALL, 3, 1, INDEX[order])
    single = augment_masks(images[4:5], masks[4:5], ALL, 3, 1, INDEX[4:5])
    for whole, shuffled, one in zip(once, again, single, strict=True):
        assert torch.equal(shuffled, whole[order])
        assert torch.equal(one, whole[4:5])
    for other in ((4, 1, INDEX), (3, 2, INDEX), (3, 1, INDEX + 1)):
        assert not torch.equal(augment_masks(images, masks, ALL, *other)[1], once[1])


@pytest.mark.gpu
def test_a_gpu_moves_masks_nearly_alike() -> None:
    images, masks = pair()
    (here, at), (there, too) = (
        augment_masks(images.to(device), masks.to(device), ALL, 3, 1, INDEX.to(device)) for device in ("cpu", "cuda")
    )
    assert torch.allclose(there.cpu(), here, atol=0.1)
    assert (too.cpu() == at).float().mean() > 0.99
