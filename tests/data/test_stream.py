"""Laws of the image set and of the stream drawn from it."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.data.stream import ImageBatch, ImageSet, ImageStream
from gipi.errors import ConfigError, DataError

SEEDS = st.integers(0, 2**31 - 1)
FEW = settings(max_examples=30, deadline=None)


def numbered(count: int) -> ImageSet:
    """Images that carry their own place in the set in their first two pixels."""
    place = torch.arange(count)
    images = torch.zeros(count, 1, 2, 2, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = place % 256, place // 256
    return ImageSet("numbered", "train", ("even", "odd", "third"), images, place % 3)


def places(data: ImageSet) -> list[int]:
    return (data.images[:, 0, 0, 0].int() + 256 * data.images[:, 0, 0, 1].int()).tolist()


def equal(one: ImageBatch, two: ImageBatch) -> bool:
    return one.epoch == two.epoch and all(torch.equal(a, b) for a, b in zip(one[:3], two[:3], strict=True))


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    """(images, batch) with batch <= images."""
    count = draw(st.integers(1, 40))
    return count, draw(st.integers(1, count))


# The stream


@FEW
@given(sizes(), SEEDS)
def test_an_epoch_is_a_permutation(size: tuple[int, int], seed: int) -> None:
    count, batch = size
    stream = ImageStream(numbered(count), batch, seed)
    for epoch in range(3):
        batches = list(islice(stream, count // batch))
        assert [b.epoch for b in batches] == [epoch] * len(batches)
        assert all(len(b.images) == len(b.labels) == len(b.number) == batch for b in batches)
        seen = torch.cat([b.number for b in batches]).tolist()
        assert len(set(seen)) == len(seen) == count - count % batch, "no image twice; only a short last batch is dropped"
        assert set(seen) <= set(range(count))


@FEW
@given(sizes(), SEEDS)
def test_index_names_the_image(size: tuple[int, int], seed: int) -> None:
    data = numbered(size[0])
    for batch in islice(ImageStream(data, size[1], seed), 5):
        assert places(replace(data, images=batch.images, labels=batch.labels)) == batch.number.tolist()
        assert torch.equal(batch.labels, data.labels[batch.number])


@FEW
@given(sizes(), SEEDS, st.integers(0, 100), st.integers(0, 20))
def test_resumed_equals_straight(size: tuple[int, int], seed: int, before: int, elsewhere: int) -> None:
    data = numbered(size[0])
    straight, resumed = ImageStream(data, size[1], seed), ImageStream(data, size[1], seed)
    for _ in islice(straight, before):
        pass
    for _ in islice(resumed, elsewhere):  # where it stood before does not matter
        pass
    resumed.load_state_dict(straight.state_dict())
    for one, two in zip(islice(straight, 7), islice(resumed, 7), strict=True):
        assert equal(one, two)
    assert straight.state_dict() == resumed.state_dict()


def test_a_state_is_not_changed_by_going_on() -> None:
    stream = ImageStream(numbered(10), 3, 0)
    next(stream)
    state = stream.state_dict()
    expected = next(stream)
    stream.load_state_dict(state)
    assert equal(next(stream), expected)


@FEW
@given(SEEDS)
def test_epochs_and_seeds_differ(seed: int) -> None:
    stream = ImageStream(numbered(100), 100, seed)
    first, second = next(stream).number, next(stream).number
    other = next(ImageStream(numbered(100), 100, seed + 1)).number
    orders = {tuple(order.tolist()) for order in (first, second, other)}
    assert len(orders) == 3
    assert tuple(range(100)) not in orders


def test_every_image_is_drawn_first_equally_often() -> None:
    firsts = torch.stack([next(ImageStream(numbered(4), 1, seed)).number for seed in range(2000)]).flatten()
    counts = firsts.bincount(minlength=4).double()
    assert ((counts - 500) ** 2 / 500).sum() < 16.3  # chi-squared, 3 degrees of freedom, p = 0.001


def test_the_global_random_state_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    next(ImageStream(numbered(10), 2, 0))
    numbered(10).hold_out(0.5)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("size", [-1, 0, 11])
def test_batch_size_that_does_not_fit(size: int) -> None:
    with pytest.raises(ConfigError, match=f"batch size {size} does not fit 10 .* allowed are 1 to 10"):
        ImageStream(numbered(10), size, 0)


# Holding out


@FEW
@given(st.integers(2, 300), st.floats(0, 1))
def test_hold_out_is_disjoint_and_complete(count: int, share: float) -> None:
    data = numbered(count)
    held = round(share * count)
    if not 0 < held < count:
        with pytest.raises(ConfigError, match="leaves one side empty"):
            data.hold_out(share)
        return
    training, validation = data.hold_out(share)
    assert (training.split, validation.split) == ("train", "validation")
    assert len(validation) == held
    assert sorted(places(training) + places(validation)) == list(range(count))
    for part in (training, validation):
        assert part.labels.tolist() == [place % 3 for place in places(part)]


def test_hold_out_is_the_same_in_every_run() -> None:
    torch.manual_seed(1)
    one = numbered(100).hold_out(0.1)
    torch.manual_seed(2)
    two = numbered(100).hold_out(0.1)
    assert [part.digest() for part in one] == [part.digest() for part in two]


@pytest.mark.parametrize("share", [0.05, 1 / 12, 0.5])
def test_hold_out_takes_the_same_share_of_each_class(share: float) -> None:
    data = numbered(300)
    _, held = data.hold_out(share)
    counts = torch.bincount(held.labels, minlength=3)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("share", [-0.5, 0.0, 0.04, 0.96, 1.0, 1.5])
def test_hold_out_of_all_or_nothing(share: float) -> None:
    with pytest.raises(ConfigError, match=f"holding out {share} of the 10 images of 'numbered' leaves one side empty"):
        numbered(10).hold_out(share)


# Taking less


@FEW
@given(st.integers(1, 300), st.integers(1, 300))
def test_a_limit_takes_as_many_and_the_same_share_of_each_class(count: int, limit: int) -> None:
    data = numbered(count)
    if limit > count:
        with pytest.raises(ConfigError, match=f"data.limit {limit} of 'numbered': allowed are 1 to {count}, or 0 for all"):
            data.limit(limit)
        return
    less = data.limit(limit)
    kept = places(less)
    assert len(kept) == limit
    assert kept == sorted(set(kept)), "no image twice, in their order"
    assert less.labels.tolist() == [place % 3 for place in kept]
    assert (less.name, less.split, less.classes) == (data.name, data.split, data.classes)
    shares, wanted = torch.bincount(less.labels, minlength=3), torch.bincount(data.labels, minlength=3) * limit / count
    assert (shares - wanted).abs().max() < 1


def test_a_class_that_is_rare_stays_as_rare() -> None:
    labels = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)[torch.randperm(1000, generator=torch.Generator().manual_seed(1))]
    less = replace(numbered(1000), labels=labels).limit(100)
    assert torch.bincount(less.labels).tolist() == [90, 9, 1]


def test_a_limit_is_the_same_in_every_run_and_lies_in_its_multiples() -> None:
    """So that a study of fewer and fewer images takes images away and puts none in."""
    torch.manual_seed(1)
    kept = {limit: set(places(numbered(200).limit(limit))) for limit in (10, 20, 40, 80, 200)}
    torch.manual_seed(2)
    assert kept[40] == set(places(numbered(200).limit(40)))
    assert kept[10] < kept[20] < kept[40] < kept[80] < kept[200]


@pytest.mark.parametrize("limit", [-1, 0])
def test_a_limit_of_nothing(limit: int) -> None:
    with pytest.raises(ConfigError, match=f"data.limit {limit} of 'numbered': allowed are 1 to 10, or 0 for all"):
        numbered(10).limit(limit)


# The image set


def test_subset_keeps_order_and_names_the_split() -> None:
    part = numbered(10).subset(torch.tensor([7, 2, 2]), "chosen")
    assert (places(part), part.labels.tolist(), part.split, len(part)) == ([7, 2, 2], [1, 2, 2], "chosen", 3)


def test_digest_tells_pixels_and_labels_and_nothing_else() -> None:
    data = numbered(10)
    pixels, labels = data.images.clone(), data.labels.clone()
    pixels[3, 0, 1, 1] = 1
    labels[3] = 2
    digests = [d.digest() for d in (data, replace(data, images=pixels), replace(data, labels=labels))]
    assert len(set(digests)) == 3
    assert replace(data, name="other", split="test").digest() == data.digest()
    assert data.to(torch.device("cpu")).digest() == data.digest()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 4, 4), [0, 1], r"'x' \(train\): images must be uint8 \(n, c, h, w\), got torch.float32"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), [0, 1], r"images must be uint8 .*\(2, 4, 4\)"),
        (torch.zeros(0, 1, 4, 4, dtype=torch.uint8), [], "holds no images"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0], "2 images but 1 labels"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0, 2], "labels run from 0 to 2, allowed are 0 to 1"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [-1, 1], "labels run from -1 to 1, allowed are 0 to 1"),
    ],
)
def test_parts_that_do_not_fit_together(images: torch.Tensor, labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageSet("x", "train", ("a", "b"), images, torch.tensor(labels, dtype=torch.int64))


def test_a_limit_leaves_no_class_out_if_there_is_room():
    """123 and 121 images of two classes: the same shares of two would be both of the first."""
    for counts, limit, want in (
        ((123, 121), 2, [1, 1]),
        ((97, 2, 1), 3, [1, 1, 1]),
        ((97, 2, 1), 5, [3, 1, 1]),
        ((97, 2, 1), 2, None),
    ):
        labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        images = torch.arange(len(labels)).view(-1, 1, 1, 1).to(torch.uint8)
        few = ImageSet("few", "train", tuple("abc"[: len(counts)]), images, labels).limit(limit)
        assert len(few) == limit
        assert want is None or few.labels.bincount().tolist() == want


@pytest.mark.parametrize("world", [2, 3, 7])
def test_processes_part_every_batch_and_see_each_image_once_an_epoch(world: int):
    images = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    data = ImageSet("made", "train", ("a", "b"), images, torch.arange(100) % 2)
    whole = ImageStream(data, 10, seed=3)
    parts = [ImageStream(data, 10, seed=3, rank=rank, world=world) for rank in range(world)]
    for epoch in range(2):
        seen: list[int] = []
        for _ in range(10):
            batch, shares = next(whole), [next(part) for part in parts]
            assert torch.cat([share.number for share in shares]).tolist() == batch.number.tolist()
            assert torch.equal(torch.cat([share.images for share in shares]), batch.images)
            assert {share.epoch for share in shares} == {epoch}
            seen += batch.number.tolist()
        assert sorted(seen) == list(range(100))


def test_a_batch_must_have_an_image_for_each_process():
    data = ImageSet("made", "train", ("a",), torch.zeros(9, 1, 1, 1, dtype=torch.uint8), torch.zeros(9, dtype=torch.long))
    with pytest.raises(ConfigError, match=r"a batch of 2 for 3 processes: data.batch must be 3 or more"):
        ImageStream(data, 2, seed=0, rank=0, world=3)
