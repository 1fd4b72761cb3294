"""Seconds of an image, stage by stage, of R-CNN, Fast R-CNN and Faster R-CNN on one backbone: python bench/detection_speed.py.

Of trained detectors with --models FILE..., each on the test images of the data set that it was trained on; else of fresh ones on
scenes and on BCCD, which find nothing true but take about as long: only their suppression has more boxes to go through. Writes
bench/results/detection_speed.json and docs/images/detection_speed.png.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from matplotlib.figure import Figure

import gipi
from common import ROOT, Row, row, write
from gipi.data.boxes import BoxSet
from gipi.engine.place import decide_place
from gipi.inspect.figures import FAINT, GREY, INK, WIDTH, png_bytes
from gipi.model import Card
from gipi.models.faster_rcnn import FasterRCNN
from gipi.models.kinds import build_net
from gipi.models.rcnn import RCNN
from gipi.ops.selective_search import selective_search
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from gipi.tasks.boxes import load_boxes
from gipi.tasks.detector import Detector

_SMALL = {"width": 0.25, "stem": "small"}
_PYRAMID = {**_SMALL, "fixed": 0, "finest": 4, "pyramid": 64, "hidden": 128}
_CELLS = {"finest": 8, "pyramid": 128, "hidden": 512}
FRESH: dict[str, dict[str, dict[str, Any]]] = {  # nets and their arguments, by data set: those of the recipes
    "scenes": {
        "rcnn-resnet18": {**_SMALL, "side": 32},
        "fast-rcnn-resnet18-fpn": _PYRAMID,
        "faster-rcnn-resnet18-fpn": {**_PYRAMID, "anchor": 16, "proposals": 100},
    },
    "bccd": {
        "rcnn-mobilenet-v2": {"side": 64},
        "fast-rcnn-mobilenet-v2-fpn": _CELLS,
        "faster-rcnn-mobilenet-v2-fpn": {**_CELLS, "anchor": 32},
    },
}
STAGES = {  # and their colours
    "selective search": "#999999",
    "RPN": "#56B4E9",
    "CNN": "#0072B2",
    "RoI head": "#E69F00",
    "SVMs and box regression": "#D55E00",
    "NMS": "#009E73",
    "rest": "#E4E4E4",
}


class Clock:
    """Seconds by stage. What a stage calls that is a stage itself counts for that one alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def timed(self, owner: Any, name: str, stage: str) -> Any:
        """A patch under which calls of `owner.name` count for a stage."""
        call: Callable[..., Any] = getattr(owner, name)

        def run(*args: Any, **more: Any) -> Any:
            with self.stage(stage):
                return call(*args, **more)

        return patch.object(owner, name, run)

    def searched(self, pixels: torch.Tensor) -> torch.Tensor:
        with self.stage("selective search"):
            return selective_search(pixels)

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


def parts(net: torch.nn.Module) -> tuple[str, list[tuple[Any, str, str]]]:
    """(the name of a detector, what is called for each of its stages)."""
    from gipi.models import box_head, rcnn

    if isinstance(net, RCNN):
        head = [(net, name, "SVMs and box regression") for name in ("scores", "moved")]
        return "R-CNN", [(net, "features", "CNN"), *head, (rcnn, "nms_by_class", "NMS")]
    if not isinstance(net, FasterRCNN):
        raise SystemExit(f"{type(net).__name__} is neither R-CNN nor Fast or Faster R-CNN")
    shared = [(net.backbone, "forward", "CNN"), (net.roi_heads, "forward", "RoI head"), (box_head, "nms_by_class", "NMS")]
    if net.rpn is None:
        return "Fast R-CNN", shared
    return "Faster R-CNN", [*shared, (net.rpn, "forward", "RPN"), (net.rpn, "proposals", "RPN")]


def measured(model: Detector, data: BoxSet, images: list[int]) -> tuple[str, list[dict[str, float]]]:
    """(the name of a detector, seconds by stage of each image)."""
    name, called = parts(model.net)
    rows = []
    for number in (images[0], *images):  # the first one twice: it makes ready what is made once
        height, width = data.sizes[number].tolist()
        pixels, clock = data.images[number : number + 1, :, :height, :width], Clock()
        with ExitStack() as stack:
            for call in called:
                stack.enter_context(clock.timed(*call))
            with clock.stage("rest"):
                model.find(pixels, search=clock.searched)
        rows.append(dict(clock.seconds))
    return name, rows[1:]


