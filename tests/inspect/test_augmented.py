"""The drawn training images against what a training feeds its net."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from gipi.config import AugmentConfig, Config, DataConfig, RunConfig
from gipi.data.mask_legend import palette_colour
from gipi.data.stream import ImageBatch
from gipi.engine.place import decide_place
from gipi.errors import DataError
from gipi.inspect.augmented import Fed, Versions, augmented_figure, versions
from gipi.ops.segmentation import VOID
from gipi.recipes import RECIPES
from gipi.tasks.classify import Classify
from oracle.pictures import unreadable

PLACE = decide_place(device="cpu", precision="fp32", seed=3)
EPOCHS, BATCH = 3, 25
MOVES = AugmentConfig(rotate_deg=10, shift_px=2, scale=0.1, shear_deg=5, crop=0.1, elastic_px=2, brightness=0.2, contrast=0.2)
CHANGES = {
    "none": AugmentConfig(),
    "moves": MOVES,
    "erase": replace(MOVES, erase=0.5),
    "mixup": replace(MOVES, mixup=0.4),
    "cutmix": replace(MOVES, cutmix=1.0),
}


def config(change: AugmentConfig) -> Config:
    """Two batches of 25 of 60 images an epoch: 10 are left out, others each time."""
    data = DataConfig("digits", batch=BATCH, holdout=0.0, limit=60, augment=change)
    return replace(RECIPES["deepconvnet-digits"].config, data=data, run=RunConfig(epochs=EPOCHS, seed=3))


def drawn(change: AugmentConfig) -> tuple[list[Versions], Classify]:
    task = Classify(config(change), PLACE)
    return versions(islice(task.source(), EPOCHS * task.every), task.prepare), task


@pytest.mark.parametrize("name", CHANGES)
def test_versions_are_to_the_last_bit_what_training_feeds_the_net(name: str) -> None:
    training = Classify(config(CHANGES[name]), PLACE)
    fed: list[Tensor] = []
    training.model.net.register_forward_pre_hook(lambda _net, inputs: fed.append(inputs[0].clone()))
    expected: dict[tuple[int, int], Tensor] = {}
    for batch in islice(training.source(), EPOCHS * training.every):
        training.step(batch)
        for number, images in zip(batch.number.tolist(), fed[-1], strict=True):
            expected[number, batch.epoch] = images
    assert len(fed) == EPOCHS * 2

    shown, task = drawn(CHANGES[name])
    data = task.source().data
    first = next(iter(Classify(config(CHANGES[name]), PLACE).source()))
    assert len(shown) == 6
    cells = 0
    for one, number in zip(shown, first.number.tolist(), strict=False):
        assert torch.equal(one.image, data.images[number])
        assert one.label == data.labels[number]
        assert set(one.fed) == {epoch for found, epoch in expected if found == number}
        for epoch, (values, share, label) in one.fed.items():
            assert torch.equal(values, expected[number, epoch])
            assert label == one.label
            assert share == 1 or name in ("mixup", "cutmix")
            cells += 1
    assert 6 < cells < 6 * EPOCHS, "no image was left out of an epoch: the test does not test that"


def test_share_is_how_much_of_a_mixed_image_is_its_own() -> None:
    """Black and white pictures by class: the mean of a mixture with the other colour is the share."""
    (shown, task), (plain, _) = drawn(AugmentConfig(mixup=1.0)), drawn(AugmentConfig())
    partners = {}
    for batch in islice(Classify(config(AugmentConfig()), PLACE).source(), EPOCHS * task.every):
        for own, other in zip(batch.number.tolist(), batch.number.roll(-1).tolist(), strict=True):
            partners[own, batch.epoch] = other
    images = task.source().data.images.float() / 255
    numbers = [int((images * 255 == one.image).flatten(1).all(1).nonzero()[0]) for one in shown]
    for one, alone, number in zip(shown, plain, numbers, strict=True):
        for epoch, (values, share, _) in one.fed.items():
            own, other = alone.fed[epoch].values, images[partners[number, epoch]]
            torch.testing.assert_close(values, share * own + (1 - share) * other)
    assert len({fed.share for one in shown for fed in one.fed.values()}) > 6


def cells(fig) -> list[np.ndarray | None]:
    return [np.squeeze(ax.images[0].get_array()) if ax.images else None for ax in fig.axes]


@pytest.mark.parametrize("name", ["none", "mixup"])
def test_figure_has_a_row_an_image_and_a_column_an_epoch(name: str) -> None:
    shown, _ = drawn(CHANGES[name])
    fig = augmented_figure(shown, tuple("0123456789"), EPOCHS, pixels=lambda values: values * 255, title="$_{")
    pictures = cells(fig)
    assert len(pictures) == 6 * (1 + EPOCHS)
    for row, one in enumerate(shown):
        original, *rest = pictures[row * (1 + EPOCHS) : (row + 1) * (1 + EPOCHS)]
        np.testing.assert_array_equal(original, one.image[0])
        for epoch, picture in enumerate(rest):
            ax = fig.axes[row * (1 + EPOCHS) + 1 + epoch]
            if epoch in one.fed:
                values, share, _ = one.fed[epoch]
                np.testing.assert_array_equal(picture, (values[0] * 255).round().clamp(0, 255))
                assert ax.get_title() == (f"{100 * share:.0f} %" if name == "mixup" else "")
            else:
                assert picture is None
                assert [text.get_text() for text in ax.texts] == ["left out"]
    words = [text.get_text() for text in fig.texts]
    assert words[1:5] == ["original", "epoch 0", "epoch 1", "epoch 2"]
    assert words[5:] == [str(int(one.label)) for one in shown]
    assert ("Percent" in words[0]) == (name == "mixup")
    assert not unreadable(fig)


def test_input_values_are_drawn_as_the_pixels_they_stand_for() -> None:
    """A net that takes (pixel / 255 - 0.5) / 0.25, in colour."""
    image = torch.randint(0, 256, (3, 8, 6), dtype=torch.uint8)
    label = torch.tensor(1)
    fed = {0: Fed((image / 255 - 0.5) / 0.25, 1.0, label), 1: Fed(torch.full((3, 8, 6), 9.0), 1.0, label)}
    one = Versions(image, label, fed)
    fig = augmented_figure(
        [one], ("shirt", "a class with a name much too long"), 2, pixels=lambda values: (values + 2) * (255 / 4), title="colour"
    )
    original, same, bright = cells(fig)
    np.testing.assert_array_equal(original, image.permute(1, 2, 0))
    np.testing.assert_array_equal(same, original)
    assert bright.min() == 255
    assert not unreadable(fig)


def test_image_of_two_channels_cannot_be_drawn() -> None:
    one = Versions(torch.zeros(2, 8, 8, dtype=torch.uint8), torch.tensor(0), {})
    with pytest.raises(DataError, match="1 or 3 channels, got 2"):
        augmented_figure([one], ("a",), 1, pixels=lambda values: values * 255, title="")


def test_masks_lie_half_over_their_images_each_version_with_its_own() -> None:
    image = torch.randint(0, 256, (3, 8, 6), dtype=torch.uint8)
    mask, moved = (torch.zeros(8, 6, dtype=torch.uint8) for _ in range(2))
    mask[:, 3:], moved[:, 2:], moved[0] = 1, 1, VOID
    one = Versions(image, mask, {0: Fed(image.flip(2) / 255, 1.0, moved)})
    colours = ((0, 0, 0), (250, 20, 100))
    fig = augmented_figure([one], ("road", "sky"), 2, pixels=lambda values: values * 255, title="masks", colours=colours)
    original, version, left_out = cells(fig)
    expected = image.permute(1, 2, 0).numpy() / 2
    expected[:, 3:] += np.array(colours[1]) / 2
    np.testing.assert_array_equal(original, expected.astype(np.uint8))
    expected = image.flip(2).permute(1, 2, 0).numpy() / 2
    expected[1:, 2:] += np.array(colours[1]) / 2
    np.testing.assert_array_equal(version[1:], expected.astype(np.uint8)[1:])
    stripes = version[0] - expected[0].astype(np.uint8)
    assert set(stripes.flatten().tolist()) == {35, 95}, "void is striped in two greys"
    assert left_out is None
    words = [text.get_text() for text in fig.texts]
    assert "their masks half over them, void in stripes." in words[0]
    assert words[-1] == "image 1"
    assert not unreadable(fig)


class BoxBatch(NamedTuple):
    images: Tensor
    labels: Tensor
    boxes: Tensor


def test_boxes_are_framed_each_version_with_its_own() -> None:
    """Of two images, dealt out in another order; the second epoch shows the images mirrored and drops the second box."""
    images = torch.randint(0, 256, (2, 3, 8, 6), dtype=torch.uint8)
    boxes = torch.tensor([[[1.0, 2, 5, 8], [0, 0, 0, 0]], [[0.0, 0, 3, 4], [2, 1, 6, 3]]])
    labels = torch.tensor([[1, -1], [0, 2]])

    def batch(epoch: int) -> ImageBatch:
        order = torch.tensor([1, 0])
        return ImageBatch(images[order], labels[order], order, epoch)

    def prepare(batch: ImageBatch) -> BoxBatch:
        own, count = boxes[batch.number], 1 + (batch.epoch == 0)
        moved = own if batch.epoch == 0 else torch.stack([6 - own[..., 2], own[..., 1], 6 - own[..., 0], own[..., 3]], 2)
        looks = batch.images if batch.epoch == 0 else batch.images.flip(3)
        kept = torch.where(torch.arange(2) < count, batch.labels, -1)
        return BoxBatch(looks / 255, kept, moved)

    shown = versions([batch(0), batch(1)], prepare, boxes=boxes)
    fig = augmented_figure(shown, ("a", "b", "c"), 2, pixels=lambda values: values * 255, title="boxes")

    def frames(ax) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
        """Edges from the corner of the picture, which is half a pixel before the centre of its first pixel, and colour."""
        return [
            (tuple(round(0.5 + x) for x in (*patch.get_xy(), patch.get_xy()[0] + patch.get_width(), patch.get_xy()[1] + patch.get_height())),
             tuple(round(255 * part) for part in patch.get_edgecolor()[:3]))
            for patch in ax.patches
        ]  # fmt: skip

    first, second, third = (palette_colour(number) for number in (1, 2, 3))
    assert [frames(ax) for ax in fig.axes] == [
        [((0, 0, 3, 4), first), ((2, 1, 6, 3), third)],
        [((0, 0, 3, 4), first), ((2, 1, 6, 3), third)],
        [((3, 0, 6, 4), first)],
        [((1, 2, 5, 8), second)],
        [((1, 2, 5, 8), second)],
        [((1, 2, 5, 8), second)],
    ]
    np.testing.assert_array_equal(cells(fig)[2], images[1].flip(2).permute(1, 2, 0))
    words = [text.get_text() for text in fig.texts]
    assert "Frames: their boxes, a colour for each class." in words[0]
    assert words[-2:] == ["image 1", "image 2"]
    assert not unreadable(fig)


def test_images_with_captions_stand_beside_the_first_of_them() -> None:
    images, words = (
        torch.randint(0, 256, (3, 3, 8, 6), dtype=torch.uint8),
        ("<start>", "<end>", "<unknown>", "a", "dog", ",", "$x"),
    )
    labels = torch.tensor([[[3, 4, 1], [4, 1, -1]], [[4, 5, 6], [1, -1, -1]], [[2, 4, 1], [-1, -1, -1]]])
    batch = ImageBatch(images, labels, torch.tensor([5, 0, 2]), 0)
    shown = versions([batch, batch._replace(epoch=1)], lambda batch: batch._replace(images=batch.images.flip(3) / 255))
    fig = augmented_figure(shown, words, 2, pixels=lambda values: values * 255, title="captions")
    for row, image in enumerate(images):
        np.testing.assert_array_equal(cells(fig)[3 * row], image.permute(1, 2, 0))
        np.testing.assert_array_equal(cells(fig)[3 * row + 2], image.flip(2).permute(1, 2, 0))
    assert [text.get_text() for text in fig.texts][4:] == ["a dog", "dog, $x", "<unknown> dog"]
    assert not unreadable(fig)
    long = Versions(images[0], torch.tensor([[4] * 50, [3] * 50]), {})
    fig = augmented_figure([long] * 6, words, 8, pixels=lambda values: values, title="long captions")
    assert {text.get_text().count("\n") for text in fig.texts[10:]} == {5}
    assert fig.texts[10].get_text().endswith("dog…")
    assert not unreadable(fig)
