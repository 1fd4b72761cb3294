"""Scenes against their own laws: what box, label and sentence say is looked up in the mask by other code."""

from __future__ import annotations

import hashlib
import re
from functools import cache

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

from gipi import catalog
from gipi.data import scene_art, scenes
from gipi.data.digits import digits
from gipi.data.scene_words import DIGITS, WORDS, describe
from gipi.data.scenes import CLASSES, COLOURS, COUNTS, Scene, scene
from gipi.errors import ConfigError
from gipi.ops.image import scale_short, scale_short_masks

SOME = 60


@cache
def some(split: str) -> list[Scene]:
    return [scene(split, index) for index in range(SOME)]


def everything() -> list[Scene]:
    return some("train") + some("test")


def brightness(made: Scene) -> np.ndarray:
    return 0.299 * made.image[0] + 0.587 * made.image[1] + 0.114 * made.image[2]


def digest(made: Scene) -> str:
    parts = made.image, made.mask, made.boxes.astype("<i8"), made.labels.astype("<i8"), made.sentence.encode()
    return hashlib.sha256(b"".join(bytes(part) for part in parts)).hexdigest()[:16]


def test_the_set_holds_its_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "validation", 40)
    data = scenes.scenes("validation")
    assert (len(data), data.name, data.split, data.classes) == (40, "scenes", "validation", CLASSES)
    assert data.images.shape == (40, 3, 64, 96)
    assert (data.names[7], data.mean, data.std, data.colours) == ("validation-0007", (0.5,) * 3, (0.25,) * 3, COLOURS)
    for index in (39, 0, 17):  # in another order
        alone = scene("validation", index)
        assert torch.equal(torch.from_numpy(alone.image), data.images[index])
        assert torch.equal(torch.from_numpy(alone.mask), data.labels[index])


def test_the_catalogue_says_the_same() -> None:
    entry = catalog.DATASETS["scenes"]
    assert (entry.train, entry.test) == (COUNTS["train"], COUNTS["test"])
    assert entry.image == scene("test", 0).image.shape
    assert catalog.resolve(entry.factories["segment"]) is scenes.scenes


def test_the_same_on_every_machine() -> None:
    assert [digest(scene(split, 1000)) for split in COUNTS] == ["735d5f2cb0790fdb", "c9ba052cae1ccc0c", "adcfc2544a4069e3"]


def test_split_index_and_seed_all_count() -> None:
    addresses = [("train", 3, 0), ("validation", 3, 0), ("test", 3, 0), ("train", 4, 0), ("train", 3, 1)]
    assert len({digest(scene(*address)) for address in addresses}) == len(addresses)


def test_counts() -> None:
    assert COUNTS == {"train": 4096, "validation": 512, "test": 1024}


def test_short_scales_images_and_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "test", 8)
    whole, small = scenes.scenes("test"), scenes.scenes("test", short=32)
    assert small.images.shape == (8, 3, 32, 48)
    assert torch.equal(small.images, scale_short(whole.images, 32))
    assert torch.equal(small.labels, scale_short_masks(whole.labels, 32))


def test_boxes_and_labels_are_those_of_the_parts_of_the_mask() -> None:
    """Every connected part of a class lies in one box of that class, and the parts in a box reach all its four sides."""
    for made in everything():
        assert made.image.dtype == made.mask.dtype == np.uint8
        found: dict[int, list[tuple[slice, slice]]] = {number: [] for number in range(len(made.boxes))}
        for label in range(1, 11):
            parts, _ = ndimage.label(made.mask == label, np.ones((3, 3)))
            for rows, columns in ndimage.find_objects(parts):
                inside = [
                    number
                    for number, (x0, y0, x1, y1) in enumerate(made.boxes)
                    if x0 <= columns.start < columns.stop <= x1 and y0 <= rows.start < rows.stop <= y1
                ]
                assert [made.labels[number] for number in inside] == [label]
                found[inside[0]].append((rows, columns))
        for number, parts in found.items():
            left, top = min(part[1].start for part in parts), min(part[0].start for part in parts)
            right, bottom = max(part[1].stop for part in parts), max(part[0].stop for part in parts)
            assert (left, top, right, bottom) == tuple(made.boxes[number])


def test_digits_lie_apart_and_whole_inside_of_the_picture() -> None:
    for made in everything():
        for number, (x0, y0, x1, y1) in enumerate(made.boxes):
            assert 1 <= x0 < x1 <= 95, "with room for the soft edge"
            assert 1 <= y0 < y1 <= 63
            for a0, b0, a1, b1 in made.boxes[:number]:
                assert x0 - a1 >= 3 or a0 - x1 >= 3 or y0 - b1 >= 3 or b0 - y1 >= 3


def test_heights_leave_no_doubt_of_small_and_large() -> None:
    heights = {int(y1 - y0) for made in everything() for _, y0, _, y1 in made.boxes}
    assert heights == {*range(16, 20), *range(22, 29), *range(32, 37)}


