"""The ladder as a picture: a bar for each rung."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from gipi.bench.rungs import LeftOut
from gipi.bench.table import Line
from gipi.inspect.figures import COLOURS, FAINT, GREY, INK, WIDTH, short

ROW = 0.42  # inches
REASON = 88  # letters


def ladder_figure(table: Sequence[Line], left_out: Sequence[LeftOut], *, title: str) -> Figure:
    """Bars of images a second, first rung on top, with the range of the repeats, the speed-up over the first rung and, of a rung
    that learns less than plain PyTorch, the word WRONG. Below them what was left out, and why."""
    foot = 0.19 * len(left_out)
    height = 1.1 + ROW * len(table) + foot
    fig = Figure((WIDTH, height))
    ax = fig.add_axes((0.24, (0.5 + foot) / height, 0.72, ROW * len(table) / height))
    for place, line in enumerate(table):
        speed = line.speed
        colour = COLOURS["validation" if line.wrong else "train"]
        ax.barh(place, speed.median, height=0.62, color=colour)
        ax.plot([speed.low, speed.high], [place, place], color=INK, lw=1, marker="|", ms=5)
        label = f"{speed.median:,.0f}   x {line.over_first:.1f}" + ("   WRONG" if line.wrong else "")
        ax.annotate(label, (max(speed.median, speed.high), place), (6, 0), textcoords="offset points",
                    va="center", fontsize=9, color=INK)  # fmt: skip
    ax.set_yticks(range(len(table)), [line.measured.rung.name for line in table])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlim(0, 1.25 * max(line.speed.high for line in table))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.tick_params(color=GREY, labelcolor=INK, labelsize=9, left=False)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(GREY)
    fig.text(0.02, 1 - 0.3 / height, title, fontsize=11, color=INK, va="center")
    for number, (name, reason) in enumerate(left_out):
        words = f"left out  {short(f'{name}: {reason}', REASON)}"
        fig.text(0.02, (foot - 0.19 * number - 0.08) / height, words, fontsize=8, color=GREY, va="center")
    return fig
