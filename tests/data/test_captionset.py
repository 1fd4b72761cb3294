"""Images with captions in memory: that the parts fit, and how they are parted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.data.captions import CaptionSet
from gipi.errors import ConfigError, DataError


def caption_set(n: int = 6) -> CaptionSet:
    """Image i has i % 3 + 1 captions, and its first pixel is i."""
    images = torch.randint(0, 256, (n, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))
    images[:, 0, 0, 0] = torch.arange(n)
    captions = tuple(tuple(f"{i}번 사진, {number}" for number in range(i % 3 + 1)) for i in range(n))
    return CaptionSet("set", "train", images, captions, tuple(f"{i}.png" for i in range(n)))


DATA = caption_set()


def put(image: int, *captions: str) -> tuple[tuple[str, ...], ...]:
    """The captions with those of one image changed."""
    return (*DATA.captions[:image], captions, *DATA.captions[image + 1 :])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": DATA.images.float()}, r"images must be uint8 \(n, 3, h, w\), got torch.float32"),
        ({"images": DATA.images[:, :1]}, r"images must be uint8 \(n, 3, h, w\), got torch.uint8 \(6, 1, 4, 5\)"),
        ({"images": DATA.images[:0]}, "holds no images"),
        ({"captions": DATA.captions[:5]}, "6 images but captions of 5"),
        ({"names": DATA.names[:5]}, "6 images but names of 5"),
        ({"captions": put(4)}, "4.png has no caption: allowed are one or more, not empty"),
        ({"captions": put(2, "a cat", " \n")}, "2.png has an empty caption"),
    ],
)
def test_parts_that_do_not_fit(change: dict, says: str) -> None:
    with pytest.raises(DataError, match=f"'set' .train.*{says}"):
        replace(DATA, **change)


def test_the_digest_knows_every_pixel_and_letter_and_nothing_else() -> None:
    image = DATA.images.clone()
    image[5, 2, 3, 4] ^= 1
    captions = [put(5, *DATA.captions[5][:2], "5번 사진, 둘"), put(1, "".join(DATA.captions[1])), put(0, "\ud800")]
    digests = [DATA.digest(), replace(DATA, images=image).digest(), *(replace(DATA, captions=c).digest() for c in captions)]
    moved = replace(
        DATA, captions=(*put(1, DATA.captions[1][0])[:2], DATA.captions[1][1:] + DATA.captions[2], *DATA.captions[3:])
    )
    assert len({*digests, moved.digest()}) == 6, "to which image a caption belongs, too"
    assert replace(caption_set(), name="other", split="test").digest() == digests[0]
    assert replace(DATA, images=DATA.images.to(memory_format=torch.channels_last)).digest() == digests[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.data())
def test_held_out_images_keep_their_captions(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n - 1))
    whole = caption_set(n)
    train, held_out = whole.hold_out(count / n)
    assert (train.split, held_out.split, len(held_out)) == ("train", "validation", count)
    assert sorted([*train.names, *held_out.names]) == sorted(whole.names)
    for part in (train, held_out):
        numbers = part.images[:, 0, 0, 0].tolist()
        assert part.names == tuple(f"{number}.png" for number in numbers)
        assert part.captions == tuple(whole.captions[number] for number in numbers)
    places = [whole.names.index(name) for name in held_out.names]
    assert all(b - a in (n // count, -(-n // count)) for a, b in pairwise(places)), "spread evenly"


def test_parts_for_training() -> None:
    assert DATA.limit(3).names == ("0.png", "2.png", "4.png")
    assert DATA.limit(6).digest() == DATA.digest() == DATA.to(torch.device("cpu")).digest()
    for share in (0.0, 0.01, 0.99, 1.0):
        with pytest.raises(ConfigError, match=f"holding out {share} of the 6 images of 'set' leaves one side empty"):
            DATA.hold_out(share)
    for count in (0, 7):
        with pytest.raises(ConfigError, match=f"data.limit {count} of 'set': allowed are 1 to 6"):
            DATA.limit(count)
