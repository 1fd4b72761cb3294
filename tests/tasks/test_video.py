"""A video in, a video out."""

import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

pytest.importorskip("av")

from gipi.data import frames
from gipi.errors import ConfigError, DataError, DeviceError
from gipi.tasks.detection import Detection
from gipi.tasks.video import BoxFrames, MaskFrames, film, painter
from oracle.films import COLOURS, Bright, movie, watched

MODEL = Bright()
COLOURED = MaskFrames(MODEL)
PLAIN = MaskFrames(MODEL, lambda pixels, mask: pixels)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {}),
        ("a.mkv", {"rate": 25}),
        ("a.avi", {}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.mov", {"rate": Fraction(30000, 1001), "sound": True}),
    ],
)
def test_frames_size_and_rate_stay_and_sound_goes(name, how, tmp_path):
    source = movie(tmp_path / name, **how)
    told = []
    got = film(PLAIN, source, tmp_path / "out.mp4", echo=lambda *line: told.append(line))
    pixels, times, rate, names = watched(got.path)
    before, times_before, rate_before, _ = watched(source)
    assert len(pixels) == got.frames == told[-1][0] == 12
    assert pixels[0].shape == before[0].shape == (64, 96, 3)
    assert got.size == (96, 64)
    assert names == ["h264"]
    assert rate == rate_before
    if not name.endswith(".avi"):  # its times are not to be trusted
        assert times == pytest.approx([time - times_before[0] for time in times_before], abs=1e-3)
    assert np.abs(np.stack(pixels).astype(int) - np.stack(before)).mean() < 4
    assert got.json()["frames"] == 12
    assert [(area.name, round(area.share, 2)) for area in got.classes] == [("dark", 0.62), ("bright", 0.38)]
    assert got.frames_per_s > 0


def test_times_of_a_variable_rate_are_kept(tmp_path):
    pts = [0, 40, 400, 440, 480, 1200, 1240, 1500]
    source = movie(tmp_path / "a.mkv", frames=8, pts=pts)
    times = watched(film(PLAIN, source, tmp_path / "out.mkv").path)[1]
    assert times == pytest.approx([tick / 1000 for tick in pts], abs=2e-3)


def test_a_turned_video_is_read_and_written_upright(tmp_path):
    source = movie(tmp_path / "a.mp4", rotate=90)  # counter-clockwise: the left half is the lower one
    seen = []
    got = film(MaskFrames(MODEL, lambda pixels, mask: (seen.append(mask), pixels)[1]), source, tmp_path / "out.mp4")
    assert got.size == (64, 96)
    assert seen[0][72].float().mean() == pytest.approx(0.75, abs=0.05)
    assert seen[0][24].float().mean() < 0.05
    assert watched(got.path)[0][0].shape == (96, 64, 3)


def test_odd_sides_get_one_pixel_more(tmp_path):
    source = movie(tmp_path / "a.mkv", size=(75, 49), codec="mpeg4")
    got = film(PLAIN, source, tmp_path / "out.mp4")
    frame, before = watched(got.path)[0][0], watched(source)[0][0]
    assert got.size == (76, 50)
    assert np.abs(frame[:49, :75].astype(int) - before).mean() < 5
    assert np.abs(frame[49, :75].astype(int) - before[48]).mean() < 12


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.7, 0.9])
def test_cut_video_is_an_error_and_leaves_nothing(name, share, tmp_path):
    how = {"movflags": "faststart"} if name.endswith("mp4") else {}
    data = movie(tmp_path / name, frames=48, **how).read_bytes()
    cut = tmp_path / f"cut{name[1:]}"
    cut.write_bytes(data[: int(share * len(data))])
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match=r"breaks off after frame|cannot be read|no pictures"):
        film(COLOURED, cut, tmp_path / "new" / "out.mp4")
    assert list((tmp_path / "new").iterdir()) == []


def test_error_names_the_frame_where_it_breaks_off_and_what_was_there_before_stays(tmp_path):
    data = movie(tmp_path / "a.mkv", frames=48, g="4").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: int(0.8 * len(data))])
    out = tmp_path / "out.mp4"
    out.write_bytes(b"an older one")
    with pytest.raises(DataError, match=r"cut\.mkv' breaks off after frame [1-9]\d?: "):
        film(COLOURED, tmp_path / "cut.mkv", out)
    assert out.read_bytes() == b"an older one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "cut.mkv", "out.mp4"]


