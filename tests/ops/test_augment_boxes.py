"""A box makes the move of its image: filled rectangles are drawn, changed with their image, and looked for again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gipi.config import AugmentConfig
from gipi.errors import ConfigError
from gipi.ops.augment import augment
from gipi.ops.augment_boxes import KEPT, augment_boxes, fit_for_boxes
from gipi.ops.random import uniforms
from oracle.changes import EACH

COUNT, HEIGHT, WIDTH = 24, 72, 97
INDEX = torch.arange(COUNT) * 7
UNFIT = {"elastic_px": 2.5, "mixup": 0.2, "cutmix": 1.0}
FIT = {name: size for name, size in EACH.items() if name not in UNFIT}
LIGHT = {name: FIT[name] for name in ("brightness", "contrast", "saturation")}
STRAIGHT = {"shift_px": 20.0, "scale": 0.4, "crop": 0.5, "flip": 0.5}
MOVES = {**STRAIGHT, "rotate_deg": 60.0, "shear_deg": 30.0}
alone = pytest.mark.parametrize(
    "change", [AugmentConfig(**{name: size}) for name, size in FIT.items()] + [AugmentConfig(**FIT)], ids=[*FIT, "all"]
)


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """(images, boxes, labels): a filled rectangle in each channel, and a last row that is none."""
    rng = np.random.default_rng(4)
    images, boxes = torch.zeros(COUNT, 3, HEIGHT, WIDTH), torch.zeros(COUNT, 4, 4)
    for number, channel in np.ndindex(COUNT, 3):
        wide, tall = rng.integers(8, 40, 2)
        x, y = rng.integers(0, WIDTH - wide + 1), rng.integers(0, HEIGHT - tall + 1)
        images[number, channel, y : y + tall, x : x + wide] = 255
        boxes[number, channel] = torch.tensor([x, y, x + wide, y + tall])
    return images, boxes, torch.tensor([0, 2, 1, -1]).expand(COUNT, 4).clone()


def around(pixels: Tensor) -> Tensor:
    """The box around those pixels that are half bright or brighter."""
    rows, columns = ((pixels >= 127.5).any(axis).nonzero()[:, 0] for axis in (1, 0))
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


def centre(pixels: Tensor) -> Tensor:
    across, down = torch.arange(WIDTH) + 0.5, torch.arange(HEIGHT) + 0.5
    return torch.stack([(pixels.sum(0) * across).sum(), (pixels.sum(1) * down).sum()]) / pixels.sum()


@pytest.mark.parametrize(
    "change", [*({name: size} for name, size in MOVES.items()), MOVES], ids=[*MOVES, "all"]
)  # strong moves, so that some leave the image
def test_a_box_lies_around_its_rectangle_wherever_that_has_gone(change: dict[str, float]) -> None:
    images, boxes, labels = drawn()
    looks, moved, kept = augment_boxes(images, boxes, labels, AugmentConfig(**change), 3, 1, INDEX)
    straight = not {"rotate_deg", "shear_deg"} & set(change)
    sizes, off = torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT]), list[Tensor]()
    for number, channel in (kept[:, :3] >= 0).nonzero().tolist():
        box, seen = moved[number, channel], around(looks[number, channel])
        assert (box >= 0).all()
        assert (box <= sizes).all()
        whole = bool(((box > 2) & (box < sizes - 2)).all())
        if whole or straight:
            assert torch.allclose(box, seen, atol=0.75 if straight else 1.5)
        else:  # a corner of a turned rectangle may be out of sight
            assert (box[:2] <= seen[:2] + 1.5).all()
            assert (box[2:] >= seen[2:] - 1.5).all()
        if whole:
            off.append((box[:2] + box[2:]) / 2 - centre(looks[number, channel]))
    assert len(off) > COUNT / 2
    assert torch.stack(off).abs().max() < 0.25, "as pixels of a smaller image are samples"
    assert torch.stack(off).mean(0).abs().max() < 0.05, "not to one side"
    assert (kept[:, 3] == -1).all()
    assert (moved[:, 3] == 0).all()


def test_shifted_boxes_by_hand() -> None:
    """Moved, mirrored, clipped, and no longer there if less than the share is seen."""
    images, boxes, labels = drawn()
    draw = uniforms(3, 1, INDEX, 9)
    _, moved, kept = augment_boxes(images, boxes, labels, AugmentConfig(shift_px=45, flip=0.5), 3, 1, INDEX)
    gone = cut = 0
    for number, row in np.ndindex(COUNT, 3):
        x0, y0, x1, y1 = boxes[number, row].tolist()
        right, down = ((draw[number, 1:3] * 2 - 1) * 45).round().tolist()
        if draw[number, 8] < 0.5:
            x0, x1 = WIDTH - x1, WIDTH - x0
        x0, x1, y0, y1 = x0 + right, x1 + right, y0 + down, y1 + down
        left, low, top, bottom = max(x0, 0), min(x1, WIDTH), max(y0, 0), min(y1, HEIGHT)
        share = max(low - left, 0) * max(bottom - top, 0) / ((x1 - x0) * (y1 - y0))
        assert abs(share - KEPT) > 1e-4
        expected = [left, top, low, bottom] if share > KEPT else [0, 0, 0, 0]
        assert moved[number, row].tolist() == pytest.approx(expected, abs=1e-3)
        assert kept[number, row] == (labels[number, row] if share > KEPT else -1)
        gone, cut = gone + (share <= KEPT), cut + (KEPT < share < 1)
    assert gone > 5
    assert cut > 5


def test_what_is_erased_is_not_seen() -> None:
    images, boxes, labels = drawn()
    images = images / 255 * 300  # no grey is 300
    got, same, kept = augment_boxes(images, boxes, labels, AugmentConfig(erase=1.0), 3, 1, INDEX)
    lost = 0
    for number, row in np.ndindex(COUNT, 3):
        share = float((got[number, row] == 300).sum() / (images[number, row] == 300).sum())
        assert (kept[number, row] >= 0) == (share >= KEPT)
        lost += share < KEPT
    assert 0 < lost < COUNT * 3 / 2
    assert torch.equal(same, boxes * (kept >= 0).unsqueeze(2)), "and boxes stay as they are"


def test_light_leaves_boxes_alone() -> None:
    images, boxes, labels = drawn()
    got, same, kept = augment_boxes(images, boxes, labels, AugmentConfig(**LIGHT), 3, 1, INDEX)
    assert torch.equal(same, boxes)
    assert torch.equal(kept, labels)
    assert not torch.allclose(got, images, atol=1)


@alone
def test_the_image_is_that_of_augment_to_the_last_bit(change: AugmentConfig) -> None:
    images, boxes, labels = drawn()
    got, moved, kept = augment_boxes(images, boxes, labels, change, 3, 1, INDEX)
    assert torch.equal(got, augment(images, change, 3, 1, INDEX))
    assert (moved.dtype, moved.shape, kept.dtype, kept.shape) == (torch.float32, boxes.shape, torch.int64, labels.shape)
    assert torch.equal(kept[kept >= 0], labels[kept >= 0])


def test_no_change_gives_the_same_three() -> None:
    given = drawn()
    assert all(got is one for got, one in zip(augment_boxes(*given, AugmentConfig(), 3, 1, INDEX), given, strict=True))


@alone
def test_a_change_is_a_function_of_seed_epoch_and_index(change: AugmentConfig) -> None:
    given = drawn()
    once = augment_boxes(*given, change, 3, 1, INDEX)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(5))
    again = augment_boxes(given[0][order], given[1][order], given[2][order], change, 3, 1, INDEX[order])
    single = augment_boxes(given[0][4:5], given[1][4:5], given[2][4:5], change, 3, 1, INDEX[4:5])
    for whole, shuffled, one in zip(once, again, single, strict=True):
        assert torch.equal(shuffled, whole[order])
        assert torch.equal(one, whole[4:5])
    for other in ((4, 1, INDEX), (3, 2, INDEX), (3, 1, INDEX + 1)):
        assert not torch.equal(augment_boxes(*given, change, *other)[0], once[0])


def test_more_boxes_change_nothing_for_the_others() -> None:
    """So regions may be moved behind the boxes."""
    images, boxes, labels = drawn()
    change = AugmentConfig(**FIT)
    few, many = (
        augment_boxes(images, boxes.repeat(1, times, 1), labels.repeat(1, times), change, 3, 1, INDEX) for times in (1, 50)
    )
    assert torch.equal(many[1], few[1].repeat(1, 50, 1))
    assert torch.equal(many[2], few[2].repeat(1, 50))


@pytest.mark.parametrize("name", UNFIT)
def test_changes_that_boxes_cannot_make_are_refused(name: str) -> None:
    change = AugmentConfig(**{name: UNFIT[name]}, flip=0.5)
    for call in (lambda: fit_for_boxes(change), lambda: augment_boxes(*drawn(), change, 3, 1, INDEX)):
        with pytest.raises(ConfigError, match=f"data.augment.{name} {UNFIT[name]} is not for images with boxes.*: set it to 0"):
            call()


def test_every_change_is_either_made_or_refused() -> None:
    assert {*FIT, *UNFIT} == set(AugmentConfig.__dataclass_fields__)
    fit_for_boxes(AugmentConfig(**FIT))


@pytest.mark.gpu
def test_a_gpu_moves_boxes_nearly_alike() -> None:
    (images, boxes, labels), change = drawn(), AugmentConfig(**{**FIT, "erase": 0.0})
    here, there = (
        augment_boxes(images.to(device), boxes.to(device), labels.to(device), change, 3, 1, INDEX.to(device))
        for device in ("cpu", "cuda")
    )
    assert torch.allclose(there[1].cpu(), here[1], atol=0.01)
    assert torch.equal(there[2].cpu(), here[2])
