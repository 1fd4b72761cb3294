"""The report of a classifier's training: what it reached, how it got there, what it misreads, what it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from gipi.inspect import figures
from gipi.inspect.layers import LayerTable, layer_table
from gipi.inspect.report import Section, write_report
from gipi.model import Card
from gipi.runs import Run

OWN = {"generate": ("gan",), "act": ("act",)}  # groups of the configuration that are of one kind alone


def write_training_report(
    run: Run,
    net: nn.Module,
    card: Card,
    *,
    images: Tensor,
    labels: Tensor,
    answers: Tensor,
    scores: Tensor,
    confusion: Tensor,
) -> None:
    """Write report.html into the run folder.

    images, labels: the test set, uint8 (n, c, h, w), int64 (n).  answers, scores: int64, float (n).  confusion: int64 (k, k).
    """
    wrong = int((labels != answers).sum())
    table = layer_table(net, card.image)
    scored = [("test accuracy", f"{card.metrics['accuracy']:.2%}"), ("misread", f"{wrong:,} of {len(labels):,}")]
    surest = figures.mistakes(images, labels, answers, scores, card.classes)
    sections = [
        Section("Course of the training", png=figures.png_bytes(figures.curves(run.rows()))),
        Section("Mistakes on the test set", "Label, answer and the answer's probability.", png=figures.png_bytes(surest)),
        Section("Confusion matrix", png=figures.png_bytes(figures.confusion(confusion, card.classes))),
        *last_sections(run, table),
    ]
    summary = [*scored, *facts(run, card, table)]
    write_report(run.path / "report.html", title=title(run, card), summary=summary, sections=sections)


def title(run: Run, card: Card) -> str:
    """What a report of a training of any kind is called."""
    config = run.config()
    return f"gipi: {config['recipe'] or card.net} on {config['data']['name']}"


def facts(run: Run, card: Card, table: LayerTable) -> list[tuple[str, str]]:
    """(name, value) of what was trained on what for how long: the end of the summary of a training of any kind."""
    config, rows = run.config(), run.rows()
    net, time = [("net", card.net), ("parameters", f"{table.parameters:,}")], rows[-1]["time_s"]
    if config["kind"] == "act":
        return [*net, *_played(config["act"], rows, time)]
    return [("data", config["data"]["name"]), *net, ("training", f"{config['run']['epochs']} epochs, {time:.0f} s")]


def _played(act: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], time: float) -> list[tuple[str, str]]:
    """Decisions of a training, and how many episodes these made by the mean lengths that were logged."""
    decisions = act["warmup"] + rows[-1]["step"] * act["every"]
    lengths = [row["length"] for row in rows if row["split"] == "train" and "length" in row]
    count = decisions * sum(1 / length for length in lengths) / max(len(lengths), 1)
    about = [("training episodes", f"about {float(f'{count:.2g}'):,.0f}")] if lengths else []
    return [("training", f"{time:,.0f} s"), ("decisions", f"{decisions:,}"), *about]


def last_sections(run: Run, table: LayerTable) -> list[Section]:
    """The layers, the configuration and the machine: the end of the report of a training of any kind."""
    config, machine = run.config(), run.environment()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    groups = ("net", "data", "optim", "transfer", *OWN.get(config["kind"], ()), "run")
    values = [(f"{group}.{name}", str(value)) for group in groups for name, value in config[group].items()]
    if table.image[1:] == (1, 1):  # of noise or numbers: no output value sees input pixels
        header, rows = table.cells()
        layers = Section("Layers", table=(header[:-2], [row[:-2] for row in rows]))
    else:
        layers = Section("Layers", "Field: side of the square of input pixels that one output value sees.", table=table.cells())
    return [
        layers,
        Section("Configuration", table=(["value", "set to"], values)),
        Section(
            "Machine",
            f"{machine['cpu']}, {machine['cores']} cores\n{machine.get('place', '')}\n{machine['system']}\n"
            f"{versions}\n{machine['command']}",
        ),
    ]
