"""A digit is found and framed whatever the picture round it; the measure is the framing of the same digit by definition."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.datasets import load_digits

from gipi.errors import DataError
from gipi.ops.digit import _components, _opening, _otsu, frame_digit

DIGITS = load_digits().images / 16  # (1797, 8, 8), 0 to 1


def drawn(index: int, height: int) -> np.ndarray:
    """A digit of the set as smooth ink of that many pixels, 0 to 1, cut to its bounds."""
    smooth = np.asarray(Image.fromarray(DIGITS[index].astype(np.float32)).resize((320, 320), Image.Resampling.BICUBIC))
    label, count = ndimage.label(smooth > 0.45)
    biggest = label == 1 + np.argmax(ndimage.sum_labels(smooth, label, range(1, count + 1)))
    rows, columns = np.flatnonzero(biggest.any(1)), np.flatnonzero(biggest.any(0))
    ink = Image.fromarray(biggest[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32))
    return np.asarray(ink.resize((max(1, round(ink.width * height / ink.height)), height), Image.Resampling.BOX))


def framed_by_definition(ink: np.ndarray) -> np.ndarray:
    """20x20 box, aspect ratio kept, anti-aliased, the centre of mass at pixel 14 of 28, by whole pixels."""
    zoom = 20 / max(ink.shape)
    glyph = Image.fromarray(ink.astype(np.float32)).resize(
        (max(1, round(ink.shape[1] * zoom)), max(1, round(ink.shape[0] * zoom))), Image.Resampling.BOX
    )
    field = np.zeros((60, 60))
    field[: glyph.height, : glyph.width] = np.asarray(glyph)
    y, x = ndimage.center_of_mass(field)
    return np.roll(field, (14 - round(y), 14 - round(x)), (0, 1))[:28, :28]


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@dataclass(frozen=True)
class Scene:
    """How a digit is written and photographed; everything else is drawn from the seed."""

    size: tuple[int, int] = (420, 300)
    height: float = 0.5  # of the digit, in short sides
    paper: tuple[int, int, int] = (235, 232, 225)
    ink: tuple[int, int, int] = (40, 40, 50)
    slope: float = 0.0  # of the light, from side to side
    shadow: bool = False
    desk: bool = False
    specks: int = 0
    noise: float = 0.0
    quality: int | None = None


SCENES = {
    "scan": Scene(),
    "white on black": Scene(paper=(12, 12, 12), ink=(240, 240, 240)),
    "chalk": Scene(paper=(30, 60, 45), ink=(220, 220, 210), noise=6, quality=60),
    "red on yellow": Scene(paper=(245, 225, 120), ink=(190, 30, 40), noise=4),
    "equally bright colours": Scene(paper=(200, 110, 110), ink=(60, 165, 110), noise=3),
    "pencil": Scene(paper=(225, 225, 225), ink=(165, 165, 165), noise=5),
    "slanting light": Scene(slope=0.6, noise=5, quality=60),
    "shadow": Scene(shadow=True, noise=4, height=0.4),
    "desk": Scene(desk=True, height=0.4, noise=4, slope=0.3),
    "specks": Scene(specks=12, height=0.4),
    "grain": Scene(noise=20),
    "small in the picture": Scene(size=(800, 1000), height=0.12, noise=6, quality=60, slope=0.3),
    "few pixels": Scene(size=(52, 40), height=0.6, noise=4),
    "filling the picture": Scene(size=(210, 210), height=0.95),
}


def photograph(ink: np.ndarray, scene: Scene, mixed: np.random.Generator) -> Image.Image:
    width, height = scene.size
    margin = 0.08 * min(width, height) if scene.desk else 1
    spread = [(side - part - 2 * margin) for side, part in zip((height, width), ink.shape, strict=True)]
    top, left = (int(margin + max(0, room) * mixed.random()) for room in spread)
    cover = np.zeros((height, width, 1))
    cover[top : top + ink.shape[0], left : left + ink.shape[1], 0] = ink[: height - top, : width - left]
    for _ in range(scene.specks):
        y, x = int(mixed.integers(height)), int(mixed.integers(width))
        cover[y : y + 2, x : x + 2] = 1
    picture = np.array(scene.paper) * (1 - cover) + np.array(scene.ink) * cover
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j][..., None]
    if scene.desk:
        picture[(x + 0.04 * y > 0.93)[..., 0]] = (70, 45, 30)
    picture = picture * (1 - scene.slope / 2 * (1 + x * mixed.choice([-1, 1])))
    if scene.shadow:
        picture = picture * (1 - 0.4 / (1 + np.exp(-(x + y - 0.3) / 0.05)))
    picture = picture + mixed.normal(0, scene.noise, picture.shape)
    image = Image.fromarray(picture.clip(0, 255).round().astype(np.uint8))
    if scene.quality:
        file = BytesIO()
        image.save(file, "JPEG", quality=scene.quality)
        image = Image.open(file)
    return image


@pytest.mark.parametrize("name", SCENES)
def test_a_digit_comes_out_of_any_picture_as_mnist_would_frame_it(name: str) -> None:
    scene, mixed, found = SCENES[name], np.random.default_rng(3), []
    for index in range(10):  # one of each class
        ink = drawn(index, round(scene.height * min(scene.size)))
        framed = frame_digit(photograph(ink, scene, mixed))
        assert framed.dtype == torch.uint8
        assert framed.shape == (1, 28, 28)
        found.append(likeness(framed[0].numpy(), framed_by_definition(ink)))
    assert np.mean(found) > 0.9, [round(f, 2) for f in found]


def test_the_frame_is_a_box_of_20_about_the_centre_of_mass() -> None:
    for index in range(10, 30):
        levels = frame_digit(photograph(drawn(index, 150), SCENES["scan"], np.random.default_rng(index)))[0].numpy()
        rows, columns = np.flatnonzero(levels.any(1)), np.flatnonzero(levels.any(0))
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        assert np.allclose(ndimage.center_of_mass(levels), 14, atol=0.51)
        assert levels.max() == 255


def test_a_framed_digit_comes_back_as_it_is() -> None:
    for index in range(40):
        grey = (255 * framed_by_definition(drawn(index, 320))).round().astype(np.uint8)
        assert np.array_equal(frame_digit(Image.fromarray(grey))[0].numpy(), grey)


def test_small_pictures_of_the_set_itself_are_found() -> None:
    """8x8 pixels, the digit touching top and bottom."""
    found = []
    for index in range(40):
        image = Image.fromarray((255 * DIGITS[index]).astype(np.uint8))
        found.append(likeness(frame_digit(image)[0].numpy(), framed_by_definition(drawn(index, 320))))
    assert np.mean(found) > 0.85


def test_the_polarity_does_not_matter() -> None:
    for index in range(10):
        image = photograph(drawn(index, 150), SCENES["scan"], np.random.default_rng(1)).convert("L")
        inverted = Image.fromarray(255 - np.asarray(image))
        assert likeness(frame_digit(image).numpy(), frame_digit(inverted).numpy()) > 0.99


def test_a_thin_pen_stroke_in_twelve_megapixels_is_as_white_as_any() -> None:
    image = Image.new("RGB", (4000, 3000), (240, 240, 235))
    ImageDraw.Draw(image).line([(3000, 500), (3250, 500), (3080, 900)], fill=(40, 40, 90), width=8)  # a seven
    levels = frame_digit(image)[0].numpy()
    rows = levels[levels.any(1)]
    assert len(rows) in (19, 20)
    assert rows.max(1).min() > 120
    assert rows.max(1).mean() > 190


def test_the_detached_bar_of_a_five_is_kept_and_a_far_blot_is_not() -> None:
    image = Image.new("L", (300, 300), 250)
    draw = ImageDraw.Draw(image)
    draw.line([(100, 100), (95, 150), (150, 170), (140, 215), (95, 220)], fill=20, width=12)
    draw.line([(115, 90), (165, 84)], fill=20, width=12)
    rows, columns = np.nonzero(np.asarray(image) < 100)
    ink = np.asarray(image)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] < 100
    draw.rectangle((250, 20, 262, 32), fill=20)
    assert likeness(frame_digit(image)[0].numpy(), framed_by_definition(ink)) > 0.9


def lit(centre: int, corner: int, noise: float) -> Image.Image:
    y, x = np.mgrid[-1:1:300j, -1:1:400j]
    plane = centre + (corner - centre) * (x * x + y * y) / 2
    return Image.fromarray((plane + np.random.default_rng(0).normal(0, noise, plane.shape)).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "blank",
    [lit(255, 255, 0), lit(0, 0, 0), *(lit(200, 200, noise) for noise in (1, 2, 3, 4, 8, 30)), lit(230, 120, 5)]
    + [Image.new("RGB", size, (9, 200, 90)) for size in ((1, 1), (28, 28), (1, 700), (700, 1))],
)
def test_a_blank_picture_holds_no_digit(blank: Image.Image) -> None:
    with pytest.raises(DataError, match="no digit found"):
        frame_digit(blank)


# ---- the parts, each against another implementation


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 1.0])
def test_components_are_those_of_a_flood(share: float) -> None:
    mask = np.random.default_rng(0).random((40, 50)) < share
    mine, theirs, count = _components(mask), np.zeros(mask.shape, int), 0
    for start in zip(*mask.nonzero(), strict=True):
        count += not theirs[start]
        waiting = [start] if not theirs[start] else []
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < 40 and 0 <= x < 50 and mask[y, x] and not theirs[y, x]:
                theirs[y, x] = count
                waiting += [(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    assert np.array_equal(mine > 0, mask)
    assert np.array_equal(np.unique(mine[mask]), np.arange(1, count + 1))
    pairs = np.unique(np.stack([mine.ravel(), theirs.ravel()]), axis=1).shape[1]
    assert pairs == len(np.unique(mine)) == len(np.unique(theirs))


def test_a_long_winding_line_is_one_component() -> None:
    mask = np.zeros((321, 320), bool)
    mask[::2] = mask[1::4, -1] = mask[3::4, 0] = True
    assert len(np.unique(_components(mask)[mask])) == 1


@pytest.mark.parametrize("width", [1, 2, 7, 12])
def test_the_opening_is_that_of_scipy(width: int) -> None:
    plane = np.random.default_rng(0).random((20, 26)).astype(np.float32)
    wide = np.pad(plane, 40, mode="edge")
    assert np.array_equal(_opening(plane, width), ndimage.grey_opening(wide, (width, width))[40:-40, 40:-40])


def test_otsu_leaves_the_least_variance_within() -> None:
    mixed = np.random.default_rng(0)
    values = np.concatenate([mixed.normal(20, 6, 3000), mixed.normal(90, 12, 400)]).astype(np.float32).reshape(34, 100)

    def within(threshold: float) -> float:
        return sum(part.size * part.var() for part in (values[values <= threshold], values[values > threshold]))

    best = min(within(t) for t in np.linspace(values.min(), values.max(), 500)[1:-1])
    assert within(_otsu(values)) == pytest.approx(best, rel=1e-3)
