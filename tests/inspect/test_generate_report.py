"""The report of a generator: every section there, the judge beside the distance, copies told from new images."""

from __future__ import annotations

import base64
import io
import re
from html import unescape
from pathlib import Path

import pytest
import torch
from PIL import Image

from gipi.config import Config, DataConfig, GanConfig, NetConfig
from gipi.inspect.generate_figures import Near
from gipi.inspect.generate_report import distance_name, quality_table, repeats, write_generate_report
from gipi.model import Card
from gipi.models.dcgan import dcgan, opponent
from gipi.preprocess import Preprocess
from gipi.runs import Run

JUDGE = "<b>deepconvnet-mnist"
FLOOR = {"frechet": 0.125, "precision": 0.875, "recall": 0.75, "diversity": 1.0, "confidence": 0.9925}
TEST = {"frechet": 3.20625, "precision": 0.5, "recall": 0.25, "diversity": 0.97, "confidence": 0.9625}
TEST |= {"least_class": 0.0625, "most_class": 0.125}
CLASSES = ("<script>", "$x_{$", "개")


def written(folder: Path, *, conditional: bool = False, spectral_norm: bool = False, bare: bool = False) -> str:
    """The report of a run that never was. bare: nothing but what there always is."""
    gan = GanConfig(conditional=conditional, spectral_norm=spectral_norm)
    config = Config(recipe="made-up", kind="generate", net=NetConfig("dcgan"), data=DataConfig("digits"), gan=gan)
    run = Run.create(config.to_json(), folder / "run")
    for step in (1, 2):
        run.append({"split": "train", "step": step, "steps": 2, "time_s": 3.2, "loss": 1 / step, "real": 0.5, "lr": 0.1})
        run.append({"split": "validation", "step": step, "steps": 2, "time_s": 3.5, "frechet": 9 / step})
    net = dcgan(classes=3, channels=3, size=32, width=4, conditional=conditional)
    card = Card("generate", "dcgan", {}, CLASSES, Preprocess((3, 32, 32), "resize"), metrics=TEST)
    images = torch.randint(0, 256, (9, 3, 32, 32), dtype=torch.uint8)
    write_generate_report(
        run,
        net,
        card,
        judge=JUDGE,
        test=TEST,
        floor=FLOOR,
        counts=(10_000, 360),
        samples=images,
        sample_labels=torch.arange(9) % 3 if conditional else None,
        nearest=[] if bare else [Near(n, images[n], float(n)) for n in range(3)],
        medians=(2.0, 2.5),
        shares={} if bare else dict.fromkeys(CLASSES, (0.25, 1 / 3)),
        course={} if bare else {1: images, 2: images},
    )
    return (run.path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("report"))


def texts(page: str, tag: str) -> list[str]:
    return [unescape(text) for text in re.findall(f"<{tag}[^>]*>([^<]*)</{tag}>", page)]


def facts(page: str) -> dict[str, str]:
    return dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))


def test_report_holds_every_section_and_names_are_text(page: str) -> None:
    assert texts(page, "h2") == [
        *("Quality in numbers", "Course of the training", "Samples", "The same noise over the epochs"),
        *("Nearest training images", "Classes", "Layers", "Configuration", "Machine"),
    ]
    assert "<script" not in page
    assert "<b>" not in page
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in re.findall('base64,([^"]+)"', page)]
    assert [width for width, _ in sizes] == [1120, 3 * 66 - 2, 1120, 1120, 1120]


def test_the_judge_stands_beside_the_distance_and_the_real_images_beside_the_made_ones(page: str) -> None:
    assert list(facts(page).items())[:9] == [
        *((f"Fréchet distance by {JUDGE}", "3.21"), ("real against real", "0.12"), ("precision", "50.0 %")),
        *(("recall", "25.0 %"), ("diversity", "0.97"), ("confidence", "96.2 %"), ("rarest class", "6.2 %")),
        *(("commonest class", "12.5 %"), ("compared", "10,000 made, 360 real")),
    ]
    assert distance_name("Inception") == "FID by Inception", "no other net's distance is called so"
    cells = texts(page, "td")
    assert cells[:3] == ["Fréchet distance", "3.21", "0.12"]
    assert cells[4:7] == ["precision", "50.0 %", "87.5 %"]
    text = next(text for text in texts(page, "p") if "10,000 made images against 360 real ones" in text)
    assert JUDGE in text


def test_quality_without_a_classifier_has_no_classes() -> None:
    header, rows = quality_table({"frechet": 1.0, "precision": 0.5, "recall": 0.5, "diversity": 1.0}, FLOOR)
    assert len(header) == 4
    assert [row[0] for row in rows] == ["Fréchet distance", "precision", "recall", "diversity"]
    _, rows = quality_table({**TEST, "as_asked": 0.5}, FLOOR)
    assert rows[-1][:3] == ["as asked", "50.0 %", ""], "real images are not asked for"


def test_layers_are_those_from_noise_to_image_and_the_discriminator_is_counted(page: str) -> None:
    net = dcgan(classes=3, channels=3, size=32, width=4)
    total = f"{sum(weight.numel() for weight in net.parameters()):,}"
    cells = texts(page, "td")
    at = cells.index("project")
    assert cells[at : at + 3] == ["project", "affine", str(net.project.out_features)]
    assert cells[cells.index("total") + 3] == total == facts(page)["parameters"]
    assert not {"field", "jump"} & {*texts(page, "th")}, "noise has no pixels"
    assert facts(page)["discriminator's parameters"] == f"{sum(w.numel() for w in opponent(net).parameters()):,}"
    assert "gan.judge" in cells


def test_copies_are_told_from_new_images(page: str) -> None:
    assert "2 for made images and 2.5 for test images" in page
    assert repeats(2.0, 2.5) in unescape(page)
    assert "repeats images" in repeats(0.1, 2.5)
    assert "typical" in repeats(2.2, 2.5)
    assert repeats(2.5, 2.5) == repeats(3.0, 2.5) != repeats(2.2, 2.5)


def test_a_conditional_generator_shows_its_classes_and_one_by_spectral_norm_is_counted(tmp_path: Path) -> None:
    page = written(tmp_path, conditional=True, spectral_norm=True, bare=True)
    assert texts(page, "h2") == [
        *("Quality in numbers", "Course of the training", "Samples", "Layers", "Configuration", "Machine"),
    ]
    [_, samples] = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in re.findall('base64,([^"]+)"', page)]
    assert samples[0] == 1120
    against = opponent(dcgan(classes=3, channels=3, size=32, width=4, conditional=True), spectral_norm=True)
    assert facts(page)["discriminator's parameters"] == f"{sum(weight.numel() for weight in against.parameters()):,}"
