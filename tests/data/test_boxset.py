"""Images with boxes in memory: that the parts fit, how they are parted, and that a stream gives batches of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.data.boxes import NO_BOX, BoxSet, padded
from gipi.data.stream import ImageStream
from gipi.errors import ConfigError, DataError


def box_set(n: int = 6, size: tuple[int, int] = (8, 10)) -> BoxSet:
    """Image i has i % 3 boxes."""
    generator = torch.Generator().manual_seed(n)
    images = torch.randint(0, 256, (n, 3, *size), dtype=torch.uint8, generator=generator)
    rows = [torch.tensor([[1.0, 2.0, 4.5, 6.0], [0.0, 0.0, 10.0, 8.0]])[: i % 3] for i in range(n)]
    labels = [torch.tensor([2, 0])[: i % 3] for i in range(n)]
    boxes = padded(rows, labels, [torch.tensor([False, True])[: i % 3] for i in range(n)])
    names = tuple(f"{number}.png" for number in range(n))
    sizes = torch.tensor([size]).repeat(n, 1)
    return BoxSet("set", "train", ("a", "b", "c"), images, *boxes, names, torch.linspace(0.5, 1, n), sizes)


DATA = box_set()
PARTS = ("images", "boxes", "labels", "ignored", "scales", "sizes")


def put(part: str, place: tuple, value: object) -> dict[str, torch.Tensor]:
    """That part with one value changed."""
    changed = getattr(DATA, part).clone()
    changed[place] = torch.as_tensor(value, dtype=changed.dtype)
    return {part: changed}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": DATA.images.float()}, r"images must be uint8 \(n, 3, h, w\), got torch.float32"),
        ({"images": DATA.images[:, :1]}, r"images must be uint8 \(n, 3, h, w\), got torch.uint8 \(6, 1, 8, 10\)"),
        ({"images": DATA.images[:0]}, "holds no images"),
        ({"boxes": DATA.boxes.double()}, r"boxes must be torch.float32 \(6, 2, 4\), m at least 1, got torch.float64"),
        ({"boxes": DATA.boxes[:, :1]}, r"boxes must be .*got torch.float32 \(6, 1, 4\)"),
        ({"labels": DATA.labels[:5]}, r"labels must be torch.int64 \(6, 2\), m at least 1, got torch.int64 \(5, 2\)"),
        ({"labels": DATA.labels.int()}, "labels must be torch.int64 .* got torch.int32"),
        ({"boxes": DATA.boxes[:, :0], "labels": DATA.labels[:, :0]}, r"boxes must be torch.float32 \(6, 0, 4\), m at least 1"),
        ({"ignored": DATA.ignored.long()}, "ignored must be torch.bool"),
        ({"scales": DATA.scales[:5]}, r"scales must be torch.float32 \(6,\)"),
        ({"sizes": DATA.sizes.float()}, r"sizes must be torch.int64 \(6, 2\)"),
        ({"names": DATA.names[:5]}, "6 images but 5 names"),
        ({"classes": ()}, "no classes"),
        (put("labels", (2, 1), 3), "has labels -1 to 3, allowed are 0 to 2, and -1 for no box"),
        (put("labels", (2, 1), -2), "has labels -2 to 2"),
        (put("sizes", (0, 0), 9), r"has sizes that are not 1 to \[8, 10\]"),
        (put("sizes", (0, 1), 0), "has sizes that are not 1"),
        (put("scales", (3,), 0.0), "has a scale of 0"),
        (put("boxes", (2, 0), [4.0, 2.0, 4.0, 6.0]), r"box \[4.0, 2.0, 4.0, 6.0\] in 2.png: .* inside its 10x8 pixels"),
        (put("boxes", (5, 1), [0.0, 0.0, 10.5, 8.0]), r"box \[0.0, 0.0, 10.5, 8.0\] in 5.png"),
        (put("boxes", (5, 0), [-0.5, 0.0, 1.0, 8.0]), "in 5.png"),
        (put("boxes", (5, 0), [0.0, 0.0, float("nan"), 8.0]), "in 5.png"),
        (put("sizes", (5, 0), 7), r"box \[0.0, 0.0, 10.0, 8.0\] in 5.png: .* inside its 10x7 pixels"),
    ],
)
def test_parts_that_do_not_fit(change: dict, says: str) -> None:
    with pytest.raises(DataError, match=f"'set' .train.*{says}"):
        replace(DATA, **change)


def test_rows_without_a_box_may_hold_anything() -> None:
    replace(DATA, **put("boxes", (0, 0), [9.0, 9.0, -1.0, 99.0]))


def test_ragged_boxes_are_filled_up() -> None:
    assert DATA.labels.tolist() == [[NO_BOX, NO_BOX], [2, NO_BOX], [2, 0]] * 2
    assert DATA.boxes[:3].sum((1, 2)).tolist() == [0, 13.5, 31.5]
    assert DATA.ignored.tolist() == [[False, False], [False, False], [False, True]] * 2
    none = padded([torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2, [torch.zeros(0, dtype=torch.bool)] * 2)
    assert [tuple(part.shape) for part in none] == [(2, 1, 4), (2, 1), (2, 1)]
    assert none[1].tolist() == [[NO_BOX], [NO_BOX]]


def test_the_digest_knows_every_pixel_and_box_and_nothing_else() -> None:
    changes = [
        put("images", (5, 2, 7, 9), 255 - int(DATA.images[5, 2, 7, 9])),
        put("boxes", (5, 1, 2), 9.0),
        put("labels", (5, 1), 1),
        put("ignored", (5, 1), False),
        put("sizes", (0, 0), 7),
    ]
    digests = [DATA.digest(), *(replace(DATA, **change).digest() for change in changes)]
    assert len(set(digests)) == 6
    assert replace(box_set(), name="other", split="test").digest() == digests[0]
    assert replace(DATA, images=DATA.images.to(memory_format=torch.channels_last)).digest() == digests[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.data())
def test_held_out_images_keep_their_boxes(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n - 1))
    whole = box_set(n)
    train, held_out = whole.hold_out(count / n)
    assert (train.split, held_out.split, len(held_out)) == ("train", "validation", count)
    assert sorted([*train.names, *held_out.names]) == sorted(whole.names)
    for part in (train, held_out):
        index = torch.tensor([whole.names.index(name) for name in part.names])
        assert all(torch.equal(getattr(part, name), getattr(whole, name)[index]) for name in PARTS)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.99, 1.0, -1.0])
def test_a_share_that_leaves_no_boxes_on_one_side(share: float) -> None:
    with pytest.raises(ConfigError, match=f"holding out {share} of the 6 images"):
        DATA.hold_out(share)


def test_some_of_the_images_with_boxes() -> None:
    assert DATA.limit(6).names == DATA.names
    assert DATA.limit(4).names == ("0.png", "1.png", "3.png", "4.png")
    assert (DATA.limit(1).labels == NO_BOX).all(), "background alone is a set, too"
    for count in (0, 7):
        with pytest.raises(ConfigError, match=f"data.limit {count} of 'set': allowed are 1 to 6"):
            DATA.limit(count)


def test_a_stream_tells_of_which_images_the_boxes_are() -> None:
    stream = ImageStream(DATA.to(torch.device("cpu")), 2, seed=3)
    batches = list(islice(stream, 3))
    assert sorted(torch.cat([batch.number for batch in batches]).tolist()) == list(range(6))
    for batch in batches:
        assert torch.equal(batch.images, DATA.images[batch.number])
        assert torch.equal(batch.labels, DATA.labels[batch.number])
