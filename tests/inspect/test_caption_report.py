"""The report of a captioner: every section there, hostile names and captions as text, shares against counts."""

from __future__ import annotations

import base64
import io
import re
from html import unescape
from pathlib import Path

import pytest
import torch
from PIL import Image

from gipi.config import Config
from gipi.data.captions import CaptionSet
from gipi.inspect.caption_figures import Attended
from gipi.inspect.caption_report import often_table, write_caption_report
from gipi.model import Card
from gipi.models.attend import attend_resnet18
from gipi.preprocess import Preprocess
from gipi.runs import Run

METRICS = {"bleu4": 0.25, "bleu1": 0.75, "bleu2": 0.5, "bleu3": 0.375, "rouge_l": 0.6}
METRICS |= {"cider": 0.8125, "exact": 0.125, "perplexity": 12.5}
HOSTILE = ("<script>alert(1)</script>", '$x_{$ dogs\n & "cats"', "개가 달린다")
TRAINING = ["a dog runs", "A cat sleeps .", "a cow", "개가 달린다"]
ANSWERS = ["a dog runs", "a cat sleeps", "a dog runs", "", "two dogs run", "개가 달린다", "a cow runs", "a dog runs"]


def data_set() -> CaptionSet:
    n = len(ANSWERS)
    images = torch.randint(0, 256, (n, 3, 16, 24), dtype=torch.uint8)
    return CaptionSet("made", "test", images, (HOSTILE, *[("a dog",)] * (n - 1)), ("<b>.png", *(f"{i}.png" for i in range(1, n))))


def written(folder: Path, *, attended: int = 2, epochs: int = 9) -> str:
    """The report of a run that never was."""
    run = Run.create(Config(recipe="made-up").to_json(), folder / "run")
    for step in (1, 2):
        run.append({"split": "train", "step": step, "steps": 2, "time_s": 3.2, "loss": 1 / step, "lr": 0.1})
        run.append({"split": "validation", "step": step, "steps": 2, "time_s": 3.5, "bleu4": step / 4, "cider": step})
    data = data_set()
    net = attend_resnet18(classes=7, width=1 / 16, embedding=8, hidden=8, attention=4)
    words = ("<start>", "<end>", "<unknown>", "a", "dog", "<b>", "runs")
    card = Card("caption", "attend-resnet18", {}, words, Preprocess((3, 64, 96), "resize"), metrics=METRICS)
    looks = [Attended(data.images[n], ("a", "<b>", "dog"), torch.rand(3, 2, 3)) for n in range(attended)]
    write_caption_report(
        run,
        net,
        card,
        data=data,
        answers=ANSWERS,
        cider=torch.arange(8.0).flip(0),
        training=TRAINING,
        attended=looks,
        followed=data.subset(torch.arange(2), "validation") if epochs else None,
        course={epoch: [f"first {epoch}", f"second {epoch}"] for epoch in range(1, epochs + 1)},
    )
    return (run.path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("report"))


def texts(page: str, tag: str) -> list[str]:
    return [unescape(text) for text in re.findall(f"<{tag}[^>]*>([^<]*)</{tag}>", page)]


def described(page: str) -> list[tuple[str, list[str]]]:
    """(what is said, the lines below it) of each small picture."""
    found = re.findall("<figcaption><strong>([^<]*)</strong>\n([^<]*)</figcaption>", page)
    return [(unescape(title), unescape(text).split("\n")) for title, text in found]


def test_report_holds_every_section_and_captions_are_text(page: str) -> None:
    assert texts(page, "h2") == [
        *("Course of the training", "Best images of the test set", "Worst images of the test set", "Said most often"),
        *("Word by word: a <b> dog", "Word by word: a <b> dog", "Sentences over the epochs"),
        *("Layers", "Configuration", "Machine"),
    ]
    facts = dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
    assert list(facts.items())[:9] == [
        *(("test BLEU-4", "25.00%"), ("BLEU-1", "75.00%"), ("BLEU-2", "50.00%"), ("BLEU-3", "37.50%"), ("ROUGE-L", "60.00%")),
        *(("exactly a reference", "12.50%"), ("CIDEr-D", "0.812"), ("perplexity", "12.500")),
        ("copies of training captions", "62.5%"),
    ]
    assert list(facts)[9:] == ["data", "net", "parameters", "training"]
    assert "<script" not in page
    assert "<b>" not in page
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in re.findall('base64,([^"]+)"', page)]
    assert [width for width, _ in sizes] == [1120, *[240] * 12, 1120, 1120, 240, 240]


def test_best_and_worst_stand_beside_their_references_and_the_nearest_training_caption(page: str) -> None:
    shown = described(page)
    best, worst = shown[:6], shown[6:12]
    assert [said for said, _ in best] == ["a dog runs", "a cat sleeps", "a dog runs", "(no word)", "two dogs run", "개가 달린다"]
    assert [said for said, _ in worst] == [answer or "(no word)" for answer in ANSWERS[:1:-1]]
    assert best[0][1] == [
        *("CIDEr-D 7.00, <b>.png", "· <script>alert(1)</script>", "· $x_{$ dogs", ' & "cats"', "· 개가 달린다"),
        "nearest in training: a dog runs",
    ]
    assert best[1][1][-1] == "nearest in training: A cat sleeps ."
    assert worst[1][1] == ["CIDEr-D 1.00, 6.png", "· a dog", "nearest in training: a cow"]
    assert best[5][1][-1] == "nearest in training: 개가 달린다"


def test_sentences_over_the_epochs_have_the_first_and_the_last(page: str) -> None:
    first, second = described(page)[12:]
    assert first[0] == HOSTILE[0]
    assert second == ("a dog", [f"epoch {epoch}: second {epoch}" for epoch in (1, 3, 4, 6, 7, 9)])


def test_without_attention_and_held_out_images_their_sections_are_left_out(tmp_path: Path) -> None:
    page = written(tmp_path, attended=0, epochs=0)
    assert not [title for title in texts(page, "h2") if title.startswith(("Word", "Sentences"))]
    assert page.count("<img") == 13


def test_table_of_what_is_said_most_often_counts_it(page: str) -> None:
    assert "6 different sentences for 8 images; 62.5% of the images" in page
    cells = texts(page, "td")
    at = cells.index("a dog runs")
    assert cells[at : at + 12] == [
        *("a dog runs", "3", "37.5 %", "yes"),
        *("a cat sleeps", "1", "12.5 %", "yes"),
        *("(no word)", "1", "12.5 %", "no"),
    ]
    near = {"a": "A .", "": "A .", "a b": "a, b!", "b a": "a b"}
    header, rows = often_table([(sentence, 5) for sentence in near], 1000, near)
    assert header == ["sentence", "images", "share", "a training caption"]
    assert [row[1:] for row in rows] == [["5", "0.5 %", copy] for copy in ("yes", "no", "yes", "no")]
