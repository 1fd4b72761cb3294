"""The report of a generator's training: how good its images are and by whose eyes, how it got there, whether it only repeats.

Whether a generator repeats its training images is read off two medians, as in Meehan, Chaudhuri and Dasgupta, arXiv 2004.05675:
the distances of its images, and of test images, to the nearest training image.
Deviations from the source: the medians themselves, in place of a rank test in each of several cells.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from gipi.inspect import generate_figures
from gipi.inspect.figures import png_bytes
from gipi.inspect.generate_figures import Near
from gipi.inspect.layers import fed, layer_table
from gipi.inspect.report import Section, Table, write_report
from gipi.inspect.training import facts, last_sections, title
from gipi.model import Card
from gipi.models.dcgan import Generator, opponent
from gipi.ops.gallery import grid
from gipi.runs import Run

MEANINGS = {  # name, whether it is a share, what it says
    "frechet": ("Fréchet distance", False, "between all made and all real images; 0 were the same; the smaller, the better"),
    "precision": ("precision", True, "made images that lie among real ones; never alone, for noise may lie there, too"),
    "recall": ("recall", True, "real images that lie among the made ones: the variety is covered"),
    "diversity": ("diversity", False, "how much two made images differ, real ones being 1; far below, most are alike"),
    "confidence": ("confidence", True, "mean probability of the class that the judge sees; low where it sees none"),
    "least_class": ("rarest class", True, "share of the images that the judge reads as their rarest class"),
    "most_class": ("commonest class", True, "share of the images that the judge reads as their commonest class"),
    "as_asked": ("as asked", True, "made images that the judge reads as the class that was asked for"),
}
FAR, NEARER = 0.5, 0.9  # of the test images' median distance: below it, made images are copies, or nearer than chance has it


def write_generate_report(
    run: Run,
    net: Generator,
    card: Card,
    *,
    judge: str,
    test: Mapping[str, float],
    floor: Mapping[str, float],
    counts: tuple[int, int],
    samples: UInt8[Tensor, "n c h w"],
    sample_labels: Int64[Tensor, " n"] | None,
    nearest: Sequence[Near],
    medians: tuple[float, float],
    shares: Mapping[str, tuple[float, float]],
    course: Mapping[int, UInt8[Tensor, "m c h w"]],
) -> None:
    """Write report.html into the run folder.

    judge: whose features images are compared by.  test: quality of made images beside the test set.  floor: that of real training
    images in their place.  counts: images of (made, real) that were compared.  sample_labels: the classes asked for.
    nearest: training images near some of the samples.  medians: distance to the nearest training image of (made, test) images.
    shares: of the (made, real) images, 0 to 1, by the class that the judge reads; {} if it is no classifier.
    course: what the same noise gave, by epoch.
    """
    table = layer_table(net, fed(net, card.image))
    sections = [
        Section(
            "Quality in numbers",
            f"{counts[0]:,} made images against {counts[1]:,} real ones of the test set, by the features of {judge}. A distance "
            "by another judge, or of other numbers of images, cannot be compared with it. Beside it stands what real images "
            "of the training reach in the place of the made ones.",
            table=quality_table(test, floor),
        ),
        Section("Course of the training", png=png_bytes(generate_figures.curves(run.rows()))),
        _samples(samples, sample_labels, card.classes),
        *([Section("The same noise over the epochs", png=png_bytes(generate_figures.course(course)))] if course else []),
        *([_nearest(samples, nearest, medians, judge)] if nearest else []),
        *([Section("Classes", f"As {judge} reads them.", png=png_bytes(generate_figures.balance(shares)))] if shares else []),
        *last_sections(run, table),
    ]
    numbers = {name: _text(name, value) for name, value in test.items() if name in MEANINGS and name != "frechet"}
    summary = [
        (distance_name(judge), _text("frechet", test["frechet"])),
        ("real against real", _text("frechet", floor["frechet"])),
        *((MEANINGS[name][0], text) for name, text in numbers.items()),
        ("compared", f"{counts[0]:,} made, {counts[1]:,} real"),
        *facts(run, card, table),
        _opponent(net, run.config()["gan"]),
    ]
    write_report(run.path / "report.html", title=title(run, card), summary=summary, sections=sections)


def distance_name(judge: str) -> str:
    """FID is the name of the distance by the published Inception net alone."""
    return f"{'FID' if judge == 'Inception' else 'Fréchet distance'} by {judge}"


def quality_table(test: Mapping[str, float], floor: Mapping[str, float]) -> Table:
    """(header, rows): each number of the made images, of real ones in their place, and what it says."""
    rows = [
        [name, _text(key, test[key]), _text(key, floor[key]) if key in floor else "", meaning]
        for key, (name, _, meaning) in MEANINGS.items()
        if key in test
    ]
    return ["", "made", "real", "what it says"], rows


def repeats(made: float, real: float) -> str:
    """What the median distances of made and of test images to the nearest training image say."""
    if made < FAR * real:
        return "Made images are far nearer: the generator repeats images that it was trained on."
    if made < NEARER * real:
        return "Made images are nearer: they are typical ones or near copies, which the pairs below tell apart."
    return "Made images are no nearer: nothing says that the generator repeats images that it was trained on."


def _text(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if MEANINGS[name][1] else f"{value:.2f}"


def _samples(images: Tensor, labels: Tensor | None, classes: Sequence[str]) -> Section:
    if labels is not None:
        return Section("Samples", png=png_bytes(generate_figures.by_class(images, labels, classes)))
    buffer = io.BytesIO()
    grid(images).save(buffer, format="png")
    return Section("Samples", "Not chosen: the first ones of this seed.", png=buffer.getvalue())


def _nearest(samples: Tensor, near: Sequence[Near], medians: tuple[float, float], judge: str) -> Section:
    made, real = medians
    text = (
        f"By the features of {judge}, the median distance to the nearest training image is {made:.3g} for made images and "
        f"{real:.3g} for test images, which the generator has not seen. {repeats(made, real)}"
    )
    return Section("Nearest training images", text, png=png_bytes(generate_figures.nearest(samples, near)))


def _opponent(net: Generator, gan: Mapping[str, Any]) -> tuple[str, str]:
    """The size of the discriminator, which no model file keeps."""
    with torch.device("meta"):
        against = opponent(net, width=gan["width"], spectral_norm=gan["spectral_norm"])
    return "discriminator's parameters", f"{sum(weight.numel() for weight in against.parameters()):,}"