def test_one_to_three_digits_of_all_ten() -> None:
    counts = np.bincount([len(made.boxes) for made in everything()], minlength=4)
    assert counts[0] == 0
    assert counts[1:].min() > 0.25 * 2 * SOME
    classes = np.bincount(np.concatenate([made.labels for made in everything()]), minlength=11)
    assert len(classes) == 11
    assert classes[1:].min() > 0.4 * classes[1:].mean()


def facts(sentence: str) -> tuple[list[tuple[str, int]], str]:
    """The things ("small", "large" or "", label) in the order they are named, and how they lie."""
    things = [
        (size or "", DIGITS.index(name) + 1)
        for size, name in re.findall(rf"(?:an?) (?:(small|large) )?({'|'.join(DIGITS)})", sentence)
    ]
    relation = re.search(r"left of|right of|above|below|from left to right|from top to bottom|$", sentence)
    assert relation
    return things, relation[0]


def test_the_sentence_is_true() -> None:
    seen = set()
    for made in everything():
        things, relation = facts(made.sentence)
        assert sorted(label for _, label in things) == sorted(made.labels)
        x, y = (made.boxes[:, 0] + made.boxes[:, 2]) / 2, (made.boxes[:, 1] + made.boxes[:, 3]) / 2
        heights = made.boxes[:, 3] - made.boxes[:, 1]
        sizes = ["small" if h < 21 else "large" if h > 30 else "" for h in heights]
        orders = {
            "": y,
            "left of": x,
            "right of": -x,
            "from left to right": x,
            "above": y,
            "below": -y,
            "from top to bottom": y,
        }
        order = np.argsort(orders[relation], kind="stable")
        assert things == [(sizes[n], made.labels[n]) for n in order]
        if relation:
            assert ("left" in relation or "right" in relation) == (np.ptp(x) >= np.ptp(y)), "along the longer distance"
        if len(things) == 2:
            assert things[0][1] >= things[1][1], "the higher number first"
        seen |= {relation, len(things)}
    assert seen == {"", "left of", "right of", "above", "below", "from left to right", "from top to bottom", 1, 2, 3}


def test_sentences_in_words() -> None:
    small, plain, large = (10, 5, 20, 23), (50, 0, 62, 25), (48, 30, 70, 63)
    assert describe([small], [8]) == "a small seven"
    assert describe([large], [9]) == "a large eight"
    assert describe([plain], [9]) == "an eight"
    assert describe([small, plain], [4, 8]) == "a seven right of a small three"
    assert describe([large, plain], [1, 1]) == "a zero above a large zero"
    assert describe([plain, large, small], [1, 2, 3]) == "a small two, a zero and a large one from left to right"
    assert describe([large, plain], [7, 9]) == "an eight above a large six"


def test_the_vocabulary_is_all_that_is_said() -> None:
    said = {word for made in everything() for word in re.findall(r"\w+|[^\w\s]", made.sentence)}
    assert said == set(WORDS)
    assert len(WORDS) == len(set(WORDS)) == 25


def test_a_digit_stands_out_from_what_is_around_it() -> None:
    for made in everything():
        light = brightness(made)
        for number, (x0, y0, x1, y1) in enumerate(made.boxes):
            pixels = np.zeros(made.mask.shape, bool)
            pixels[y0:y1, x0:x1] = made.mask[y0:y1, x0:x1] == made.labels[number]
            core = ndimage.binary_erosion(pixels)
            edge = ndimage.binary_dilation(pixels)
            ring = ndimage.binary_dilation(edge) & ~edge & (made.mask == 0)
            assert abs(light[core].mean() - light[ring]).min() > 40


def test_strokes_are_two_pixels_thick() -> None:
    kept = total = 0
    for made in everything():
        pixels = np.pad(made.mask > 0, 2)
        kept += int(ndimage.binary_opening(pixels, np.ones((2, 2))).sum())
        total += int(pixels.sum())
    assert kept > 0.98 * total


def test_colour_alone_does_not_tell_a_digit() -> None:
    """The best line through red, green and blue finds no class, and no brightness parts digits from clutter in a scene."""
    rows = np.random.default_rng(0).choice(64 * 96, 200, replace=False)
    colours = np.concatenate([made.image.reshape(3, -1).T[rows] for made in some("train")]) / 255.0
    labels = np.concatenate([made.mask.ravel()[rows] for made in some("train")])
    model = LogisticRegression(class_weight="balanced", tol=0.01, max_iter=2000).fit(np.hstack([colours, colours**2]), labels)
    answers = model.predict(np.hstack([colours, colours**2]))
    ious = [((answers == k) & (labels == k)).sum() / ((answers == k) | (labels == k)).sum() for k in range(1, 11)]
    assert np.mean(ious) < 0.1
    best = []
    for made in some("train"):
        light, digit = brightness(made), made.mask > 0
        guesses = [light > cut for cut in range(10, 250, 8)] + [light < cut for cut in range(10, 250, 8)]
        best.append(max((guess & digit).sum() / (guess | digit).sum() for guess in guesses))
    assert np.mean(best) < 0.85, "though the cut is the best of each scene, which nobody knows"


