"""A GIF written frame by frame, against the frames as PIL reads them back."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gipi.data.gif import write_gif

RNG = np.random.default_rng(0)
TABLE = RNG.integers(0, 256, (200, 3), np.uint8)


def frames(count=7, height=30, width=60):
    """A ground that stays, and a patch that moves over it."""
    ground = TABLE[RNG.integers(0, 200, (height, width))]
    pictures = []
    for number in range(count):
        picture = ground.copy()
        picture[number : number + 5, 2 * number : 2 * number + 6] = TABLE[RNG.integers(0, 200, (5, 6))]
        pictures.append(Image.fromarray(picture))
    return pictures


def read(path):
    """(pixels, milliseconds) of each frame."""
    with Image.open(path) as film:
        assert film.info["loop"] == 0
        for number in range(film.n_frames):
            film.seek(number)
            yield np.asarray(film.convert("RGB")), film.info["duration"]


def test_frames_come_back_as_they_were_and_only_what_changed_is_written(tmp_path):
    pictures = frames()
    pictures += [pictures[-1], pictures[0]]  # nothing changes, then much does
    write_gif(tmp_path / "a.gif", iter(pictures), [100] * 9, pictures[:1] + pictures[3:])
    back = list(read(tmp_path / "a.gif"))
    assert len(back) == 9
    for picture, (pixels, length) in zip(pictures, back, strict=True):
        assert np.array_equal(pixels, np.asarray(picture))
        assert length == 100
    write_gif(tmp_path / "still.gif", iter(pictures[:1] * 9), [100] * 9, pictures[:1])
    write_gif(tmp_path / "one.gif", iter(pictures[:1]), [100], pictures[:1])
    still, one = ((tmp_path / name).stat().st_size for name in ("still.gif", "one.gif"))
    assert still - one < 8 * 40


def test_time_that_a_gif_cannot_count_is_made_up_for(tmp_path):
    pictures = frames(25)
    write_gif(tmp_path / "a.gif", pictures, [200 / 3] * 24 + [2000], pictures)
    lengths = [length for _, length in read(tmp_path / "a.gif")]
    assert set(lengths[:24]) == {60, 70}
    assert sum(lengths) == round((24 * 200 / 3 + 2000) / 10) * 10
    assert lengths[24] == pytest.approx(2000, abs=10)


def test_the_commonest_colours_stay_and_others_are_near(tmp_path):
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    noise[:, :40] = TABLE[RNG.integers(0, 100, (64, 40))]
    picture = Image.fromarray(noise)
    write_gif(tmp_path / "a.gif", [picture], [100], [picture])
    [(pixels, _)] = read(tmp_path / "a.gif")
    assert np.array_equal(pixels[:, :40], noise[:, :40])
    off = np.linalg.norm(pixels[:, 40:].astype(int) - noise[:, 40:], axis=2)
    assert 0 < off.mean() < 40


def test_colours_of_which_the_sample_knew_nothing_become_the_nearest(tmp_path):
    black, grey = (Image.new("RGB", (4, 4), colour) for colour in ("#000000", "#101010"))
    white = Image.new("RGB", (4, 4), "#FFFFFF")
    write_gif(tmp_path / "a.gif", [black, grey, white], [50] * 3, [black, white])
    assert [int(pixels.max()) for pixels, _ in read(tmp_path / "a.gif")] == [0, 0, 255]


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(OSError):  # noqa: PT011
        write_gif(tmp_path / "none" / "a.gif", frames(1), [100], frames(1))
