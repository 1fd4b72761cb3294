"""Each change of a training image is what it is called: read off images whose pixels say where they came from, or done again by hand."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from gipi.config import AugmentConfig
from gipi.errors import ConfigError
from gipi.ops import augment as module
from gipi.ops.augment import ASPECT, ERASED, augment, beta_quantile, mix
from gipi.ops.random import uniforms
from gipi.ops.warp import CELLS, KNOTS, bend, moves, sample
from oracle.changes import EACH

MANY = torch.arange(2000)
ALL = AugmentConfig(**EACH)
alone = pytest.mark.parametrize(
    "change", [AugmentConfig(**{name: size}) for name, size in EACH.items()] + [ALL], ids=[*EACH, "all"]
)


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def uniform(values: Tensor | np.ndarray, low: float, high: float) -> bool:
    """Whether numbers may have been drawn evenly between the two."""
    return stats.kstest(np.asarray(values, dtype=np.float64), stats.uniform(low, high - low).cdf).pvalue > 1e-3


# ---- the moves of augment, read off images that hold their own pixels' places


def sources(change: AugmentConfig, height: int, width: int, index: Tensor = MANY) -> Tensor:
    """Where each pixel of each augmented image comes from, (n, 2, h, w): right and down from the centre; wrong at the edges."""
    right, down = torch.arange(width) - (width - 1) / 2, torch.arange(height) - (height - 1) / 2
    places = torch.stack([right.expand(height, width), down.unsqueeze(1).expand(height, width)])
    return augment(places.expand(len(index), 2, height, width), change, 3, 1, index)


def read_off(change: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Matrices A (n, 2, 2) and places t (n, 2): a pixel at p of the result is from A p + t."""
    at = sources(change, 25, 41)
    centre, right, below = at[..., 12, 20], at[..., 12, 21], at[..., 13, 20]
    return torch.stack([right - centre, below - centre], 2), centre


def matrix(a: Tensor | float, b: Tensor | float, c: Tensor | float, d: Tensor | float) -> Tensor:
    rows = torch.broadcast_tensors(*(torch.as_tensor(part, dtype=torch.float32) for part in (a, b, c, d)))
    return torch.stack(rows, -1).unflatten(-1, (2, 2))


def test_turns_are_turns_by_any_angle_allowed() -> None:
    back, at = read_off(AugmentConfig(rotate_deg=30))
    angle = torch.atan2(back[:, 1, 0], back[:, 0, 0])
    assert torch.allclose(back, matrix(angle.cos(), -angle.sin(), angle.sin(), angle.cos()), atol=1e-4)
    assert at.abs().max() < 1e-4
    assert uniform(angle.rad2deg(), -30, 30)


def test_shifts_go_anywhere_allowed() -> None:
    back, at = read_off(AugmentConfig(shift_px=3, scale=1e-9))  # a shift alone goes by whole pixels
    assert torch.allclose(back, torch.eye(2), atol=1e-4)
    assert uniform(at[:, 0], -3, 3)
    assert uniform(at[:, 1], -3, 3)
    assert abs(np.corrcoef(at.T.numpy())[0, 1]) < 0.1


def test_zooms_enlarge_and_shrink_both_ways_alike() -> None:
    back, at = read_off(AugmentConfig(scale=0.3))
    assert torch.allclose(back, back[:, :1, :1] * torch.eye(2), atol=1e-4)
    assert at.abs().max() < 1e-4
    assert uniform(1 / back[:, 0, 0], 0.7, 1.3)


def test_slants_lean_by_any_angle_allowed() -> None:
    back, at = read_off(AugmentConfig(shear_deg=20))
    assert torch.allclose(back, matrix(1, back[:, 0, 1], 0, 1), atol=1e-4)
    assert at.abs().max() < 1e-4
    assert uniform(-back[:, 0, 1].atan().rad2deg(), -20, 20)


