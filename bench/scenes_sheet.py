"""Draw docs/images/scenes.png: twelve scenes with their boxes, their masks in colours and their sentences."""

from __future__ import annotations

import textwrap

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from common import ROOT
from gipi.data.scenes import COLOURS, scene
from gipi.inspect.figures import INK, WIDTH, box, png_bytes, show

COLUMNS, COUNT = 3, 12


def sheet(split: str = "test") -> Figure:
    """Of each of the first scenes: the picture with its boxes on the left, its mask on the right, its sentence below."""
    side, rows = WIDTH / COLUMNS, COUNT // COLUMNS
    picture, caption = 0.48 * side, 0.28  # inches
    tall = picture * 64 / 96
    height = rows * (tall + caption) + 0.06
    fig = Figure((WIDTH, height))
    for number in range(COUNT):
        row, column = divmod(number, COLUMNS)
        left, top = column * side + 0.015 * side, row * (tall + caption) + 0.06
        made = scene(split, number)
        ax = fig.add_axes(box(left, top, picture, tall, height))
        show(ax, torch.from_numpy(made.image))
        for x0, y0, x1, y1 in made.boxes:
            ax.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor="red", linewidth=0.7))
        coloured = np.array(COLOURS, np.uint8)[made.mask]
        show(fig.add_axes(box(left + 1.02 * picture, top, picture, tall, height)), torch.from_numpy(coloured).permute(2, 0, 1))
        text = textwrap.fill(made.sentence, 56)
        fig.text(left / WIDTH, 1 - (top + tall + 0.05) / height, text, fontsize=5.5, color=INK, va="top")
    return fig


if __name__ == "__main__":
    (ROOT / "docs/images/scenes.png").write_bytes(png_bytes(sheet()))
