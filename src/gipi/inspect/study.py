"""The outcome of a study: a table, a figure, and a sentence for each claim of the textbook that it looked at."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from gipi.inspect.figures import FAINT, GREY, INK, WIDTH, png_bytes
from gipi.inspect.report import Section, write_report
from gipi.runs import write_atomic
from gipi.studies import COSTS, Claim, Study, Variant

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")  # Okabe and Ito
MARKS = "osD^vPX"
WORDS = {
    "accuracy": "accuracy",
    "frechet": "Fréchet distance",
    "precision": "precision",
    "recall": "recall",
    "return": "return",
    "drift": "drift of Q",
}
UNITS = {"accuracy": "%", "precision": "%", "recall": "%", "time_s": "s"}
DIGITS = {"time_s": 1, "parameters": 0, "multiply_adds": 0}  # of all others 2
LABELS = {
    "accuracy": "test error, %",
    "frechet": "Fréchet distance",
    "precision": "precision, %",
    "recall": "recall, %",
    "return": "return",
    "drift": "drift of Q",
    "parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "time_s": "training time, s",
}
LOGARITHMIC = ("accuracy", "frechet")  # axes
SIGNED = ("return", "drift")  # likewise beyond -1 and 1
SURE = 2.0  # standard errors that a difference must exceed


@dataclass(frozen=True)
class Measured:
    """A variant's numbers, one for each seed. scores: of the test set, the headline first, shares in percent.

    validation: the headline; empty where nothing was held out.
    """

    variant: Variant
    scores: Mapping[str, tuple[float, ...]]
    validation: tuple[float, ...]
    time_s: tuple[float, ...]
    parameters: int
    multiply_adds: int

    def values(self, measure: str) -> tuple[float, ...]:
        value = self.scores[measure] if measure in self.scores else getattr(self, measure)
        return value if isinstance(value, tuple) else (float(value),)

    def text(self, measure: str) -> str:
        """ "98.76 ± 0.12 %" """
        values, digits = self.values(measure), DIGITS.get(measure, 2)
        spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{mean(values):,.{digits}f}{spread} {UNITS.get(measure, '')}".rstrip()

    def json(self) -> dict[str, Any]:
        numbers = {name: list(self.values(name)) for name in (*self.scores, "validation", "time_s")}
        sizes = {"parameters": self.parameters, "multiply_adds": self.multiply_adds}
        return {"series": self.variant.series, "x": self.variant.x, **numbers, **sizes}


def score(name: str, value: float) -> float:
    """A score as a study tells it: shares in percent."""
    return 100 * value if UNITS.get(name) == "%" else value


def finding(claim: Claim, measured: Sequence[Measured]) -> str:
    """One plain sentence: what the textbook says, whether it holds here, and the numbers.

    A difference of means counts if it exceeds SURE standard errors, those of the two means together.
    """
    better, worse = (_pick(name, measured) for name in (claim.better, claim.worse))
    gain = mean(better.values(claim.measure)) - mean(worse.values(claim.measure))
    gain = -gain if claim.measure in COSTS else gain
    doubt = SURE * math.sqrt(sum(stdev(v) ** 2 / len(v) for m in (better, worse) if len(v := m.values(claim.measure)) > 1))
    numbers = "; ".join(f"{m.variant.name}: {m.text(claim.measure)}" for m in (better, worse))
    if gain > doubt:
        return f"{_capital(claim.text)}: so it is here ({numbers})."
    if gain < -doubt:
        return f"{_capital(claim.text)}: this study contradicts it, the opposite is measured ({numbers})."
    return f"{_capital(claim.text)}: not decided here, the difference is within the spread of the seeds ({numbers})."


def _pick(name: str, measured: Sequence[Measured]) -> Measured:
    for one in measured:
        if one.variant.name == name:
            return one
    of_series = [one for one in measured if one.variant.series == name]
    best = min if next(iter(of_series[0].scores)) in COSTS else max
    return best(of_series, key=lambda one: mean(one.validation))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def cells(study: Study, measured: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) as text."""
    scores = [f"test {WORDS[name]}" for name in study.scores]
    header = ["variant", study.x, *scores, "seeds", "parameters", "multiply-adds", "training time"]
    rows = [
        [
            *(one.variant.series or str(one.variant.x), str(one.variant.x), *map(one.text, study.scores), str(len(one.time_s))),
            *(one.text("parameters"), one.text("multiply_adds"), one.text("time_s")),
        ]
        for one in measured
    ]
    return header, rows