@pytest.mark.parametrize("flip", [0.3, 1.0])
def test_flips_mirror_their_share_exactly(flip: float) -> None:
    back, at = read_off(AugmentConfig(flip=flip))
    mirrored = back[:, 0, 0] < 0
    assert torch.allclose(back, matrix(1 - 2 * mirrored.float(), 0, 0, 1), atol=1e-4)
    assert at.abs().max() < 1e-4
    assert stats.binomtest(int(mirrored.sum()), len(MANY), flip).pvalue > 1e-3
    images = noise(4, 3, 12, 15) * 255
    if flip == 1:
        assert torch.allclose(augment(images, AugmentConfig(flip=1), 0, 0, torch.arange(4)), images.flip(3), atol=1e-2)


@pytest.mark.parametrize("crop", [0.2, 0.6])
def test_a_crop_enlarges_a_window_of_any_size_allowed_anywhere_inside(crop: float) -> None:
    back, at = read_off(AugmentConfig(crop=crop))
    kept = back[:, 0, 0]
    assert torch.allclose(back, kept.view(-1, 1, 1) * torch.eye(2), atol=1e-4)
    assert uniform(kept, 1 - crop, 1)
    for side, centre in ((41, at[:, 0]), (25, at[:, 1])):
        first, last = centre - kept * side / 2, centre + kept * side / 2  # the window's edges
        assert first.min() >= -side / 2 - 1e-3
        assert last.max() <= side / 2 + 1e-3
        cut = 1 - kept > 0.02
        assert uniform((first + side / 2)[cut] / (side * (1 - kept[cut])), 0, 1)


def test_a_crop_is_of_the_same_place_whatever_the_zoom() -> None:
    _, at = read_off(AugmentConfig(crop=0.6))
    back, zoomed_at = read_off(AugmentConfig(crop=0.6, scale=0.3))
    assert torch.allclose(zoomed_at, at, atol=1e-3)
    assert back[:, 0, 0].min() < 0.35 < 1.3 < back[:, 0, 0].max(), "both at once"


def test_a_bend_moves_pixels_smoothly_and_no_further_than_allowed() -> None:
    height, width, far = 40, 56, 2.5
    bent = sources(AugmentConfig(elastic_px=far), height, width, MANY[:300])
    straight = sources(AugmentConfig(), height, width, MANY[:300])
    way = (bent - straight)[..., 4:-4, 4:-4]
    assert way.abs().max() <= far + 1e-3
    assert way.abs().amax((1, 2, 3)).median() > far / 3, "it bends at all"
    assert way.std((2, 3)).median() > far / 10, "and does not only shift"
    assert way.diff(dim=3).abs().max() <= 2 * far * CELLS / width + 1e-3, "by the steepest spline between -1 and 1"
    assert way.diff(dim=2).abs().max() <= 2 * far * CELLS / height + 1e-3
    assert way.mean((0, 2, 3)).abs().max() < far / 20, "no side is preferred"
    assert abs(np.corrcoef(way[:, 0, 16, 24], way[:, 1, 16, 24])[0, 1]) < 0.25, "right and down are independent"


def test_every_number_of_a_sample_has_one_use_and_keeps_it() -> None:
    names = "ANGLE RIGHT DOWN ZOOM SLANT CUT CUT_X CUT_Y MIRROR LIGHT CONTRAST"
    more = "ERASE ERASE_AREA ERASE_ASPECT ERASE_X ERASE_Y ERASE_GREY BLEND BLEND_X BLEND_Y GRID"
    assert [getattr(module, name) for name in f"{names} {more}".split()] == list(range(21))
    assert module.SATURATION == module.GRID + 2 * KNOTS**2 == 118, "right behind the grid's"


def test_older_recipes_keep_their_numbers() -> None:
    """Turn, shift and zoom take the first four numbers of a sample, whatever comes to be drawn after them."""
    images, index = noise(20, 1, 28, 28) * 255, torch.arange(20)
    draw = uniforms(3, 1, index, 4) * 2 - 1
    grid = moves(
        (28, 28),
        (28, 28),
        angle_deg=draw[:, 0] * 10,
        shear_deg=torch.zeros(20),
        scale=1 + draw[:, 3] * 0.1,
        shift_px=draw[:, 1:3] * 2.5,
        mirror=torch.zeros(20, dtype=torch.bool),
    )
    assert torch.equal(augment(images, AugmentConfig(10, 2.5, 0.1), 3, 1, index), sample(images, grid))


