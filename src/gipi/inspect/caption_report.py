"""The report of a captioner's training: what it reached, how it got there, what it says best and worst, what it is made of."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from gipi.data.captions import CaptionSet
from gipi.inspect import caption_figures, figures
from gipi.inspect.caption_figures import NOTHING, Attended, ranked
from gipi.inspect.layers import fed, layer_table
from gipi.inspect.report import Picture, Section, Table, write_report
from gipi.inspect.training import facts, last_sections, title
from gipi.model import Card
from gipi.ops.nearest import copied, nearest
from gipi.ops.overlay import enlarged
from gipi.ops.text import scored
from gipi.runs import Run

SHARES = {
    "bleu4": "test BLEU-4",
    "bleu1": "BLEU-1",
    "bleu2": "BLEU-2",
    "bleu3": "BLEU-3",
    "rouge_l": "ROUGE-L",
    "exact": "exactly a reference",
}
NUMBERS = {"cider": "CIDEr-D", "perplexity": "perplexity"}
EXTREMES, OFTEN, MOMENTS = 6, 12, 6  # images best and worst, sentences said most often, epochs: at most
LEAST = 240  # pixels of the longer side to which small pictures are enlarged


def write_caption_report(
    run: Run,
    net: nn.Module,
    card: Card,
    *,
    data: CaptionSet,
    answers: Sequence[str],
    cider: Float[Tensor, " n"],
    training: Sequence[str],
    attended: Sequence[Attended],
    followed: CaptionSet | None,
    course: Mapping[int, Sequence[str]],
) -> None:
    """Write report.html into the run folder.

    data: the test set.  answers: what is said of its images.  cider: CIDEr-D of each.  training: all captions that were learned
    from.  attended: where a net that attends looked in a few test images.
    followed: a few validation images, if there are any.  course: what was said of them, by epoch.
    """
    table = layer_table(net, fed(net, card.image))
    copies = copied(answers, training)
    best, worst = (ranked(data, answers, cider, EXTREMES, best=best) for best in (True, False))
    often = Counter(answers).most_common(OFTEN)
    told = [*(answers[index] for index in [*best, *worst]), *(sentence for sentence, _ in often)]
    near = {sentence: training[place] for sentence, place in zip(told, nearest(told, training), strict=True)}
    about = "In bold what is said, then CIDEr-D of the image, its references, and the training caption nearest to what is said."
    sections = [
        Section("Course of the training", png=figures.png_bytes(figures.curves(run.rows()))),
        Section("Best images of the test set", about, pictures=_described(best, data, answers, cider, near)),
        Section("Worst images of the test set", about, pictures=_described(worst, data, answers, cider, near)),
        Section(
            "Said most often",
            f"{len(set(answers)):,} different sentences for {len(answers):,} images; {copies:.1%} of the images get a caption of "
            "the training word for word.",
            table=often_table(often, len(answers), near),
        ),
        *map(_attended, attended),
        *([_course(course, followed)] if followed and course else []),
        *last_sections(run, table),
    ]
    scores = [(name, f"{card.metrics[key]:.2%}") for key, name in SHARES.items()]
    scores += [(name, f"{card.metrics[key]:.3f}") for key, name in NUMBERS.items()]
    summary = [*scores, ("copies of training captions", f"{copies:.1%}"), *facts(run, card, table)]
    write_report(run.path / "report.html", title=title(run, card), summary=summary, sections=sections)


def often_table(often: Sequence[tuple[str, int]], images: int, near: Mapping[str, str]) -> Table:
    """(header, rows) of sentences: of how many of the `images` each is said, and whether it is a training caption.

    often: each sentence and how often it is said.  near: the training caption nearest to it.
    """
    rows = [
        [
            sentence or NOTHING,
            f"{count:,}",
            f"{100 * count / images:.1f} %",
            "yes" if scored(sentence) == scored(near[sentence]) else "no",
        ]
        for sentence, count in often
    ]
    return ["sentence", "images", "share", "a training caption"], rows


def _described(
    shown: Sequence[int], data: CaptionSet, answers: Sequence[str], cider: Float[Tensor, " n"], near: Mapping[str, str]
) -> list[Picture]:
    pictures = []
    for index in shown:
        lines = [f"CIDEr-D {float(cider[index]):.2f}, {data.names[index]}", *(f"· {text}" for text in data.captions[index])]
        lines.append(f"nearest in training: {near[answers[index]]}")
        pictures.append(Picture(_png(data.images[index]), answers[index] or NOTHING, "\n".join(lines)))
    return pictures


def _attended(one: Attended) -> Section:
    return Section(f"Word by word: {' '.join(one.words)}", png=figures.png_bytes(caption_figures.words_figure(*one)))


def _course(course: Mapping[int, Sequence[str]], data: CaptionSet) -> Section:
    epochs = list(course)
    chosen = [epochs[at] for at in np.linspace(0, len(epochs) - 1, min(MOMENTS, len(epochs))).round().astype(int)]
    pictures = []
    for index, references in enumerate(data.captions):
        said = "\n".join(f"epoch {epoch}: {course[epoch][index] or NOTHING}" for epoch in chosen)
        pictures.append(Picture(_png(data.images[index]), references[0], said))
    text = "What is said of the same validation images after some of the epochs; in bold a reference."
    return Section("Sentences over the epochs", text, pictures=pictures)


def _png(pixels: UInt8[Tensor, "3 h w"]) -> bytes:
    buffer = io.BytesIO()
    enlarged(pixels.cpu(), LEAST).save(buffer, format="png")
    return buffer.getvalue()