def fresh(name: str, args: dict[str, Any], data: BoxSet) -> Detector:
    torch.manual_seed(0)
    net = build_net(name, {**args, "classes": len(data.classes)}).eval()
    height, width = data.images.shape[2:]
    how = Preprocess((3, height, width), "whole", min(height, width), IMAGENET_MEAN, IMAGENET_STD)
    card = Card("detect", name, args, data.classes, how, data={f"{data.name}/train": ""})
    return Detector(net, card, decide_place(device="cpu", precision="fp32"))


def figure(table: dict[str, dict[str, dict[str, float]]]) -> Figure:
    """Of each data set a bar for each detector: seconds of an image, median, one colour a stage; each has a scale of its own."""
    fig = Figure((WIDTH, 0.75 + 1.65 * len(table)), layout="constrained")
    for ax, (data, detectors) in zip(fig.subplots(len(table), 1, squeeze=False)[:, 0], table.items(), strict=True):
        totals = [sum(stages.values()) for stages in detectors.values()]
        for place, stages in enumerate(detectors.values()):
            start = 0.0
            for stage, colour in STAGES.items():
                ax.barh(place, stages.get(stage, 0), left=start, height=0.62, color=colour)
                start += stages.get(stage, 0)
            label = f"{start:.3g} s   {totals[0] / start:,.3g} x"
            ax.annotate(label, (start, place), (6, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
        ax.set_yticks(range(len(detectors)), list(detectors))
        ax.set_ylim(len(detectors) - 0.5, -0.5)
        ax.set_xlim(0, 1.25 * max(totals))
        ax.set_title(data, loc="left", fontsize=10, color=INK)
        ax.tick_params(color=GREY, labelcolor=INK, labelsize=9, left=False)
        ax.grid(axis="x", color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.set_xlabel("seconds of an image", fontsize=9, color=INK)
    used = {stage for detectors in table.values() for stages in detectors.values() for stage in stages}
    bars = [Figure().add_subplot().bar(0, 0, color=colour)[0] for stage, colour in STAGES.items() if stage in used]
    names = [stage for stage in STAGES if stage in used]
    fig.legend(bars, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9, labelcolor=INK)
    return fig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=[], help="model files or run folders of trained detectors")
    parser.add_argument("--images", type=int, default=8, help="test images of each data set")
    args = parser.parse_args()
    rows: list[Row] = []
    table: defaultdict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    place = decide_place(device="cpu", precision="fp32")
    trained: list[tuple[str, Detector]] = []
    for path in args.models:
        model = gipi.load(path, place=place)
        if not isinstance(model, Detector):
            raise SystemExit(f"{path} does {model.card.kind}: give detectors")
        trained.append((next(iter(model.card.data)).partition("/")[0], model))
    for name in dict.fromkeys(name for name, _ in trained) if trained else FRESH:
        data = load_boxes(name, "test")
        images = torch.linspace(0, len(data) - 1, args.images).long().tolist()
        nets = [model for own, model in trained if own == name] or [fresh(*net, data) for net in FRESH[name].items()]
        size = "x".join(map(str, data.images.shape[:1:-1]))
        for model in sorted(nets, key=lambda model: (not isinstance(model.net, RCNN), not model.given)):
            detector, seconds = measured(model, data, images)
            note = f"{model.card.net}, {size}, {'trained' if trained else 'fresh weights'}, {torch.get_num_threads()} threads"
            for stage in (stage for stage in STAGES if stage in seconds[0]):
                rows.append(row(f"{name}: {detector}: {stage}", [each.get(stage, 0) for each in seconds], "s", note=note))
            rows.append(row(f"{name}: {detector}: in all", [sum(each.values()) for each in seconds], "s", note=note))
            table[f"{name}, {size}"][detector] = {
                stage: statistics.median(each.get(stage, 0) for each in seconds) for stage in STAGES if stage in seconds[0]
            }
    write("detection_speed", rows)
    (ROOT / "docs" / "images" / "detection_speed.png").write_bytes(png_bytes(figure(table)))


if __name__ == "__main__":
    main()
