"""Frames/s of SegNet on the CPU, CamVid's 480x360 padded to 480x384: python bench/segment_inference.py [MODEL].

Every contender runs in its own process, with as many threads; they take turns, batch by batch. "plain" is PyTorch with nothing
of ours. The weights are random, which speed does not depend on. MODEL is a trained net whose answers on some of CamVid's test
images, at the size that it was trained for, are compared with plain PyTorch's: random weights do not tell, as their logits are
near ties.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from common import row, write
from gipi.engine.place import decide_place
from gipi.engine.winograd import winograd
from gipi.inspect.layers import layer_table
from gipi.models.kinds import build_net
from gipi.tasks.masks import load_masks
from gipi.tasks.segmenter import Segmenter

REPEATS = 7
IMAGES = 20  # of which answers are compared
SIZE = (384, 480)
PLAIN, OURS = "plain PyTorch", "gipi"
LAID = "channels_last, allocator"
Run = Callable[[Tensor], Tensor]


def contender(way: str) -> Run:
    """float32 images (n, 3, h, w) -> logits."""
    torch.manual_seed(0)
    net = build_net("segnet", {}).eval()
    if way == PLAIN:
        return net
    place = decide_place(device="cpu", precision="auto" if way == OURS else "fp32")
    net = place.put_net(net)
    faster = winograd(net, place) if way == OURS else None

    def run(images: Tensor) -> Tensor:
        with place.autocast():
            return (faster or net)(place.put_images(images))

    return run


@torch.inference_mode()
def work(way: str, batch: int) -> None:
    """For each line of the input do a batch, and print its seconds; "peak" runs a large matrix product and prints GFLOP/s."""
    images = torch.rand(batch, 3, *SIZE)
    run = None if way == "peak" else contender(way)
    square = torch.rand(2048, 2048)
    for _ in sys.stdin:
        start = time.perf_counter()
        run(images) if run else square @ square
        seconds = time.perf_counter() - start
        print(seconds if run else 2 * 2048**3 / seconds / 1e9, flush=True)


def turns(ways: tuple[str, ...], batch: int) -> dict[str, list[float]]:
    """What each prints of `REPEATS` turns, after one that is not counted."""
    told: dict[str, list[float]] = {way: [] for way in ways}
    processes = {
        way: subprocess.Popen(
            [sys.executable, __file__, "work", way, str(batch)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for way in ways
    }
    for _ in range(REPEATS + 1):
        for way, process in processes.items():
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            told[way].append(float(process.stdout.readline()))
    for process in processes.values():
        process.communicate()
    return {way: values[1:] for way, values in told.items()}


def multiply_adds() -> int:
    """Of the convolutions, for one frame."""
    return layer_table(build_net("segnet", {}), (3, *SIZE)).multiply_adds


@torch.inference_mode()
def equal(model: Path) -> tuple[float, float]:
    """(share of pixels with the same class, of void ones too; largest difference of logits, a share of their range)."""
    place = decide_place(device="cpu", precision="fp32")
    plain, ours = Segmenter.load(model, replace(place, layout="contiguous")), Segmenter.load(model, place)
    ours.expect(2)
    images = load_masks("camvid", "test", short=plain.short).images
    same, off = [], 0.0
    for image in images[:: len(images) // IMAGES]:
        wanted, got = plain.logits(image[None]), ours.logits(image[None])
        same.append((wanted.argmax(1) == got.argmax(1)).double().mean().item())
        off = max(off, ((wanted - got).abs().max() / (wanted.max() - wanted.min())).item())
    return sum(same) / len(same), off


def main() -> None:
    if sys.argv[1:2] == ["work"]:
        work(sys.argv[2], int(sys.argv[3]))
        return
    rows, size = [], f"{SIZE[1]}x{SIZE[0]}"
    if sys.argv[1:]:
        same, off = equal(Path(sys.argv[1]))
        note = f"{sys.argv[1]}, about {IMAGES} images"
        rows.append(row("gipi: pixels of the same class as PyTorch's", [100 * same], "%", split="camvid test", note=note))
        rows.append(row("gipi: logits off PyTorch's", [100 * off], "% of range", split="camvid test", note=note))
    for batch in (1, 4):
        told = turns((PLAIN, LAID, OURS), batch)
        name = f"segnet {size}, batch {batch}"
        rows += [row(f"{name}, {way}", [batch / value for value in values], "frames/s") for way, values in told.items()]
        rows.append(row(f"{name}, gipi over {PLAIN}", [median(told[PLAIN]) / median(told[OURS])], "x"))
    peak = turns(("peak",), 1)["peak"]
    work_gflop = 2 * multiply_adds() / 1e9
    note = f"{work_gflop:.1f} GFLOP a frame at the speed of a matrix product of 2048, {median(peak):.0f} GFLOP/s"
    rows.append(row(f"segnet {size}, bound of plain convolutions", [value / work_gflop for value in peak], "frames/s", note=note))
    write("segment_inference", rows)


if __name__ == "__main__":
    main()