def test_older_bent_recipes_keep_their_numbers() -> None:
    """The grid takes 98 numbers behind the first 20, whatever comes to be drawn after them; light the 10th and the 11th."""
    images, index, none = noise(20, 3, 28, 30) * 255, torch.arange(20), torch.zeros(20)
    draw = uniforms(3, 1, index, 20 + 98)
    field = bend(draw[:, 20:], 28, 30) * 2.5
    grid = moves(
        (28, 30),
        (28, 30),
        angle_deg=none,
        shear_deg=none,
        scale=none + 1,
        shift_px=torch.zeros(20, 2),
        mirror=none > 0,
        bend_px=field,
    )
    expected = sample(images, grid)
    assert torch.equal(augment(images, AugmentConfig(elastic_px=2.5), 3, 1, index), expected)
    light, contrast = (1 + (draw[:, column] * 2 - 1).view(-1, 1, 1, 1) * 0.3 for column in (9, 10))
    mean = expected.mean((1, 2, 3), keepdim=True)
    lit = ((mean + (expected - mean) * contrast) * light).clamp(0, 255)
    assert torch.equal(augment(images, AugmentConfig(elastic_px=2.5, brightness=0.3, contrast=0.3), 3, 1, index), lit)


# ---- light


def test_brightness_is_a_factor_and_contrast_spreads_about_the_mean() -> None:
    images = 100 + 50 * noise(2000, 3, 4, 5)
    factor = augment(images, AugmentConfig(brightness=0.3), 3, 1, MANY) / images
    assert torch.allclose(factor, factor[:, :1, :1, :1].expand_as(factor), rtol=1e-5)
    assert uniform(factor[:, 0, 0, 0], 0.7, 1.3)
    mean = images.mean((1, 2, 3), keepdim=True)
    spread = augment(images, AugmentConfig(contrast=0.3), 3, 1, MANY)
    assert torch.allclose(spread.mean((1, 2, 3), keepdim=True), mean, rtol=1e-5)
    share = ((spread - mean) * (images - mean)).sum((1, 2, 3)) / (images - mean).square().sum((1, 2, 3))
    assert torch.allclose(spread, mean + (images - mean) * share.view(-1, 1, 1, 1), atol=1e-2)
    assert uniform(share, 0.7, 1.3)


def test_light_by_hand() -> None:
    images, index = noise(8, 3, 4, 5) * 255, torch.arange(8)
    draw = uniforms(3, 1, index, module.GRID).double().numpy() * 2 - 1
    result = augment(images, AugmentConfig(brightness=1.0, contrast=0.8), 3, 1, index).numpy()
    clipped = 0
    for image, got, numbers in zip(images.double().numpy(), result, draw, strict=True):
        light, contrast = 1 + numbers[module.LIGHT], 1 + 0.8 * numbers[module.CONTRAST]
        expected = (image.mean() + (image - image.mean()) * contrast) * light
        assert np.allclose(got, expected.clip(0, 255), atol=1e-3)
        clipped += (expected.clip(0, 255) != expected).sum()
    assert clipped > 0


