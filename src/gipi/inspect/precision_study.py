"""The outcome of the study of precision: tables, a figure, and whether the textbook's claim that 16 bits are enough holds.

The claim: Saito, Deep Learning from Scratch, section 8.3.4, whose program rounds pictures and weights to float16.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from gipi.inspect.figures import FAINT, GREY, INK, WIDTH, png_bytes
from gipi.inspect.formats import CHANNELS, LAYERS, Format
from gipi.inspect.precision import BATCH, BOUND, SURE, Precision
from gipi.inspect.report import Section, Table, write_report
from gipi.inspect.study import COLOURS, MARKS
from gipi.runs import write_atomic

ENOUGH = 0.001  # a format is enough that loses less accuracy than this, 0 to 1
CLAIMS = (
    ("The textbook's claim that 16 bits are enough", ("float16", "bfloat16")),
    ("8 bits are enough for weights", ("int8 weights",)),
    ("8 bits are enough for weights and activations as integers", ("int8 dynamic",)),
    ("8 bits are enough for weights and activations as floats", ("float8_e4m3fn", "float8_e5m2")),
)
BREAKS = (("a scale for each channel", CHANNELS), ("one scale for each layer", LAYERS))
DRAWN = (
    *("float32", "tf32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
    *("int8 dynamic", "int8 weights", "int6 weights", "int4 weights", "int3 weights", "int2 weights"),
)  # of their layers, the floats first
NOTE = f"""Differ: answers other than in float64; of these, newly wrong and newly right.
p: of McNemar's exact test; below {SURE}, a difference counts.
Loses at most: points of accuracy, with {100 * BOUND:.0f} % confidence.
Bytes: of all weights, and of what the layers with weights read for one image.
Formats are simulated by rounding, with sums in float32; a scale of activations is that of {BATCH} images."""

Results = Mapping[str, Sequence[Precision]]  # of each model, in the order of `measure`


def findings(results: Results) -> list[str]:
    """A sentence for each claim, then one on where integer weights break, with a scale for each channel and for each layer."""
    claims = [_claim(text, {(name, model): _of(rows, name) for name in names for model, rows in results.items()})
              for text, names in CLAIMS]  # fmt: skip
    breaks = [
        (what, "; ".join(f"{model} {_break(rows, formats)}" for model, rows in results.items())) for what, formats in BREAKS
    ]
    return [*claims, *(f"Weights as integers with {what} break: {where}." for what, where in breaks)]


def _claim(text: str, found: Mapping[tuple[str, str], Precision]) -> str:
    if lower := [f"{name} of {model}" for (name, model), one in found.items() if one.lower]:
        verdict = f"this study contradicts it, accuracy is lower beyond chance in {' and '.join(lower)}"
    elif all(one.loses < ENOUGH for one in found.values()):
        verdict = "so it is here"
    else:
        verdict = f"not decided here, nothing is lost beyond chance, but {100 * ENOUGH:g} points cannot be ruled out"
    numbers = "; ".join(
        f"{name}, {model}: {_percent(one)}, {one.differ:,} of {one.images:,} differ, loses at most {100 * one.loses:.2f}"
        for (name, model), one in found.items()
    )
    return f"{text}: {verdict} ({numbers})."


def _break(rows: Sequence[Precision], formats: Sequence[Format]) -> str:
    """What comes behind "breaks": "at 4 bits (99.32 %, p = 0.00047; 6 bits: 99.54 %, p = 1)"."""
    ordered = [_of(rows, form.name) for form in formats]
    at = next((place for place, one in enumerate(ordered) if one.lower), None)
    if at is None:
        return f"nowhere down to {ordered[-1].bits} bits ({_percent(ordered[-1])}, p {_chance(ordered[-1])})"
    before = ordered[at - 1] if at else _of(rows, "float64")
    broken, whole = (f"{_percent(one)}, p {_chance(one)}" for one in (ordered[at], before))
    return f"at {ordered[at].bits} bits ({broken}; {before.bits} bits: {whole})"


def _of(rows: Sequence[Precision], name: str) -> Precision:
    return next(row for row in rows if row.format == name)


def _chance(one: Precision) -> str:
    return f"= {one.chance:.2g}" if one.chance >= 1e-4 else "< 0.0001"


def _percent(one: Precision) -> str:
    return f"{100 * one.accuracy:.2f} %"


def cells(results: Results) -> Table:
    """(header, rows) as text: every model in every format."""
    header = ["model", "format", "bits", "test accuracy", "differ", "wrong", "right", "p", "loses at most"]
    header += ["loss", "logits off by", "weights, bytes", "activations, bytes"]
    rows = [
        [
            *(model, one.format, str(one.bits), _percent(one), f"{one.differ:,}", f"{one.worse:,}", f"{one.better:,}"),
            *(_chance(one).removeprefix("= "), f"{100 * one.loses:.2f}", f"{one.loss:.4f}", f"{one.logits:.1e}"),
            *(f"{one.weights:,}", f"{one.values:,}"),
        ]
        for model, found in results.items()
        for one in found
    ]
    return header, rows


def layer_cells(rows: Sequence[Precision]) -> Table:
    """(header, rows) as text: one model's relative error, layer by layer."""
    return ["format", *rows[0].layers], [[one.format, *(f"{error:.1e}" for error in one.layers.values())] for one in rows]