def test_no_handwriting_is_in_two_splits() -> None:
    written = {split: {image.numpy().tobytes() for image in scenes._handwriting(split).images} for split in COUNTS}
    assert [len(images) for images in written.values()] == [1293, 144, 360]
    assert len(set.union(*written.values())) == 1293 + 144 + 360
    assert written["test"] == {image.numpy().tobytes() for image in digits("test").images}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_scenes_show_the_handwriting_of_their_split(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = scenes._handwriting(split)
    only = real.subset((real.labels == 4).nonzero()[:, 0], split)
    asked = []
    monkeypatch.setattr(scenes, "_handwriting", lambda name: asked.append(name) or only)
    assert {label for index in range(5) for label in scene(split, index).labels} == {5}
    assert set(asked) == {split}


def test_a_stroke_is_where_its_line_is_near() -> None:
    """Each pixel's distance to the line, found by walking along it; the window cuts nothing off."""
    for start, end, radius in (
        ((10.2, 5.5), (30.7, 19.4), 2.3),
        ((-4.0, 30.0), (9.5, 50.0), 4.0),
        ((40.5, 3.5), (40.5, 3.5), 0.7),
    ):
        patch = scene_art.stroke(start, end, radius, 40, 48)
        drawn = np.zeros((40, 48))
        drawn[patch.rows, patch.columns] = patch.alpha
        for y in range(40):
            for x in range(48):
                walk = np.linspace(0, 1, 201)
                gap = np.hypot(start[0] + walk * (end[0] - start[0]) - x, start[1] + walk * (end[1] - start[1]) - y).min()
                assert drawn[y, x] == pytest.approx(min(max(radius + 0.5 - gap, 0), 1), abs=0.05)


def test_a_stroke_off_the_canvas_is_empty() -> None:
    for x, y in ((-30.0, 5.0), (5.0, -30.0), (99.0, 5.0), (5.0, 99.0)):
        patch = scene_art.stroke((x, y), (x, y), 2.0, 40, 48)
        canvas = np.zeros((3, 40, 48))
        scene_art.lay(canvas, patch, np.full(3, 255.0))
        assert not canvas.any()


def test_colours_have_the_brightness_asked_for() -> None:
    numbers = np.random.default_rng(0).random((200, 4))
    for low, high in ((20, 60), (100, 101), (200, 235)):
        for row in numbers:
            red, green, blue = scene_art.colour(iter(row.tolist()), low, high)
            assert low - 1e-9 <= 0.299 * red + 0.587 * green + 0.114 * blue <= high + 1e-9
            assert min(red, green, blue) >= 0
            assert max(red, green, blue) <= 255 + 1e-9


def test_unknown_split_and_negative_index() -> None:
    with pytest.raises(ConfigError, match=r"'scenes' has no split 'val' \(allowed: test, train, validation\)"):
        scenes.scenes("val")
    with pytest.raises(ConfigError, match="has no split 'tset'"):
        scene("tset", 0)
    with pytest.raises(ConfigError, match="scene -1: scenes are numbered from 0"):
        scene("train", -1)


def test_boxes_of_the_scenes_are_those_of_the_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "validation", 64)
    data, masks = scenes.scene_boxes("validation"), scenes.scenes("validation")
    assert catalog.resolve(catalog.DATASETS["scenes"].factories["detect"]) is scenes.scene_boxes
    assert torch.equal(data.images, masks.images)
    assert (data.names, data.classes, len(data)) == (masks.names, CLASSES[1:], 64)
    for mask, boxes, labels in zip(masks.labels, data.boxes.long().tolist(), data.labels.tolist(), strict=True):
        covered = torch.zeros_like(mask, dtype=torch.bool)
        for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
            if label >= 0:
                rows, columns = (mask[y0:y1, x0:x1] == label + 1).any(1), (mask[y0:y1, x0:x1] == label + 1).any(0)
                assert rows[[0, -1]].all(), "tight around its digit"
                assert columns[[0, -1]].all()
                covered[y0:y1, x0:x1] = True
        assert not mask[~covered].any(), "no digit is without a box"


def test_boxes_are_scaled_with_the_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "validation", 32)
    whole, small = scenes.scene_boxes("validation"), scenes.scene_boxes("validation", short=32)
    assert torch.equal(small.boxes * 2, whole.boxes)
    assert (small.sizes[0].tolist(), small.scales[0].item()) == ([32, 48], 0.5)
