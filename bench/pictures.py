"""How fast photographs become small copies of 256 pixels: by `copies`, cold and warm, and by plain Pillow in one thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from common import row, write
from gipi.data.entry import Entry
from gipi.data.pictures import copies

COUNT = 400
LARGE = 12
SHORT = 256
REPEATS = 5


def photographs(folder: Path, size: tuple[int, int], count: int) -> list[Entry]:
    """JPEGs of quality 90 with the smooth surfaces and the fine grain of photographs, from seeds."""
    folder.mkdir()
    entries = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        grain = random.normal(0, 4, (size[1], size[0], 1))
        picture = Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8))
        path = folder / f"{seed}.jpg"
        picture.save(path, quality=90)
        entries.append(Entry(path, 0, "", path.name))
    return entries


def plain_pillow(entries: list[Entry]) -> None:
    """One thread: open, convert, scale the shorter side, cut out the middle."""
    for entry in entries:
        image = Image.open(BytesIO(entry.path.read_bytes())).convert("RGB")
        side = min(image.size)
        image = image.resize((SHORT * image.width // side, SHORT * image.height // side), Image.Resampling.BILINEAR)
        left, top = (image.width - SHORT) // 2, (image.height - SHORT) // 2
        np.asarray(image.crop((left, top, left + SHORT, top + SHORT)))


def rates(entries: list[Entry], call: Callable[[int], object]) -> list[float]:
    """Pictures a second of `call(repeat)`."""
    seconds = []
    for repeat in range(REPEATS):
        start = time.perf_counter()
        call(repeat)
        seconds.append(time.perf_counter() - start)
    return [len(entries) / each for each in seconds]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = photographs(folder / "small", (500, 375), COUNT)
        large = photographs(folder / "large", (4000, 3000), LARGE)
        rows = [
            row(
                "copies of 500x375, cold",
                rates(small, lambda n: copies(small, short=SHORT, folder=folder / f"small{n}")),
                "images/s",
                note="target 400 on 2 cores",
            ),
            row(
                "copies of 500x375, warm",
                rates(small, lambda _: copies(small, short=SHORT, folder=folder / "small0")),
                "images/s",
            ),
            row("plain Pillow, one thread, 500x375", rates(small, lambda _: plain_pillow(small)), "images/s"),
            row(
                "copies of 4000x3000, cold",
                rates(large, lambda n: copies(large, short=SHORT, folder=folder / f"large{n}")),
                "images/s",
            ),
            row("plain Pillow, one thread, 4000x3000", rates(large, lambda _: plain_pillow(large)), "images/s"),
        ]
    write("pictures", rows)


if __name__ == "__main__":
    main()