def markdown(results: Results) -> str:
    """All tables."""
    parts = [NOTE, _lines(cells(results))]
    for model, rows in results.items():
        parts += [f"{model}: error of each layer with weights, over what it puts out in float64", _lines(layer_cells(rows))]
    return "\n\n".join(parts) + "\n"


def _lines(table: Table) -> str:
    header, rows = table
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows))


def figure(results: Results) -> Figure:
    """Test error against the bits of a weight, a line for each model; relative error layer by layer of the first model."""
    fig = Figure((WIDTH, 4.8), layout="constrained")
    left, right = fig.subplots(1, 2)
    _errors(left, results)
    model, rows = next(iter(results.items()))
    _layers(right, model, rows)
    for ax in (left, right):
        ax.set_yscale("log")
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GREY)
        ax.tick_params(color=GREY, labelcolor=INK, labelsize=8)
        ax.grid(color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
        columns = 1 if ax is left else 2
        ax.legend(frameon=False, fontsize=7, labelcolor=INK, ncols=columns, loc="upper center", bbox_to_anchor=(0.45, -0.16))
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    left.yaxis.set_minor_formatter(NullFormatter())
    return fig


def _errors(ax: Axes, results: Results) -> None:
    for (model, rows), colour, mark in zip(results.items(), COLOURS, MARKS, strict=False):
        least = 50 / rows[0].images  # a logarithmic axis has no zero: no error is drawn as half of one
        for formats, line, what in ((CHANNELS, "-", ""), (LAYERS, ":", ", one scale a layer")):
            names = [form.name for form in reversed(formats)] + (["float16", "float32", "float64"] if not what else [])
            points = [_of(rows, name) for name in names]
            errors = [max(100 - 100 * one.accuracy, least) for one in points]
            ax.plot([one.bits for one in points], errors, f"{mark}{line}", color=colour, ms=4, lw=1.3, label=f"{model}{what}")
    ax.set_xscale("log", base=2)
    ax.set_xticks([2, 3, 4, 6, 8, 16, 32, 64], ["2", "3", "4", "6", "8", "16", "32", "64"])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("bits of a weight; above 8, of all numbers", fontsize=9, color=INK)
    ax.set_ylabel("test error, %", fontsize=9, color=INK)


def _layers(ax: Axes, model: str, rows: Sequence[Precision]) -> None:
    for place, name in enumerate(DRAWN):
        errors = list(_of(rows, name).layers.values())
        half, line = place % (len(DRAWN) // 2), "-" if place < len(DRAWN) // 2 else ":"
        ax.plot(range(1, len(errors) + 1), errors, f"{MARKS[half]}{line}", color=COLOURS[half], ms=3.5, lw=1.2, label=name)
    ax.set_xticks(range(1, len(rows[0].layers) + 1))
    ax.set_xlabel(f"layer with weights of {model}", fontsize=9, color=INK)
    ax.set_ylabel("error, relative to float64", fontsize=9, color=INK)


def write_precision(folder: Path, results: Results, *, about: str, data: str, machine: Mapping[str, Any]) -> list[str]:
    """Write study.json, table.md, figure.png and report.html into `folder`; the findings are returned."""
    sentences = findings(results)
    png = png_bytes(figure(results))
    document = {
        "study": "precision",
        "about": about,
        "data": data,
        "findings": sentences,
        "rows": [{"model": model, **one.json()} for model, rows in results.items() for one in rows],
        "machine": dict(machine),
    }
    write_atomic(folder / "study.json", (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
    write_atomic(folder / "table.md", markdown(results).encode())
    write_atomic(folder / "figure.png", png)
    first = next(iter(results.values()))[0]
    layers = [
        Section(f"Layers of {model}", "Error over what each puts out in float64, root mean squares.", table=layer_cells(rows))
        for model, rows in results.items()
    ]
    write_report(
        folder / "report.html",
        title="gipi study precision",
        summary=[("question", about), ("data", f"{data}, {first.images:,} test images"), ("models", ", ".join(results))],
        sections=[
            Section("Findings", "\n\n".join(sentences), png=png),
            Section("Table", NOTE, table=cells(results)),
            *layers,
            Section("Machine", f"{machine['cpu']}, {machine['cores']} cores\n{machine['system']}"),
        ],
    )
    return sentences
