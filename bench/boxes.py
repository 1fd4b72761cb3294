"""Milliseconds of non-maximum suppression and of RoIAlign on the CPU, beside torchvision's compiled operators where there.

Boxes and regions are random but of a detector's sizes; crowded ones are as region proposals are, most of them suppressed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

from common import Row, row, write
from gipi.engine.place import decide_place
from gipi.ops.boxes import nms, nms_by_class
from gipi.ops.roi import roi_align

REPEATS = 9
MAP, STRIDE, REGIONS, BINS = (1, 256, 200, 304), 4, 512, 7
PICTURE = torch.tensor([MAP[3], MAP[2]]) * STRIDE  # width and height
NMS, ALIGN = "; target 15", "target 150"


def milliseconds(call: Callable[[], object]) -> list[float]:
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


def scattered(count: int) -> Tensor:
    start = torch.rand(count, 2) * PICTURE * 0.8
    return torch.cat([start, start + 8 + torch.rand(count, 2) ** 2 * 400], 1)


def crowded(count: int) -> Tensor:
    """About twenty places, with boxes of about one size at each."""
    places = scattered(20)
    return places[torch.arange(count) % 20] + torch.randn(count, 4) * 8


def suppression(title: str, boxes: Tensor, note: str, oracle: ModuleType | None) -> list[Row]:
    scores, labels = torch.rand(len(boxes)), torch.randint(0, 20, (len(boxes),))
    kept, kept_by_class = nms(boxes, scores, 0.5), nms_by_class(boxes, scores, labels, 0.5)
    by_class = milliseconds(lambda: nms_by_class(boxes, scores, labels, 0.5))
    rows = [
        row(f"NMS of {title}", milliseconds(lambda: nms(boxes, scores, 0.5)), "ms", note=f"keeps {len(kept):,}{note}"),
        row(f"NMS of {title}, 20 classes", by_class, "ms", note=f"keeps {len(kept_by_class):,}{note}"),
    ]
    if oracle:
        alike = f"keeps {'the same' if torch.equal(kept, oracle.nms(boxes, scores, 0.5)) else 'others'}"
        theirs = milliseconds(lambda: oracle.nms(boxes, scores, 0.5))
        by_class = milliseconds(lambda: oracle.batched_nms(boxes, scores, labels, 0.5))
        rows.append(row(f"torchvision's NMS of {title}", theirs, "ms", note=alike))
        rows.append(row(f"torchvision's NMS of {title}, 20 classes", by_class, "ms"))
    return rows


def alignment(oracle: ModuleType | None) -> list[Row]:
    maps, regions, image = torch.randn(MAP), scattered(REGIONS), torch.zeros(REGIONS, dtype=torch.int64)
    table = torch.cat([image[:, None], regions], 1)
    last = maps.to(memory_format=torch.channels_last)

    def mine(maps: Tensor) -> Tensor:
        return roi_align(maps, regions, image, BINS, 1 / STRIDE)

    def theirs(maps: Tensor) -> Tensor:
        return oracle.roi_align(maps, table, BINS, 1 / STRIDE, 2) if oracle else maps

    def both(align: Callable[[Tensor], Tensor], maps: Tensor) -> Callable[[], object]:
        leaf = maps.clone().requires_grad_()
        toward = torch.randn(REGIONS, MAP[1], BINS, BINS, dtype=maps.dtype)
        return lambda: torch.autograd.grad(align(leaf), leaf, toward)

    shapes = {"float32": last, "bfloat16": last.bfloat16(), "float32, NCHW": maps}
    rows = []
    for name, fed in shapes.items():
        rows.append(row(f"RoIAlign, {name}", milliseconds(lambda fed=fed: mine(fed)), "ms", note=ALIGN))
        rows.append(row(f"RoIAlign and its gradient, {name}", milliseconds(both(mine, fed)), "ms"))
    if oracle:
        apart = f"differs by {(mine(maps) - theirs(maps)).abs().max():.1g}"
        rows.append(row("torchvision's RoIAlign, float32, NCHW", milliseconds(lambda: theirs(maps)), "ms", note=apart))
        rows.append(row("torchvision's RoIAlign and its gradient, float32, NCHW", milliseconds(both(theirs, maps)), "ms"))
    return rows


def main() -> None:
    decide_place(device="cpu")  # its allocator and threads
    torch.manual_seed(0)
    try:
        from torchvision import ops as oracle
    except (ImportError, RuntimeError):
        oracle = None
    rows = suppression("2,000 scattered boxes", scattered(2000), NMS, oracle)
    rows += suppression("2,000 crowded boxes", crowded(2000), NMS, oracle)
    rows += suppression("20,000 scattered boxes", scattered(20_000), "", oracle)
    write("boxes", rows + alignment(oracle))


if __name__ == "__main__":
    main()
