"""The report of a detection: numbers against a count box by box, hostile names as text, every section there."""

from __future__ import annotations

import base64
import io
import re
from html import unescape
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from gipi.config import Config
from gipi.data.boxes import BoxSet
from gipi.inspect.detect_report import class_table, write_detect_report
from gipi.model import Card
from gipi.models.region_net import Found
from gipi.ops.detection import box_confusion, class_scores
from gipi.ops.matching import match
from gipi.preprocess import Preprocess
from gipi.runs import Run
from oracle.finds import case

HOSTILE = ("<script>alert(1)</script>", "$x_{$", "a & b")
METRICS = {"ap": 0.5, "ap50": 0.75, "ap75": 0.625, "ap_small": 0.3333, "ar100": 0.8, "voc_ap": 0.7, "voc_ap11": 0.6}


class Told(nn.Module):
    """A net that is told where things may be, as far as a report looks at one."""

    GIVEN, stride = True, 16

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images: Tensor, *, regions: Tensor) -> Tensor:
        assert regions.tolist() == [[[0, 0, images.shape[3], images.shape[2]]]]
        return self.head(images)


def data_set(n: int = 3) -> BoxSet:
    images = torch.randint(0, 256, (n, 3, 20, 24), dtype=torch.uint8)
    boxes = torch.tensor([[[2.0, 2.0, 10.0, 10.0], [12.0, 2.0, 22.0, 12.0]]]).repeat(n, 1, 1)
    labels, ignored = torch.tensor([[0, 1]]).repeat(n, 1), torch.zeros(n, 2, dtype=torch.bool)
    names = ("<b>.png", "$_{.png", "c")[:n]
    return BoxSet(
        "made", "test", HOSTILE, images, boxes, labels, ignored, names, torch.ones(n), torch.tensor([[20, 24]]).repeat(n, 1)
    )


def written(folder: Path, followed: BoxSet | None) -> str:
    """The report of a run that never was."""
    run = Run.create(Config(recipe="made-up").to_json(), folder / "run")
    for step in (1, 2):
        run.append({"split": "train", "step": step, "steps": 2, "time_s": 3.2, "loss": 1 / step, "lr": 0.1})
        run.append({"split": "validation", "step": step, "steps": 2, "time_s": 3.5, "ap": step / 4})
    data = data_set()
    found = Found(data.boxes, torch.full((3, 2), 0.9), torch.ones(3, 2, dtype=torch.int64))
    card = Card("detect", "fast-rcnn", {}, HOSTILE, Preprocess((3, 20, 24), "whole"), metrics=METRICS)
    matches = match(data.boxes, data.labels, data.ignored, data.scales, found)
    few = Found(*(part[:2] for part in found))
    write_detect_report(
        run, Told(), card, data=data, found=found, matches=matches, followed=followed, course={1: few, 2: few} if followed else {}
    )
    return (run.path / "report.html").read_text(encoding="utf-8")


def texts(page: str, tag: str) -> list[str]:
    return [unescape(text) for text in re.findall(f"<{tag}[^>]*>([^<]*)</{tag}>", page)]


def test_report_holds_every_section_and_names_are_text(tmp_path: Path) -> None:
    page = written(tmp_path, data_set(2))
    assert texts(page, "h2") == [
        *(
            "Course of the training",
            "Precision and recall",
            "Classes in numbers",
            "Worst images of the test set",
            "Confusion matrix",
        ),
        *("Finds over the epochs", "Layers", "Configuration", "Machine"),
    ]
    facts = dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
    assert list(facts) == [
        *("test AP", "AP at IoU 0.5", "AP at IoU 0.75", "AP, small", "recall, 100 finds", "VOC AP", "VOC AP of 2007"),
        *("data", "net", "parameters", "training"),
    ], "a size that no truth has is left out"
    assert (facts["test AP"], facts["AP at IoU 0.5"], facts["VOC AP of 2007"], facts["parameters"]) == (
        "50.00%",
        "75.00%",
        "60.00%",
        "112",
    )
    assert "<script" not in page
    assert set(HOSTILE) <= set(texts(page, "td"))
    assert "4x32x32" in texts(page, "td"), "the net is fed a multiple of its stride"
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in re.findall('base64,([^"]+)"', page)]
    assert len(sizes) == 5
    assert all(300 < width <= 1120 for width, _ in sizes)


def test_without_held_out_images_the_finds_over_the_epochs_are_left_out(tmp_path: Path) -> None:
    page = written(tmp_path, None)
    assert "Finds over the epochs" not in texts(page, "h2")
    assert page.count("<img") == 4


def test_table_by_class_is_what_counting_box_by_box_gives() -> None:
    boxes, labels, ignored, scales, found = case(1)
    matches = match(boxes, labels, ignored, scales, found)
    header, rows = class_table(matches, box_confusion(matches, 4), ["a", "b", "c", "d"])
    assert header == ["class", "AP", "AP50", "VOC AP", "precision", "recall", "truths"]
    seen = matches.score >= 0.5
    for label, (name, *cells) in enumerate(rows):
        right = int(((matches.verdict[:, 0, 0] == 1) & seen & (matches.label == label)).sum())
        wrong = int(((matches.verdict[:, 0, 0] == 0) & seen & (matches.label == label)).sum())
        truths = int(((labels == label) & ~ignored).sum())
        average = class_scores(matches, 4)["ap"][label].item()
        assert name == "abcd"[label]
        assert cells[0] == (f"{100 * average:.2f} %" if truths else "")
        assert cells[3:] == [
            f"{100 * right / (right + wrong):.2f} %" if right + wrong else "",
            f"{100 * right / truths:.2f} %" if truths else "",
            f"{truths}",
        ]