def test_stop_in_the_middle_leaves_nothing(tmp_path):
    def stop(pixels, mask):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        film(MaskFrames(MODEL, stop), movie(tmp_path / "a.mp4"), tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("content", [b"", b"not a video" * 1000])
def test_no_video(content, tmp_path):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4' cannot be read"):
        film(COLOURED, tmp_path / "a.mp4", tmp_path / "out.mp4")
    with pytest.raises(DataError, match=r"b\.mp4' cannot be read: No such file"):
        film(COLOURED, tmp_path / "b.mp4", tmp_path / "out.mp4")


def test_out_must_be_another_file_of_a_kind_that_holds_h264(tmp_path):
    source = movie(tmp_path / "a.mp4")
    before = source.read_bytes()
    with pytest.raises(ConfigError, match=r"out\.webm: allowed are \.mp4, \.mov, \.mkv"):
        film(COLOURED, source, tmp_path / "out.webm")
    with pytest.raises(ConfigError, match="is the video itself"):
        film(COLOURED, source, source)
    with pytest.raises(ConfigError, match="cannot write the video"):
        film(COLOURED, source, source / "out.mp4")
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_without_pyav_the_message_says_what_to_install(tmp_path, monkeypatch):
    source = movie(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DeviceError, match=r"pip install 'gipi\[video\]'"):
        film(COLOURED, source, tmp_path / "out.mp4")


def test_mpeg4_is_written_where_there_is_no_libx264(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "CODECS", ("no such", "mpeg4"))
    got = film(PLAIN, movie(tmp_path / "a.mp4", rate=Fraction(30000, 1001)), tmp_path / "out.mp4")
    pixels, times, _, names = watched(got.path)
    assert names == ["mpeg4"]
    assert len(pixels) == 12
    assert times[-1] == pytest.approx(11 * 1001 / 30000, abs=2e-3)


def test_painter_lays_colours_over_and_names_at_the_lower_edge():
    paint, pixels = painter(MODEL.card, (200, 300)), torch.zeros(3, 200, 300, dtype=torch.uint8)
    mask = torch.zeros(200, 300, dtype=torch.uint8)
    mask[:, 150:] = 1
    got = paint(pixels, mask)
    for column, colour in ((10, COLOURS[0]), (290, COLOURS[1])):
        assert got[:, 50, column].tolist() == [part // 2 for part in colour]
    strip = got[:, -15:].flatten(1).T.tolist()
    assert all(list(colour) in strip for colour in COLOURS)
    assert [255, 255, 255] in strip
    assert not pixels.any()


def test_small_frames_go_without_names():
    got = painter(MODEL.card, (30, 30))(torch.zeros(3, 30, 30, dtype=torch.uint8), torch.ones(30, 30, dtype=torch.uint8))
    assert got.eq(torch.tensor([part // 2 for part in COLOURS[1]])[:, None, None]).all()


class Finder:
    """The signature of a Detector: a box of class 1 over the left half of each frame, of class 0 over the right one of the first."""

    card = replace(MODEL.card, kind="detect", classes=("cat", "dog", "cow"), colours=())

    def __init__(self):
        self.seen = 0

    def answer(self, framed):
        answers = []
        for pixels in framed:
            _, height, width = pixels.shape
            boxes = torch.tensor([[0.0, 0, width / 2, height], [width / 2, 0, width, height]])[: 2 if self.seen == 0 else 1]
            labels, scores = torch.tensor([1, 0])[: len(boxes)], torch.tensor([0.9, 0.8])[: len(boxes)]
            answers.append(Detection(self.card.classes, pixels, boxes, scores, labels))
            self.seen += 1
        return answers


def test_boxes_are_drawn_over_frames_and_counted(tmp_path):
    source = movie(tmp_path / "a.mp4")
    got = film(BoxFrames(Finder()), source, tmp_path / "out.mp4")
    assert got.json()["classes"] == [
        {"name": "dog", "boxes": 12, "per_frame": 1.0},
        {"name": "cat", "boxes": 1, "per_frame": 1 / 12},
    ]
    assert [str(one) for one in got.classes] == ["dog (1.0 a frame)", "cat (0.1 a frame)"]
    frames, before = watched(got.path)[0], watched(source)[0]
    assert len(frames) == 12
    assert np.abs(frames[5][30:60, 4:44].astype(int) - before[5][30:60, 4:44]).mean() < 6  # inside the box
    strip = frames[5][:17].reshape(-1, 3).astype(int)  # the label
    assert (np.abs(strip - (0, 128, 0)).max(1) < 60).sum() > 300


def test_a_film_without_boxes_has_no_classes(tmp_path):
    class Blind(Finder):
        def answer(self, framed):
            none = torch.zeros(0, dtype=torch.int64)
            return [Detection(self.card.classes, pixels, torch.zeros(0, 4), torch.zeros(0), none) for pixels in framed]

    got = film(BoxFrames(Blind()), movie(tmp_path / "a.mp4"), tmp_path / "out.mp4")
    assert got.classes == ()
    assert got.frames == 12
