"""The report of a segmentation: numbers against a count pixel by pixel, hostile names as text, every section there."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import torch
from PIL import Image

from gipi.config import Config
from gipi.data.masks import MaskSet
from gipi.inspect.segment_report import class_table, write_segment_report
from gipi.model import Card
from gipi.models.segnet import segnet_basic
from gipi.ops.segmentation import VOID, pixel_confusion
from gipi.preprocess import Preprocess
from gipi.runs import Run

HOSTILE = ("<script>alert(1)</script>", "$x_{$", "a & b\n\"quoted\" 'name'")
METRICS = {"mean_iou": 0.5, "pixel_accuracy": 0.75, "class_accuracy": 0.625, "boundary_f1": 0.3333}


class Page(HTMLParser):
    """Texts by the tag around them, and the attributes of each image."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tag, self.tags = "", set[str]()
        self.texts, self.images = list[tuple[str, str]](), list[dict[str, str | None]]()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tag = tag
        self.tags.add(tag)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.tag, data))

    def of(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]


def data_set(n: int = 3) -> MaskSet:
    images = torch.randint(0, 256, (n, 3, 20, 24), dtype=torch.uint8)
    labels = torch.randint(0, 3, (n, 20, 24), dtype=torch.uint8)
    labels[:, :3] = VOID
    return MaskSet(
        "made", "test", HOSTILE, images, labels, ((255, 0, 0), (0, 0, 0), (0, 0, 255)), ("<b>.png", "$_{.png", "c")[:n]
    )


def written(folder: Path, followed: MaskSet | None) -> Page:
    """The report of a run that never was."""
    config = Config(recipe="made-up")
    run = Run.create(config.to_json(), folder / "run")
    for step in (1, 2):
        run.append({"split": "train", "step": step, "steps": 2, "time_s": 3.2, "loss": 1 / step, "lr": 0.1})
        run.append({"split": "validation", "step": step, "steps": 2, "time_s": 3.5, "mean_iou": step / 4})
    data = data_set()
    answers = data.labels.clone().fill_(1)
    net = segnet_basic(classes=3, width=1 / 32, kernel=3)
    card = Card("segment", "segnet-basic", {}, HOSTILE, Preprocess((3, 20, 24), "whole"), metrics=METRICS, colours=data.colours)
    write_segment_report(
        run,
        net,
        card,
        data=data,
        answers=answers,
        ious=torch.tensor([0.5, 0.25, 0.75], dtype=torch.float64),
        confusion=pixel_confusion(data.labels, answers, 3),
        followed=followed,
        course={1: answers[:2], 2: answers[:2]},
    )
    return Page(run.path / "report.html")


def test_report_holds_every_section_and_names_are_text(tmp_path: Path) -> None:
    page = written(tmp_path, data_set(2))
    assert page.of("h1") == ["gipi: made-up on mnist"]
    assert page.of("h2") == [
        *("Course of the training", "Classes", "Classes in numbers", "Worst images of the test set", "Confusion matrix"),
        *("Answers over the epochs", "Layers", "Configuration", "Machine"),
    ]
    facts = dict(zip(page.of("dt"), page.of("dd"), strict=True))
    assert facts["test mean IoU"] == "50.00%"
    assert facts["pixel accuracy"] == "75.00%"
    assert facts["class accuracy"] == "62.50%"
    assert facts["boundary F1"] == "33.33%"
    assert facts["net"] == "segnet-basic"
    assert facts["training"] == "20 epochs, 4 s"
    assert int(facts["parameters"].replace(",", "")) == sum(
        parameter.numel() for parameter in segnet_basic(classes=3, width=1 / 32, kernel=3).parameters()
    )
    assert page.tags.isdisjoint({"script", "b", "iframe"})
    assert set(HOSTILE) <= set(page.of("td"))
    assert "3x32x32" in page.of("td"), "the net is fed a multiple of its stride"
    sizes = [Image.open(io.BytesIO(base64.b64decode(str(image["src"]).split(",")[1]))).size for image in page.images]
    assert len(sizes) == 5
    assert all(300 < width <= 1120 for width, _ in sizes)


def test_without_held_out_images_the_answers_over_the_epochs_are_left_out(tmp_path: Path) -> None:
    page = written(tmp_path, None)
    assert "Answers over the epochs" not in page.of("h2")
    assert len(page.images) == 4


def test_table_by_class_is_what_counting_pixel_by_pixel_gives() -> None:
    data = data_set()
    answers = torch.randint(0, 3, data.labels.shape, dtype=torch.uint8)
    header, rows = class_table(pixel_confusion(data.labels, answers, 3), HOSTILE)
    assert header == ["class", "IoU", "accuracy", "precision", "pixels"]
    pairs = [(a, b) for a, b in zip(data.labels.flatten().tolist(), answers.flatten().tolist(), strict=True) if a != VOID]
    for k, (name, *cells) in enumerate(rows):
        both = sum(a == b == k for a, b in pairs)
        either, label, answer = sum(k in pair for pair in pairs), sum(a == k for a, _ in pairs), sum(b == k for _, b in pairs)
        assert name == HOSTILE[k]
        assert cells == [f"{100 * value:.2f} %" for value in (both / either, both / label, both / answer, label / len(pairs))]


def test_class_that_is_nowhere_has_empty_cells_and_one_that_is_never_answered_no_precision() -> None:
    _, rows = class_table(torch.tensor([[3, 0, 0], [1, 0, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert rows == [
        ["a", "75.00 %", "100.00 %", "75.00 %", "75.00 %"],
        ["b", "0.00 %", "0.00 %", "", "25.00 %"],
        ["c", "", "", "", "0.00 %"],
    ]
