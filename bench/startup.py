"""What a user waits for and what it costs: help, list, one cold prediction, peak memory of an epoch of MNIST training."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, row, write

REPEATS = 7


def seconds(*words: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gipi", *words], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - start


def main() -> None:
    import gipi

    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "digit.png"
        digit = gipi.load_images("digits", "test").images[0, 0]
        from PIL import Image

        Image.fromarray(255 - digit.numpy()).resize((400, 400)).save(picture)
        waits = {
            "gipi --help": ("--help",),
            "gipi list": ("list",),
            "gipi train --help": ("train", "--help"),
            "gipi predict, one image, cold": ("predict", "deepconvnet-mnist", str(picture)),
        }
        rows = [row(name, [seconds(*words) for _ in range(REPEATS)], "s") for name, words in waits.items()]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        seconds("train", "deepconvnet-mnist", "--epochs", "1", "--out", str(Path(folder) / "run"))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        assert peak > before, "the training must be the largest child for its peak to be seen"
        rows.append(
            row(
                "peak memory of MNIST training",
                [peak / 2**20],
                "GiB",
                note="largest resident size of `gipi train --epochs 1`",
            )
        )
    write("startup", rows)


if __name__ == "__main__":
    main()