def test_saturation_by_hand() -> None:
    """0 of it is grey as ITU-R BT.601 has it, 1 the image itself; then contrast and brightness."""
    images, index = noise(8, 3, 4, 5) * 255, torch.arange(8)
    draw = uniforms(3, 1, index, 119).double().numpy() * 2 - 1
    result = augment(images, AugmentConfig(saturation=0.9), 3, 1, index).numpy()
    all_light = augment(images, AugmentConfig(saturation=0.9, brightness=0.2, contrast=0.8), 3, 1, index).numpy()
    clipped = 0
    for image, got, lit, numbers in zip(images.double().numpy(), result, all_light, draw, strict=True):
        grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        share = 1 + 0.9 * numbers[118]
        expected = share * image + (1 - share) * grey
        assert np.allclose(got, expected.clip(0, 255), atol=1e-3)
        clipped += (expected.clip(0, 255) != expected).sum()
        again = (expected.mean() + (expected - expected.mean()) * (1 + 0.8 * numbers[10])) * (1 + 0.2 * numbers[9])
        assert np.allclose(lit, again.clip(0, 255), atol=1e-3)
    assert clipped > 0


def test_saturation_goes_anywhere_allowed_and_leaves_grey_alone() -> None:
    images = 100 + 50 * noise(2000, 3, 2, 2)
    change = AugmentConfig(saturation=0.5)
    pure = augment(images, change, 3, 1, MANY)
    assert uniform((pure[:, 0] - pure[:, 1])[:, 0, 0] / (images[:, 0] - images[:, 1])[:, 0, 0], 0.5, 1.5)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(augment(grey, change, 3, 1, MANY), grey, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 4])
def test_saturation_of_images_without_colours_is_refused(channels: int) -> None:
    with pytest.raises(ConfigError, match=f"saturation 0.5 needs colour images, of 3 channels, got {channels}: set it to 0"):
        augment(noise(2, channels, 4, 5), AugmentConfig(saturation=0.5), 3, 1, torch.arange(2))


# ---- erasing


def test_erasing_lays_one_grey_rectangle_over_its_share_of_the_images() -> None:
    count, height, width, share = 400, 120, 180, 0.4
    images = torch.full((1, 2, 1, 1), 300.0).expand(count, 2, height, width)  # no grey is 300
    result = augment(images, AugmentConfig(erase=share), 3, 1, MANY[:count])
    erased = (result != 300).all(1)
    assert torch.equal(erased, (result != 300).any(1))
    chosen = erased.any((1, 2))
    assert stats.binomtest(int(chosen.sum()), count, share).pvalue > 1e-3
    result, erased = result[chosen], erased[chosen]
    rows, columns = erased.any(2), erased.any(1)
    assert torch.equal(erased, rows.unsqueeze(2) & columns.unsqueeze(1))
    for line in (rows, columns):  # without gaps: on and off once at most
        assert (line.int().diff().abs().sum(1) <= 2).all()
    tall, wide = rows.sum(1) / height, columns.sum(1) / width
    pixel = 1 / height
    assert uniform(tall * wide, *ERASED)
    assert ((tall * wide > ERASED[0] - 2 * pixel * (tall + wide)) & (tall * wide < ERASED[1] + 2 * pixel * (tall + wide))).all()
    whole = tall < 1  # else it was cut to the image
    assert ((tall / wide)[whole] > ASPECT[0] * 0.8).all()
    assert ((tall / wide)[whole] < ASPECT[1] * 1.2).all()
    first = result.masked_fill(~erased.unsqueeze(1), -1).amax((1, 2, 3))
    assert ((result == first.view(-1, 1, 1, 1)) == erased.unsqueeze(1)).all()
    assert uniform(first, 0, 255)
    place = columns.int().argmax(1) / width / (1 - wide)
    assert uniform(place[wide < 0.8], 0, 1), "it lies anywhere inside"


# ---- the address


@alone
@pytest.mark.parametrize("channels", [1, 3])
def test_a_change_is_a_function_of_seed_epoch_and_index(change: AugmentConfig, channels: int) -> None:
    if channels == 1 and change.saturation:
        pytest.skip("grey has no saturation")
    images, index = noise(20, channels, 20, 27) * 255, torch.arange(20) * 7
    once = augment(images, change, 3, 1, index)
    assert (once.shape, once.dtype) == (images.shape, images.dtype)
    assert once.isfinite().all()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(5))
    assert torch.equal(augment(images[order], change, 3, 1, index[order]), once[order])
    assert torch.equal(augment(images[4:5], change, 3, 1, index[4:5]), once[4:5])
    for other in ((4, 1, index), (3, 2, index), (3, 1, index + 1)):
        assert not torch.allclose(augment(images, change, *other), once, atol=1)
    assert not torch.allclose(once, images, atol=1)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
