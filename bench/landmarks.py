"""Write the tables and the figure of docs/nets.md: python bench/landmarks.py [--check].

Sizes are the catalogue's, scores the published ones; nothing is trained. The tables stand behind `<!-- nets -->`,
`<!-- segment -->` and `<!-- caption -->`, up to `<!-- end -->`. With --check nothing is written, and a difference is exit code 1.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter

from gipi.catalog import NETS
from gipi.cli.nets import brief, net_rows
from gipi.inspect.figures import FAINT, GREY, INK, WIDTH, png_bytes
from gipi.inspect.study import COLOURS, MARKS

DOCS = Path(__file__).parents[1] / "docs"
PAGE, FIGURE = DOCS / "nets.md", DOCS / "images" / "landmarks.png"
HEAD = "| net | year | depth | parameters | multiply-adds | top-1 % | top-5 % | source |\n|---|---|--:|--:|--:|--:|--:|---|"
KIND_HEAD = "| net | year | depth | parameters | multiply-adds | image | source |\n|---|---|--:|--:|--:|---|---|"
ROWS = {name: net for name, net in net_rows().items() if net["kind"] == "classify" and net["input"] == NETS["alexnet"].input}
# Where the labels of each family stand, in points from its marks, for each panel.
PLACES = {
    "AlexNet": ((-6, 0), (6, 0)),
    "VGG": ((6, 0), (2, -9)),
    "VGG, batch norm": ((-6, 0), (-2, 9)),
    "GoogLeNet": ((-6, 0), (6, 0)),
    "ResNet": ((3, -10), (3, -10)),
    "SqueezeNet": ((6, 0), (6, 0)),
    "MobileNetV2": ((-2, 9), (6, 0)),
}


def table() -> str:
    """Markdown, a line a net."""
    lines = [HEAD]
    for name, net in ROWS.items():
        scores = ["" if net[top] is None else f"{net[top]:.2f}" for top in ("top1", "top5")]
        cells = f"`{name}`", str(net["year"]), str(net["depth"]), f"{net['parameters']:,}", brief(net["multiply_adds"])
        lines.append(f"| {' | '.join((*cells, *scores, net['source']))} |")
    return "\n".join(lines)


def kind_table(kind: str) -> str:
    """Markdown, a line a net of a kind, such as those that name pixels."""
    lines = [KIND_HEAD]
    for name, net in net_rows().items():
        if net["kind"] == kind:
            sizes = f"{net['parameters']:,}", brief(net["multiply_adds"]), f"{net['input'][1]}x{net['input'][2]}"
            lines.append(f"| {' | '.join((f'`{name}`', str(net['year']), str(net['depth']), *sizes, net['source']))} |")
    return "\n".join(lines)


def filled(text: str, mark: str, table: str) -> str:
    """`text` with the table behind a mark."""
    before, start, rest = text.partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition("<!-- end -->")
    return before + start + table + "\n" + end + after


def family(title: str) -> str:
    """ "VGG-16, batch norm" -> "VGG, batch norm", "SqueezeNet 1.0" -> "SqueezeNet"."""
    return re.sub(r"[- ][\d.]+", "", title)


def figure() -> Figure:
    """Published top-1 accuracy against parameters and against depth."""
    fig = Figure((WIDTH, 4.1), layout="constrained")
    panels = fig.subplots(1, 2, sharey=True)
    for panel, (ax, measure, ticks) in enumerate(
        zip(panels, ("parameters", "depth"), ((1e6, 3e6, 1e7, 3e7, 1e8), (8, 16, 32, 64, 128)), strict=True)
    ):
        for (name, places), colour, mark in zip(PLACES.items(), (*COLOURS[:2], *COLOURS[1:6]), MARKS, strict=True):
            _family(ax, name, measure, places[panel], colour, mark)
        ax.set(xscale="log", ylim=(55, 80))
        ax.margins(x=0.12)
        ax.set_xticks(ticks, [f"{tick / 1e6:g} M" if tick >= 1e6 else f"{tick}" for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g} %"))
        ax.set_xlabel(
            {"parameters": "parameters", "depth": "layers with weights, image to logits"}[measure], fontsize=9, color=INK
        )
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GREY)
        ax.tick_params(color=GREY, labelcolor=INK, labelsize=8)
        ax.grid(color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
    panels[0].set_ylabel("top-1 accuracy on ImageNet: published, not run by us", fontsize=9, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=8, labelcolor=INK)
    return fig


def _family(ax: Axes, name: str, measure: str, place: tuple[int, int], colour: str, mark: str) -> None:
    nets = [net for net in ROWS.values() if family(net["title"]) == name and net["top1"] is not None]
    x, y = ([net[key] for net in nets] for key in (measure, "top1"))
    face = "white" if "batch norm" in name else colour
    ax.plot(
        x, y, f"{mark}-" if len(nets) > 1 else mark, color=colour, mfc=face, ms=5.5, lw=1, label=f"{name} ({nets[0]['year']})"
    )
    for net in nets:
        number = re.search(r"-(\d+)", net["title"])
        align = {"ha": "left" if place[0] > 0 else "right", "va": "center"}
        ax.annotate(
            number[1] if number else name,
            (net[measure], net["top1"]),
            place,
            textcoords="offset points",
            fontsize=7,
            color=INK,
            **align,
        )


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    new = filled(text, "nets", table())
    for kind in ("segment", "caption"):
        new = filled(new, kind, kind_table(kind))
    if "--check" in sys.argv:
        if new != text:
            sys.exit(f"{PAGE.name} is not what catalogue and published scores say: run python bench/landmarks.py")
        return
    PAGE.write_text(new, encoding="utf-8")
    FIGURE.write_bytes(png_bytes(figure()))


if __name__ == "__main__":
    main()