def markdown(study: Study, measured: Sequence[Measured]) -> str:
    header, rows = cells(study, measured)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def figure(study: Study, measured: Sequence[Measured], activations: Mapping[str, Sequence[float]]) -> Figure:
    """A panel for each measure that the claims speak of: means with the spread of the seeds; then the untrained layers.

    activations: standard deviation of the values behind each layer, shallow to deep, by variant.
    """
    measures = list(dict.fromkeys(claim.measure for claim in study.claims))
    panels = [*measures, *(["activations"] if activations else [])]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    fig = Figure((WIDTH, (3.6 if len(panels) == 1 else 3.0) * rows), layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=False).flatten()
    for ax, measure in zip(axes, measures, strict=False):
        _points(ax, study, measured, measure)
    if activations:
        _activations(axes[len(measures)], activations)
    for ax in axes[len(panels) :]:
        ax.remove()
    for ax in fig.axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GREY)
        ax.tick_params(color=GREY, labelcolor=INK, labelsize=8)
        ax.grid(color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
    return fig


def _points(ax: Axes, study: Study, measured: Sequence[Measured], measure: str) -> None:
    words = [str(x) for x in dict.fromkeys(one.variant.x for one in measured)]
    numeric = all(isinstance(one.variant.x, int | float) for one in measured)
    series = list(dict.fromkeys(one.variant.series for one in measured))
    for place, (name, colour, mark) in enumerate(zip(series, COLOURS, MARKS, strict=False)):
        beside = 0.12 * (place - (len(series) - 1) / 2)  # above the same word, series stand side by side
        mine = [one for one in measured if one.variant.series == name]
        values = [one.values(measure) for one in mine]
        values = [tuple(100 - v for v in row) if measure == "accuracy" else row for row in values]
        x = [float(one.variant.x) if numeric else words.index(str(one.variant.x)) + beside for one in mine]
        spread = [stdev(row) if len(row) > 1 else 0.0 for row in values]
        centre = [mean(row) for row in values]
        least = 0.9 if measure in LOGARITHMIC else math.inf  # a logarithmic axis has no zero
        down = [min(s, abs(c) * least) if c else s for s, c in zip(spread, centre, strict=True)]
        ax.errorbar(
            x, centre, [down, spread], fmt=f"{mark}{'-' if numeric else ''}", color=colour, ms=5, lw=1.4, capsize=3, label=name
        )
    if measure in LOGARITHMIC:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    elif measure in SIGNED:
        ax.set_yscale("symlog", linthresh=1)  # games differ in what they are played for
    else:
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}" if measure in WORDS else "{x:,.0f}"))
    ax.set_ylabel(LABELS[measure], fontsize=9, color=INK)
    if numeric:
        if study.log:
            ax.set_xscale("log")
        else:
            ax.set_xticks(sorted({float(one.variant.x) for one in measured}))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    else:
        long = sum(map(len, words)) > 32  # more than stand side by side
        ax.set_xticks(range(len(words)), words, rotation=30 if long else 0, ha="right" if long else "center")
        ax.margins(x=0.15)
    ax.set_xlabel(study.x, fontsize=9, color=INK)
    if len(series) > 1:
        ax.legend(frameon=False, fontsize=8, labelcolor=INK)


def _activations(ax: Axes, activations: Mapping[str, Sequence[float]]) -> None:
    for (name, spreads), colour, mark in zip(activations.items(), COLOURS, MARKS, strict=False):
        ax.plot(range(1, len(spreads) + 1), spreads, f"{mark}-", color=colour, ms=4, lw=1.4, label=name)
    ax.set_yscale("log")
    ax.set_xlabel("layer", fontsize=9, color=INK)
    ax.set_ylabel("spread of the values, untrained", fontsize=9, color=INK)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)


def write_study(
    folder: Path,
    name: str,
    study: Study,
    measured: Sequence[Measured],
    *,
    activations: Mapping[str, Sequence[float]],
    machine: Mapping[str, Any],
) -> list[str]:
    """Write study.json, table.md, figure.png and report.html into `folder`; the sentences, one for each claim, are returned."""
    sentences = [finding(claim, measured) for claim in study.claims]
    png = png_bytes(figure(study, measured, activations))
    document = {
        "study": name,
        "about": study.about,
        "findings": sentences,
        "rows": [one.json() for one in measured],
        "activations": {key: list(value) for key, value in activations.items()},
        "machine": dict(machine),
    }
    write_atomic(folder / "study.json", (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    write_atomic(folder / "table.md", markdown(study, measured).encode())
    write_atomic(folder / "figure.png", png)
    write_report(
        folder / "report.html",
        title=f"gipi study {name}",
        summary=[
            ("question", study.about),
            ("seeds", str(study.seeds)),
            ("variants", str(len(measured))),
        ],
        sections=[
            Section("Findings", "\n\n".join(sentences), png=png),
            Section("Table", "Mean and standard deviation over the seeds.", table=cells(study, measured)),
            Section("Machine", f"{machine['cpu']}, {machine['cores']} cores\n{machine['system']}"),
        ],
    )
    return sentences