@alone
def test_the_memory_format_stays(change: AugmentConfig, layout: torch.memory_format) -> None:
    images = noise(6, 3, 8, 9).contiguous(memory_format=layout)
    assert augment(images, change, 0, 0, torch.arange(6)).is_contiguous(memory_format=layout)
    for mixing in (AugmentConfig(mixup=1.0), AugmentConfig(cutmix=1.0)):
        assert mix(images, mixing, 0, 0, torch.arange(6))[0].is_contiguous(memory_format=layout)


def test_no_change_gives_the_images_themselves() -> None:
    images = noise(3, 1, 5, 6)
    assert augment(images, AugmentConfig(), 0, 0, torch.arange(3)) is images
    for mixing in (AugmentConfig(mixup=1.0), AugmentConfig(cutmix=1.0)):  # mixing is not of one image alone
        assert torch.equal(augment(images, mixing, 0, 0, torch.arange(3)), images)


def test_no_field_of_the_configuration_is_forgotten() -> None:
    assert {field.name for field in fields(AugmentConfig)} == {*EACH, "mixup", "cutmix"}


# ---- mixing


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_mixup_blends_each_image_with_the_next_by_a_share_of_the_beta_distribution(alpha: float) -> None:
    images = noise(2000, 2, 2, 3)
    mixed, own = mix(images, AugmentConfig(mixup=alpha), 3, 1, MANY)
    weight = own.view(-1, 1, 1, 1)
    following = torch.cat([images[1:], images[:1]])
    assert torch.allclose(mixed, weight * images + (1 - weight) * following, atol=1e-6)
    assert stats.kstest(own.double().numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    assert own.mean().item() == pytest.approx(0.5, abs=0.03)
    assert own.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
    again, same = mix(images[:7], AugmentConfig(mixup=alpha), 3, 1, MANY[:7])
    assert torch.equal(same, own[:7])
    assert torch.equal(again[:6], mixed[:6]), "all but the last, whose partner is another"


def test_cutmix_puts_in_a_box_of_the_next_image() -> None:
    images, change = noise(300, 3, 21, 30), AugmentConfig(cutmix=1.0)
    mixed, own = mix(images, change, 3, 1, MANY[:300])
    following = torch.cat([images[1:], images[:1]])
    theirs = (mixed == following).all(1)
    assert torch.equal(mixed, torch.where(theirs.unsqueeze(1), following, images))
    assert torch.equal(theirs, theirs.any(2).unsqueeze(2) & theirs.any(1).unsqueeze(1)), "a box"
    assert torch.allclose(theirs.float().mean((1, 2)), 1 - own, atol=1e-6)
    assert own.min() >= 0
    assert own.max() <= 1
    draw = uniforms(3, 1, MANY[:300], module.GRID).double().numpy()
    side = np.sqrt(1 - stats.beta(1, 1).ppf(draw[:, module.BLEND]))
    for box, half, x, y in zip(theirs, side / 2, draw[:, module.BLEND_X], draw[:, module.BLEND_Y], strict=True):
        rows = [abs((row + 0.5) / 21 - y) < half for row in range(21)]
        columns = [abs((column + 0.5) / 30 - x) < half for column in range(30)]
        assert np.array_equal(box, np.outer(rows, columns))


def test_a_new_epoch_mixes_anew() -> None:
    images = noise(50, 1, 8, 8)
    for change in (AugmentConfig(mixup=1.0), AugmentConfig(cutmix=1.0)):
        shares = [mix(images, change, *address, MANY[:50])[1] for address in ((0, 0), (0, 1), (1, 0))]
        assert not any(torch.equal(shares[i], shares[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 100), st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5))
def test_a_beta_quantile_lies_between_the_exact_ones_around_it(alpha: float, shares: list[float]) -> None:
    got = beta_quantile(alpha, torch.tensor(shares)).double().numpy()
    exact = stats.beta(alpha, alpha)
    cell = np.floor(np.array(shares) * 1024)
    assert (got >= exact.ppf(cell / 1024) - 1e-6).all()
    assert (got <= exact.ppf(np.minimum(cell + 1, 1024) / 1024) + 1e-6).all()
    assert beta_quantile(alpha, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])).tolist() == pytest.approx(
        exact.ppf([0, 0.25, 0.5, 0.75, 1]), abs=1e-6
    )


