"""Which pixels move the values of a player, and, where it sees numbers, how it values each of these.

Source: Greydanus et al., "Visualizing and Understanding Atari Agents", arXiv 1711.00138, section 3, equations 1 to 3: a picture
is blurred at one place after another; the more that moves what the net says, the more it looks there.

Deviations: the change is the Euclidean length of that of all action values, where the paper has half the square of the change of
logits; every frame of the history is blurred at the place; the spot is of the paper's size in pictures of 84 pixels, 5 pixels
(standard deviation), and smaller in smaller ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, log10
from typing import NamedTuple

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torch.nn import functional as F

from gipi.inspect.figures import FAINT, GREY, INK, WIDTH, box, frame, short, show
from gipi.inspect.why import COVER, HEAT
from gipi.ops.gallery import MINUS

Values = Callable[[Tensor], Tensor]  # (n, c, h, w) to (n, actions)

SPOT, BLUR_PX = 5 / 84, 3.0  # standard deviations: of a spot, as a share of the longer side; of what blurs in it
PLACES = 21  # to a side, about, at which larger pictures are blurred
AT_ONCE = 256
MOMENTS = 6  # of a game
POINTS, NUMBERS = 41, 12  # of a curve; of the numbers seen, drawn at most
PAINTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222")  # of actions, in turn
SEEN = {"CartPole-v1": ("place of the cart, m", "speed of the cart, m/s", "angle of the pole, rad", "speed of the angle, rad/s")}


class State(NamedTuple):
    """stacked: (1, c, h, w), what the net sees, its newest frame last.  values: (actions,).  action: what was done then."""

    stacked: Tensor
    values: Tensor
    action: int
    step: int


def spread(count: int) -> list[int]:
    """At most six of so many moments, in the middle of equal parts."""
    parts = min(MOMENTS, count)
    return [(2 * part + 1) * count // (2 * parts) for part in range(parts)]


def moved_by(values: Values, stacked: Float[Tensor, "1 c h w"]) -> Float[Tensor, "h w"]:
    """How far the values move, as the length of their change, if all channels are blurred around a pixel.

    Of pictures up to 31 pixels each pixel is the middle of a spot; of larger ones 21 places a side, about, with what is between
    them interpolated.
    """
    height, width = stacked.shape[2:]
    pixels = stacked.float()
    blurred = _smear(height) @ pixels @ _smear(width).T
    step, size = max(1, round(max(height, width) / PLACES)), SPOT * max(height, width)
    rows, columns = (_spots(side, -(-side // step), size) for side in (height, width))
    spots = (rows[:, None, :, None] * columns[None, :, None, :]).flatten(0, 1)[:, None]  # (places, 1, h, w)
    still = values(pixels)
    moved = [values(pixels + part * (blurred - pixels)) - still for part in spots.split(AT_ONCE)]
    heat = torch.cat(moved).norm(dim=1).view(1, 1, len(rows), len(columns))
    return F.interpolate(heat, (height, width), mode="bilinear")[0, 0]


def _spots(side: int, count: int, size: float) -> Float[Tensor, "count side"]:
    """Bells of height 1 around the middles of equal parts of a side."""
    middles = (torch.arange(count) + 0.5) * side / count - 0.5
    return torch.exp(-0.5 * ((torch.arange(side) - middles[:, None]) / size) ** 2)


def _smear(side: int) -> Float[Tensor, "side side"]:
    """What blurs a row of pixels: each becomes a mean, weighted by nearness, of those that there are."""
    bells = _spots(side, side, BLUR_PX)
    return bells / bells.sum(1, keepdim=True)


def pixels_figure(values: Values, states: Sequence[State], actions: Sequence[str], channels: int) -> Figure:
    """Moments of a game in two columns: the newest frame, what moves the values in it, and the values.

    channels: of one frame, 1 or 3. Raises DataError for another number.
    """
    heats = [moved_by(values, state.stacked) for state in states]
    peak = max(float(heat.max()) for heat in heats)
    told = torch.stack([state.values for state in states])
    digits = min(4, max(0, 2 - floor(log10(float(told.max() - told.min()) or 1.0))))
    columns, caption, head, names = min(2, len(states)), 0.24, 0.4, 1.2  # inches
    height, width = states[0].stacked.shape[2:]
    cell = WIDTH / 2
    side = (cell - names) / 2
    tall = 0.96 * side * height / width
    rows = -(-len(states) // columns)
    total = head + rows * (caption + tall) + 0.06
    fig = Figure((WIDTH, total))
    note = "What moves the values: each place is blurred in turn; the brighter it is here, the further the values move.\n"
    note += f"One scale for all: the brightest place moves them by {peak:.2g}." if peak > 0 else "Here nothing does."
    fig.text(0.06 / WIDTH, 1 - 0.06 / total, note, fontsize=8, color=INK, va="top")
    for number, (state, heat) in enumerate(zip(states, heats, strict=True)):
        row, column = divmod(number, columns)
        left, top = column * cell + 0.06, head + row * (caption + tall) + caption
        newest = state.stacked[0, -channels:].clamp(0, 255).byte()
        plain, hot = (fig.add_axes(box(left + k * side, top, 0.96 * side, tall, total)) for k in (0, 1))
        show(plain, newest)
        plain.set_title(f"step {state.step:,}", fontsize=7, color=INK, pad=3, loc="left")
        show(hot, newest.float().mean(0, keepdim=True).byte())  # colour is heat alone
        share = (heat / peak if peak > 0 else heat).cpu().numpy()
        hot.imshow(share, cmap=HEAT, vmin=0, vmax=1, alpha=COVER * share**0.5)
        hot.set_title(f"up to {heat.max():.2g}", fontsize=7, color=INK, pad=3, loc="left")
        frame(hot)
        _told(fig, state, actions, digits, (left + 2 * side, top, tall, total))
    return fig


def _told(fig: Figure, state: State, actions: Sequence[str], digits: int, place: tuple[float, float, float, float]) -> None:
    """The values, that of the chosen action in colour. place: left, top, height and that of the figure, in inches."""
    left, top, tall, total = place
    line = min(0.15, tall / len(actions))
    for number, (name, value) in enumerate(zip(actions, state.values.tolist(), strict=True)):
        style = {"fontsize": min(6, 44 * line), "color": PAINTS[0] if number == state.action else GREY, "va": "center"}
        y = 1 - (top + (number + 0.5) * line) / total
        fig.text((left + 0.02) / WIDTH, y, short(name, 13), parse_math=False, **style)
        fig.text((left + 1.12) / WIDTH, y, f"{value:.{digits}f}".replace("-", MINUS), ha="right", **style)


def sweeps(
    values: Values, stacked: Float[Tensor, "k c 1 1"], low: Float[Tensor, " m"], high: Float[Tensor, " m"]
) -> tuple[Float[Tensor, "m p"], Float[Tensor, "m k p actions"]]:
    """What becomes of the values if one of the m newest numbers goes from low to high and all others stay: (where, values)."""
    places = low[:, None] + torch.linspace(0, 1, POINTS) * (high - low)[:, None]
    found = []
    for number, row in enumerate(places):
        asked = stacked.float().repeat_interleave(POINTS, 0)
        asked[:, len(asked[0]) - len(low) + number, 0, 0] = row.repeat(len(stacked))
        found.append(values(asked).unflatten(0, (len(stacked), POINTS)))
    return places, torch.stack(found)


def numbers_figure(
    values: Values,
    states: Sequence[State],
    low: Float[Tensor, " m"],
    high: Float[Tensor, " m"],
    actions: Sequence[str],
    names: tuple[str, ...] = (),
) -> Figure:
    """How the values change with each number seen, from the lowest to the highest of a game: a curve an action.

    states: thin is the curve at each, bold their mean.  names: of the numbers, which are counted if not given. Of more than
    twelve those are drawn that move the means most.
    """
    places, found = sweeps(values, torch.cat([state.stacked for state in states]), low, high)
    means = found.mean(1)  # (m, points, actions)
    most = (means.amax(1) - means.amin(1)).amax(1).argsort(descending=True, stable=True)[:NUMBERS].sort().values.tolist()
    head, cell, left, foot = 0.6, 2.1, 0.5, 0.52  # inches
    total = head + cell * -(-len(most) // 2)
    fig = Figure((WIDTH, total))
    note = "The values by each number that is seen, from its least to its greatest of the game.\n"
    note += f"Thin: in {len(states)} moments of the game; bold: their mean."
    fig.text(0.06 / WIDTH, 1 - 0.06 / total, note, fontsize=8, color=INK, va="top")
    shared: Axes | None = None
    for place, number in enumerate(most):
        row, column = divmod(place, 2)
        spot = column * WIDTH / 2 + left, head + row * cell, WIDTH / 2 - left - 0.2, cell - foot
        ax = shared = fig.add_axes(box(*spot, total), sharey=shared)
        where = places[number].numpy()
        for action, name in enumerate(actions):
            paint = PAINTS[action % len(PAINTS)]
            ax.plot(where, found[number, :, :, action].T.numpy(), color=paint, linewidth=0.5, alpha=0.4)
            ax.plot(where, means[number, :, action].numpy(), color=paint, linewidth=2, label=short(name, 24))
        _plain(ax, names[number] if names else f"number {number + 1}")
        if not column:
            ax.set_ylabel("Q", fontsize=9, color=INK)
    if shared:
        legend = fig.legend(*shared.get_legend_handles_labels(), loc="upper right", ncols=2, frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return fig


def _plain(ax: Axes, title: str) -> None:
    ax.set_xlabel(title, fontsize=9, color=INK)
    low, high = ax.get_xlim()
    ax.set_xticks([tick for tick in MaxNLocator(6).tick_values(low, high) if low <= tick <= high])
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.tick_params(labelsize=8, colors=GREY, length=0)
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ax.spines.values():
        side.set_visible(False)
