"""The frames of a video, in and out, by PyAV, which is imported when it is needed: the extra "video"."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gipi.errors import ConfigError, DataError, DeviceError

OUT_SUFFIXES = (".mp4", ".mov", ".mkv")  # what H.264 is at home in
CODECS = ("libx264", "mpeg4")  # the first that this PyAV has
FINEST = 65_535  # ticks a second that the second of them knows
SOUND_S = 1.0  # by which sound may go on after the last frame


class Frame(NamedTuple):
    """pixels: uint8 (3, h, w), upright.  start, length: in ticks."""

    pixels: Tensor
    start: int | None
    length: int


class Video:
    """A video that is open. count: frames that its header promises, 0 if it promises none.  rate: frames a second, on average.

    steady: all frames last as long, and their times are not to be trusted: AVI.
    """

    def __init__(self, path: Path, container: Any, stream: Any) -> None:
        self.path, self.container, self.stream, self.count = path, container, stream, stream.frames
        self.rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self.steady = container.format.name == "avi"

    def frames(self) -> Iterator[Frame]:
        """All of them, in order. Raises DataError, naming the frame, where they break off."""
        av, number, end = _pyav(), 0, 0.0
        try:
            for packet in self.container.demux(self.stream):
                if packet.is_corrupt:
                    raise self._broken(number, "its data are cut off")
                number += packet.size > 0
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise self._broken(number, "its data are damaged")
                    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                    start = None if self.steady else frame.pts
                    yield Frame(pixels.rot90(frame.rotation // 90, (1, 2)), start, frame.duration or 0)
        except av.FFmpegError as error:
            raise self._broken(number, error.strerror) from error
        if not number or (number < self.count if self.steady else self._end() - end > self._slack()):
            raise self._broken(number, "the rest of the file is missing")

    def _slack(self) -> float:
        """Seconds by which the video may end before the file does."""
        return float(2 / self.rate) if len(self.container.streams) == 1 else SOUND_S

    def _end(self) -> float:
        """The second at which the header says that the last frame ends, 0 if it does not say."""
        if self.stream.duration:
            return float((self.stream.duration + (self.stream.start_time or 0)) * self.stream.time_base)
        return (self.container.duration or 0) / _pyav().time_base

    def _broken(self, number: int, why: str) -> DataError:
        mend = "get the whole of it, or cut it there with a video tool"
        return DataError(f"video {str(self.path)!r} breaks off after frame {number:,}: {why}; {mend}")


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise DeviceError("videos need PyAV, which is not installed: pip install 'gipi[video]'") from error
    return av


@contextmanager
def opened(source: Path) -> Iterator[Video]:
    """A video in a file. Raises DeviceError without PyAV, DataError for what is no video."""
    av = _pyav()
    try:
        container = av.open(str(source))
    except av.FFmpegError as error:
        raise DataError(f"video {str(source)!r} cannot be read: {error.strerror}; is it a complete video?") from error
    with container:
        if not container.streams.video:
            raise DataError(f"{str(source)!r} has no pictures in it, only sound or text")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield Video(source, container, stream)


@contextmanager
def written(out: Path, like: Video | Fraction, size: tuple[int, int]) -> Iterator[Callable[[Tensor, Frame], None]]:
    """A function that writes a picture uint8 (3, h, w) at the time of a frame of `like` into `out`, which is there once all are.

    like: frames a second, of a tick each, if there is no other video.  size: height and width, even.
    Raises ConfigError if it cannot be written, or is no .mp4, .mov or .mkv.
    """
    if out.suffix.lower() not in OUT_SUFFIXES:
        raise ConfigError(f"cannot write a video {out}: allowed are {', '.join(OUT_SUFFIXES)}")
    av, beside = _pyav(), out.with_name(f".{out.stem}.part{out.suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(beside), "w") as container:
            stream, write = _encoder(av, container, like, size)
            yield write
            container.mux(stream.encode())
        os.replace(beside, out)
    except (OSError, av.FFmpegError) as error:
        raise ConfigError(f"cannot write the video {out}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _encoder(
    av: Any, container: Any, like: Video | Fraction, size: tuple[int, int]
) -> tuple[Any, Callable[[Tensor, Frame], None]]:
    codec = next(name for name in CODECS if name in av.codecs_available)
    rate, ticks = (like.rate, like.stream.time_base) if isinstance(like, Video) else (like, 1 / like)
    stream = container.add_stream(codec, rate=rate)
    (stream.height, stream.width), stream.pix_fmt, context = size, "yuv420p", stream.codec_context
    context.time_base = ticks if codec == CODECS[0] or ticks.denominator <= FINEST else Fraction(1, FINEST)
    context.colorspace, context.color_range = 1, 1  # BT.709, values of 16 to 235: what players take for granted
    if isinstance(like, Video) and (ratio := like.stream.sample_aspect_ratio):
        context.sample_aspect_ratio = ratio if abs(size[0] - like.stream.height) <= 1 else 1 / ratio  # it was turned
    first, last = None, -1

    def write(pixels: Tensor, frame: Frame) -> None:
        nonlocal first, last
        length = frame.length or round(1 / (rate * ticks))
        start = last + length if frame.start is None else frame.start
        first = start if first is None else first
        new = av.VideoFrame.from_ndarray(pixels.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
        new = new.reformat(format="yuv420p", dst_colorspace="itu709")
        last = max(start - first, last + 1)  # each later than the one before
        new.pts, new.time_base, new.duration = last, ticks, length
        container.mux(stream.encode(new))

    return stream, write