@pytest.mark.gpu
@pytest.mark.parametrize("mixing", [{"mixup": 0.4}, {"cutmix": 1.0}], ids=str)
def test_a_gpu_gives_nearly_the_same(mixing: dict[str, float]) -> None:
    images, index, change = noise(50, 3, 28, 30) * 255, torch.arange(50), replace(ALL, erase=0.0, **mixing)
    here, there = (augment(images.to(device), change, 3, 1, index.to(device)) for device in ("cpu", "cuda"))
    assert torch.allclose(there.cpu(), here, atol=0.1)
    (here, own), (there, theirs) = (mix(images.to(device), change, 3, 1, index.to(device)) for device in ("cpu", "cuda"))
    assert torch.allclose(theirs.cpu(), own, atol=1e-6)
    assert torch.allclose(there.cpu(), here, atol=1e-3)


# --- larger images, of which a part is seen


def windows(change: AugmentConfig, whole: tuple[int, int] = (30, 41), size: tuple[int, int] = (20, 25)) -> Tensor:
    """Where each pixel of the result comes from, in pixels (right, down) from the corner of the whole: (n, 2, *size)."""
    right, down = torch.arange(whole[1]).float(), torch.arange(whole[0]).float()
    places = torch.stack([right.expand(whole), down.unsqueeze(1).expand(whole)])
    return augment(places.expand(len(MANY), 2, *whole), change, 3, 1, MANY, size)


def test_nothing_to_change_shows_the_middle() -> None:
    images = noise(3, 2, 30, 41)
    assert torch.equal(augment(images, AugmentConfig(), 0, 0, torch.arange(3), (20, 25)), images[:, :, 5:25, 8:33])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_window_lies_anywhere_and_on_whole_pixels(flip: float) -> None:
    change = AugmentConfig(flip=flip, brightness=0 if flip else 1e-9)
    at = windows(change)
    corner = at[:, :, 0, -1 if flip else 0]
    assert torch.allclose(corner, corner.round(), atol=1e-3)
    across, down = corner.round().int().T
    assert set(across.tolist()) == set(range(41 - 25 + 1))
    assert set(down.tolist()) == set(range(30 - 20 + 1))
    step = at[:, 0, 0, 1] - at[:, 0, 0, 0]
    assert torch.allclose(step, torch.tensor(-1.0 if flip else 1.0), atol=1e-3)
    counts = np.bincount(across.numpy())
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_crop_sees_its_share_of_the_whole() -> None:
    at = windows(AugmentConfig(crop=0.5))
    wide = (at[:, 0, 10, 13] - at[:, 0, 10, 12]) * 25
    tall = (at[:, 1, 11, 12] - at[:, 1, 10, 12]) * 20
    assert uniform(tall / 30, 0.5, 1.0)  # the height is what there is less of
    assert torch.allclose(wide / 25, tall / 20, atol=1e-3)  # and shapes keep their proportions


def test_shifts_alone_move_by_whole_pixels_and_blur_nothing() -> None:
    images = (noise(50, 1, 12, 15) * 255).round()
    result = augment(images, AugmentConfig(shift_px=2, flip=0.5), 3, 1, torch.arange(50))
    kept = set(images.flatten().tolist()) | {0.0}
    assert all(min(abs(value - other) for other in kept) < 0.02 for value in result.flatten()[:200].tolist())
    assert not torch.equal(result, images)
