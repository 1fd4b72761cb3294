"""Small videos on disk, and a model that answers by brightness."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from gipi.model import Card
from gipi.preprocess import Preprocess

COLOURS = ((250, 0, 0), (0, 0, 250))


class Bright:
    """The signature of a Segmenter: class 1 where the red of a pixel is above 100, else class 0."""

    card = Card("segment", "none", {}, ("dark", "bright"), Preprocess((3, 64, 96), "whole"), colours=COLOURS)

    def masks(self, pixels):
        return (pixels[:, 0] > 100).to(pixels.dtype)


def movie(
    path: Path,
    *,
    frames=12,
    size=(96, 64),
    rate: int | Fraction = 8,
    codec="libx264",
    rotate=0,
    pts=None,
    sound=False,
    **options: str,
) -> Path:
    """The left half is bright, the upper quarter dark. pts: of each frame, in ticks of 1 / 1000 s."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        if rotate:
            stream.set_display_rotation(rotate)
        if sound:
            audio = container.add_stream("aac", rate=8000, layout="mono")
        if pts:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            pixels = np.zeros((size[1], size[0], 3), np.uint8)
            pixels[:, : size[0] // 2] = 220
            pixels[: size[1] // 4] = 20
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if pts:
                frame.pts, frame.time_base = pts[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        if sound:
            wave = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), format="fltp", layout="mono")
            wave.sample_rate, wave.pts = 8000, 0
            container.mux(audio.encode(wave))
            container.mux(audio.encode())
        container.mux(stream.encode())
    return path


def watched(path: Path):
    """(frames as arrays, their times in seconds, the stream's rate, names of all streams' codecs)"""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate, names = stream.average_rate, [one.codec_context.name for one in container.streams]
        frames = list(container.decode(stream))
    return [f.to_ndarray(format="rgb24") for f in frames], [float(f.pts * f.time_base) for f in frames], rate, names
