"""A model as the service has it: its name, its thread, its answers."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, TypeVar

import torch
from PIL import Image
from starlette.datastructures import State

from gipi import api
from gipi.errors import DataError
from gipi.web.batching import Line
from gipi.web.guard import Refusal
from gipi.web.settings import Settings

SMALL = 512 * 512  # pixels of a picture that the model's own thread decodes
LARGE = 1_000_000  # pixels after which memory is given back, so that the process does not grow with every large picture
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
T = TypeVar("T")
Answer = api.Captioning | api.Classification | api.Detection | api.Segmentation


@dataclass(frozen=True)
class Asked:
    """Options of a request; None is as the model does by itself. draw: a picture of the answer, too.

    score: of a detector, see `Detector.threshold`.  beam, best, temperature, seed: of a captioner, see `Speech`.
    """

    draw: bool = False
    score: float | None = None
    beam: int | None = None
    best: int | None = None
    temperature: float | None = None
    seed: int | None = None

    @property
    def way(self) -> tuple[float | None, ...]:
        """What pictures that are answered together must have in common."""
        return (self.score, self.beam, self.best, self.temperature, self.seed)


@dataclass(frozen=True, slots=True)
class Picture:
    """What waits for the model. framed: what its `frame` made of the picture, if that is done."""

    body: bytes
    asked: Asked
    framed: Any = None


def load_models(settings: Settings) -> dict[str, api.Loaded]:
    """By the names that clients call them by. Raises ConfigError, WeightsError and DeviceError."""
    place = api.decide_place(device="cpu", threads=max(1, torch.get_num_threads() // settings.workers))
    return {name: api.load(given, place=place) for name, given in settings.names().items()}


class Served:
    """model: used by one thread only, its own.  state: the app's, with `pool`, `budget` and `metrics`."""

    def __init__(self, name: str, model: api.Loaded, settings: Settings, state: State) -> None:
        self.name, self.model, self.kind = name, model, model.card.kind
        self._most, self._state = settings.max_pixels, state
        self._most_together = (state.budget.most - settings.max_body) // 3
        at_once = min(settings.max_batch, getattr(model, "at_once", 1))
        self._line = Line(name, self._together, settings, at_once, state.metrics)

    @contextmanager
    def room(self, bodies: Sequence[bytes]) -> Iterator[list[int]]:
        """Room in memory for the pixels of pictures while they are worked on; how many each has, by its own header.

        Nothing is decoded. Raises DataError for what is no picture, and Refusal for too large ones and where there is no room.
        """
        sizes = [self._pixels(body) for body in bodies]
        if sum(sizes) > self._most_together:
            told = f"the pictures have {sum(sizes):,} pixels together, allowed are {self._most_together:,}: send fewer at a time"
            raise Refusal(413, told)
        self._state.budget.take(3 * sum(sizes))
        try:
            yield sizes
        finally:
            self._state.budget.give(3 * sum(sizes))
            if sum(sizes) > LARGE:
                self._state.pool.submit(api.give_memory_back)

    async def answers(self, bodies: Sequence[bytes], sizes: Sequence[int], asked: Asked) -> list[Answer]:
        """Of pictures of so many pixels, each of which the model reads together with those of others.

        Raises DataError, ConfigError and Refusal.
        """
        pictures = [
            Picture(body, asked) if size <= SMALL else Picture(body, asked, await self.aside(partial(self._frame, body)))
            for body, size in zip(bodies, sizes, strict=True)
        ]
        return await self._line.put(pictures, asked.way)

    async def alone(self, work: Callable[[], T]) -> T:
        """What `work` gives on the model's thread, when its turn comes. Raises Refusal where there is no place for it."""
        return (await self._line.put([work]))[0]

    async def aside(self, work: Callable[[], T]) -> T:
        """What `work`, which does not need the model's thread, gives on one of a few others."""
        return await asyncio.get_running_loop().run_in_executor(self._state.pool, work)

    def _pixels(self, body: bytes) -> int:
        try:
            if body.startswith(PNG) and body.count(b"IHDR") == 1:  # most are small PNGs, of which Pillow would read all parts
                width, height = struct.unpack(">II", body[16:24])
            else:
                with Image.open(BytesIO(body), formats=api.FORMATS) as image:
                    width, height = image.size
        except Image.DecompressionBombError as error:
            raise Refusal(413, f"the picture is too large: allowed are {self._most:,} pixels") from error
        except Exception as error:  # hostile bytes make a decoder fail in any way it likes
            what = f"the picture ({len(body):,} bytes) is not a {', '.join(api.FORMATS)} file"
            raise DataError(f"{what}; convert it" if body else "the body is empty: send a picture") from error
        pixels = width * height
        if self.kind == "segment":  # which scales what is narrow up
            pixels = int(pixels * max(1.0, self.model.card.preprocess.short / max(1, min(width, height))) ** 2)
        if pixels > self._most:
            raise Refusal(413, f"the picture has {width} x {height} pixels, read as {pixels:,}; allowed are {self._most:,}")
        return pixels

    def warm(self) -> None:
        """Answer once, since a first time is slow. On the model's thread."""
        model, (channels, height, width) = self.model, self.model.card.image
        if isinstance(model, api.Generator):
            model.make(1)
        elif isinstance(model, api.Player):
            model.values(torch.zeros(1, channels, height, width))
        elif isinstance(model, api.Captioner):
            drawn = BytesIO()
            Image.new("RGB", (width, height)).save(drawn, "PNG")
            model.predict(drawn.getvalue())
        else:
            model.answer([torch.zeros(channels, height, width, dtype=torch.uint8)])

    def close(self) -> None:
        """Take no more work, and wait for what is at work: PyTorch aborts a process that ends while a thread computes."""
        self._line.close()
        self._line.join()

    def _together(self, works: Sequence[Any]) -> list[Any]:
        """On the model's thread: what comes of pictures that were asked for alike, or of one other work; errors are values."""
        if not isinstance(works[0], Picture):
            return [works[0]()]
        results: list[Any] = [self._frame(one.body) if one.framed is None else one.framed for one in works]
        good = [number for number, framed in enumerate(results) if not isinstance(framed, DataError)]
        if good:
            with self._asked(works[0].asked):
                answers = self.model.answer(  # pyright: ignore[reportAttributeAccessIssue]
                    [results[number] for number in good]
                )
            for number, answer in zip(good, answers, strict=True):
                results[number] = answer
        return results

    def _frame(self, body: bytes) -> Any:
        """What the model wants to see of a picture, or why that cannot be."""
        try:
            return self.model.frame(body)  # pyright: ignore[reportAttributeAccessIssue]
        except DataError as error:
            return error

    @contextmanager
    def _asked(self, asked: Asked) -> Iterator[None]:
        """The model as it is asked to answer; afterwards as it was. Raises ConfigError for what it cannot do."""
        model = self.model
        if isinstance(model, api.Detector):
            shown, score = model.shown, model.finder.score
            try:
                model.threshold(score=asked.score)
                yield
            finally:
                model.shown, model.finder.score = shown, score
        elif isinstance(model, api.Captioner):
            speech = model.speech
            try:
                model.speak(beam=asked.beam, best=asked.best, temperature=asked.temperature, seed=asked.seed)
                yield
            finally:
                model.speech = speech
        else:
            yield
