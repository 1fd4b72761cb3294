"""Images with masks in memory: that the parts fit, how they are parted, and that a stream gives batches of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.data.masks import MaskSet
from gipi.data.stream import ImageStream
from gipi.errors import ConfigError, DataError
from gipi.ops.segmentation import VOID


def mask_set(n: int = 6, size: tuple[int, int] = (4, 5), classes: int = 3) -> MaskSet:
    generator = torch.Generator().manual_seed(n)
    images = torch.randint(0, 256, (n, 3, *size), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, classes, (n, *size), dtype=torch.uint8, generator=generator)
    labels[:, 0, 0] = VOID
    names = tuple(f"{number}.png" for number in range(n))
    return MaskSet("set", "train", ("a", "b", "c")[:classes], images, labels, ((0, 0, 0),) * classes, names)


DATA = mask_set()
ALL_VOID = torch.full_like(DATA.labels, VOID)
TOO_HIGH = torch.where(torch.arange(5) == 2, 3, DATA.labels.int()).to(torch.uint8)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": DATA.images.float()}, r"images must be uint8 \(n, 3, h, w\), got torch.float32"),
        ({"images": DATA.images[:, :1]}, r"images must be uint8 \(n, 3, h, w\), got torch.uint8 \(6, 1, 4, 5\)"),
        ({"images": DATA.images[:0]}, "holds no images"),
        ({"labels": DATA.labels.long()}, r"masks of its images must be uint8 \(6, 4, 5\), got torch.int64"),
        ({"labels": DATA.labels[:, :, :4]}, r"masks of its images must be uint8 \(6, 4, 5\), got torch.uint8 \(6, 4, 4\)"),
        ({"labels": DATA.labels[:5]}, r"got torch.uint8 \(5, 4, 5\)"),
        ({"names": DATA.names[:5]}, "6 images but 5 names"),
        ({"colours": DATA.colours[:2]}, "3 classes with 2 colours"),
        ({"classes": ("a",), "colours": ((0, 0, 0),)}, "1 classes with 1 colours: allowed are 2 to 255"),
        ({"labels": ALL_VOID}, r"every pixel of every mask is void \(255\)"),
        ({"labels": TOO_HIGH}, "class 3, allowed are 0 to 2, and 255 for void"),
    ],
)
def test_parts_that_do_not_fit(change: dict, says: str) -> None:
    with pytest.raises(DataError, match=f"'set' .train.*{says}"):
        replace(DATA, **change)


def test_the_digest_knows_every_pixel_and_label_and_nothing_else() -> None:
    image, label = DATA.images.clone(), DATA.labels.clone()
    image[5, 2, 3, 4] ^= 1
    label[5, 3, 4] = VOID
    digests = [each.digest() for each in (DATA, replace(DATA, images=image), replace(DATA, labels=label))]
    assert len(set(digests)) == 3
    assert replace(mask_set(), name="other", split="test").digest() == digests[0]
    assert replace(DATA, images=DATA.images.to(memory_format=torch.channels_last)).digest() == digests[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.data())
def test_held_out_images_lie_evenly_among_the_others(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n - 1))
    whole = mask_set(n, (1, 2))
    train, held_out = whole.hold_out(count / n)
    assert (train.split, held_out.split, len(held_out)) == ("train", "validation", count)
    assert sorted([*train.names, *held_out.names]) == sorted(whole.names)
    places = [whole.names.index(name) for name in held_out.names]
    gaps = {after - before for before, after in zip(places, [*places[1:], n + places[0]], strict=True)}
    assert max(gaps) - min(gaps) <= 1, "around, as if the last were followed by the first"
    for part in (train, held_out):
        index = torch.tensor([whole.names.index(name) for name in part.names])
        assert torch.equal(part.images, whole.images[index])
        assert torch.equal(part.labels, whole.labels[index])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.99, 1.0, -1.0])
def test_a_share_that_leaves_one_side_empty(share: float) -> None:
    with pytest.raises(ConfigError, match=f"holding out {share} of the 6 images"):
        DATA.hold_out(share)


def test_some_of_the_images() -> None:
    assert DATA.limit(6).names == DATA.names
    assert DATA.limit(4).names == ("0.png", "1.png", "3.png", "4.png")
    assert DATA.limit(1).split == "train"
    for count in (0, 7):
        with pytest.raises(ConfigError, match=f"data.limit {count} of 'set': allowed are 1 to 6"):
            DATA.limit(count)


def test_pixels_are_counted_by_image_and_class() -> None:
    counted = [[sum(int(label) == c for label in mask.flatten()) for c in range(3)] for mask in DATA.labels]
    assert DATA.pixel_counts().tolist() == counted
    assert DATA.pixel_counts().sum() == 6 * (20 - 1), "one of each is void"


def test_a_stream_gives_every_image_with_its_mask_once_an_epoch() -> None:
    stream = ImageStream(DATA.to(torch.device("cpu")), 2, seed=3)
    batches = list(islice(stream, 3))
    assert sorted(torch.cat([batch.number for batch in batches]).tolist()) == list(range(6))
    for batch in batches:
        assert torch.equal(batch.images, DATA.images[batch.number])
        assert torch.equal(batch.labels, DATA.labels[batch.number])
