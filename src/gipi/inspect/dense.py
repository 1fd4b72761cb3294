"""Why FCN: naming every pixel by a classifier moved over the image, window by window, against one pass of the same weights.

Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, section 3.1. There
AlexNet reads one window of 227x227 pixels in 1.2 ms on a GPU; as an FCN it makes the 10x10 scores of an image of 500x500 pixels
in 22 ms, where 100 windows, one for each score, would take 120 ms. Those windows are the second way below; the first has one
for every pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.errors import ConfigError
from gipi.inspect.figures import COLOURS, FAINT, GREY, INK, WIDTH, box, show
from gipi.inspect.layers import fed, layer_table
from gipi.models.fcn import FCNVGG
from gipi.showing import Told

WINDOW, STRIDE = 224, 32  # pixels: of VGG-16
BATCH, REPEATS = 4, 3  # windows read at once, and how often that is timed; the fastest counts
PAPER = (
    "In the paper (Long et al. 2015, section 3.1; AlexNet, 500x500 pixels, a GPU): 22 ms in one pass, 100 windows at 1.2 ms each."
)


@dataclass(frozen=True)
class Way:
    """passes: of a net through one image or window.  multiply_adds, seconds: of all of them; `timed` of them were timed."""

    name: str
    passes: int
    multiply_adds: int
    seconds: float
    timed: int


@dataclass(frozen=True)
class Dense(Told):
    """What naming the pixels of one image costs.

    image: channels, height, width as the net is fed it.  ways: every pixel, every 32nd pixel, one pass.
    alone: largest difference of the one pass over a single window from the classifier, as a share of its largest value: rounding.
    within: correlation of both on windows within the image, where the classifier pads and the one pass sees the next pixels;
    None for an image with no whole window in it.
    """

    image: tuple[int, int, int]
    ways: tuple[Way, Way, Way]
    alone: float
    within: float | None

    def text(self) -> str:
        """A table for a terminal, and what it shows."""
        once = self.ways[2]
        lines = [["", "passes", "multiply-adds", "x one pass", "seconds", "x one pass"]]
        for way in self.ways:
            work, time = way.multiply_adds / once.multiply_adds, way.seconds / once.seconds
            about = "" if way.timed == way.passes else "about "
            seconds = f"{about}{_number(way.seconds)}"
            lines.append([way.name, f"{way.passes:,}", f"{way.multiply_adds:,}", _number(work), seconds, _number(time)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(f"{cell:{'>' if place else '<'}{widths[place]}}" for place, cell in enumerate(line)) for line in lines]
        same = f"Of one window alone both make the same values, but for rounding: {self.alone:.1e} of the largest."
        if self.within is not None:
            same += (
                f"\nOf windows within the image they correlate by {self.within:.3f}: around its window the classifier sees zeros,"
            )
            same += "\nthe one pass the next pixels."
        timed = (
            f"Seconds of windows are from {self.ways[0].timed} of them, the fastest of {REPEATS} tries; of one pass, measured."
        )
        size = f"An image of {self.image[1]}x{self.image[2]} pixels, windows of {WINDOW}x{WINDOW} around each pixel:"
        return "\n".join([size, "", *table, "", timed, same, PAPER])

    def json(self) -> dict[str, Any]:
        """The same, ready for json.dumps."""
        once = self.ways[2]
        ratios = [
            {"multiply_adds": way.multiply_adds / once.multiply_adds, "seconds": way.seconds / once.seconds} for way in self.ways
        ]
        ways = [{**asdict(way), "times_one_pass": ratio} for way, ratio in zip(self.ways, ratios, strict=True)]
        return {"image": self.image, "window": WINDOW, "ways": ways, "alone": self.alone, "within": self.within}


def fcn_of_vgg(net: nn.Module) -> FCNVGG:
    """The net, if it is an FCN made of VGG-16; else ConfigError."""
    if not isinstance(net, FCNVGG):
        raise ConfigError(
            "pixels are named window by window by the classifier inside an FCN made of VGG-16, but this net is a "
            f"{type(net).__name__}: take fcn32s-vgg16, fcn16s-vgg16, fcn8s-vgg16 or a model trained from one"
        )
    return net


def compare(net: FCNVGG, image: Float[Tensor, "1 c h w"]) -> Dense:
    """Count and time the three ways for one image, scaled as the net takes it and padded to its stride; the net stays as it was.

    What is compared is what the last layer sees (fc7), as the scores of fresh weights are all 0.
    Raises ConfigError for an image that is not padded.
    """
    _, channels, height, width = image.shape
    shape = (channels, height, width)
    if fed(net, shape) != shape:
        raise ConfigError(f"the image must be padded to multiples of {net.stride} pixels, got {height}x{width}")
    modes = {module: module.training for module in net.modules()}
    try:
        once, reader = layer_table(net.eval(), shape).multiply_adds, classifier(net)
        each = layer_table(reader, (channels, WINDOW, WINDOW)).multiply_adds
        centres = spread(height, width)
        part = windows(image, centres)
        with torch.inference_mode():
            alone, within = _agreement(net, reader, image, centres, part)  # which also warms up
            at_once, by_window = _seconds(lambda: net(image)), _seconds(lambda: reader(part)) / len(part)
    finally:
        for module, mode in modes.items():
            module.training = mode
    every, cells, timed = height * width, (height // STRIDE) * (width // STRIDE), len(part) * REPEATS
    ways = (
        Way("a window around every pixel", every, every * each, every * by_window, timed),
        Way(f"around every {STRIDE}nd pixel", cells, cells * each, cells * by_window, timed),
        Way("one pass", 1, once, at_once, 1),
    )
    return Dense(shape, ways, alone, within)


def classifier(net: FCNVGG) -> nn.Sequential:
    """The VGG-16 in an FCN: of windows (n, c, 224, 224) the logits (n, classes), by the same weights, not copies of them."""

    def affine(name: str) -> nn.Linear:
        weight, bias = (net.get_parameter(f"{name}.{part}") for part in ("weight", "bias"))
        layer = nn.Linear(weight[0].numel(), len(weight), device="meta")  # numbers of its own are never drawn
        layer.weight, layer.bias = nn.Parameter(weight.flatten(1)), bias
        return layer

    affines = affine("fc6"), nn.ReLU(), affine("fc7"), nn.ReLU(), affine("score.32")
    return nn.Sequential(net.features, nn.Flatten(), *affines).eval()


def windows(image: Float[Tensor, "1 c h w"], centres: Sequence[tuple[int, int]]) -> Float[Tensor, "m c 224 224"]:
    """The window around each pixel (row, column), zeros outside the image; the pixel is the lower right of the middle four."""
    half = WINDOW // 2
    wide = F.pad(image, (half, half, half, half))
    return torch.cat([wide[:, :, row : row + WINDOW, column : column + WINDOW] for row, column in centres])


def spread(height: int, width: int) -> list[tuple[int, int]]:
    """Up to `BATCH` of the pixels that the one pass scores, those whose windows lie within the image; else the middle one."""
    lines = [range(STRIDE // 2, size, STRIDE) for size in (height, width)]
    whole = [
        [at for at in line if WINDOW // 2 <= at <= size - WINDOW // 2] for line, size in zip(lines, (height, width), strict=True)
    ]
    rows, columns = (inside or [line[len(line) // 2]] for inside, line in zip(whole, lines, strict=True))
    centres = [(row, column) for row in rows for column in columns]
    return centres[:: -(-len(centres) // BATCH)]


def dense_figure(found: Dense, image: UInt8[Tensor, "c h w"]) -> Figure:
    """The image with a dot on every 32nd pixel and the windows around two of them; beside it what each way costs.

    Raises DataError for an image not of 1 or 3 channels.
    """
    height, width = image.shape[1:]
    row, column = (size // 2 // STRIDE * STRIDE + STRIDE // 2 for size in (height, width))
    corners = [(row - WINDOW // 2, column - WINDOW // 2 + shift) for shift in (0, STRIDE)]
    top, left = min(0, corners[0][0]), min(0, corners[0][1])
    bottom, right = max(height, corners[0][0] + WINDOW), max(width, corners[1][1] + WINDOW)
    side, head = 2.4, 0.45  # inches
    tall = min(1.1 * side, side * (bottom - top) / (right - left))
    total = head + max(tall, 1.6) + 0.15
    fig = Figure((WIDTH, total))
    note = f"Windows of {WINDOW}x{WINDOW} pixels around two of the pixels that one pass scores (dots) share most of their work,"
    note += "\nthose around neighbouring pixels nearly all of it. One pass does it once."
    fig.text(0.06 / WIDTH, 1 - 0.06 / total, note, fontsize=8, color=INK, va="top")
    ax = fig.add_axes(box(0.06, head, side, tall, total))
    show(ax, image)
    ax.set_facecolor(FAINT)
    dots = torch.cartesian_prod(*(torch.arange(STRIDE // 2, size, STRIDE) for size in (height, width)))
    ax.scatter(dots[:, 1], dots[:, 0], s=3, color=COLOURS["test"], linewidths=0)
    for corner, colour in zip(corners, (COLOURS["validation"], COLOURS["train"]), strict=True):
        ax.add_patch(Rectangle((corner[1] - 0.5, corner[0] - 0.5), WINDOW, WINDOW, fill=False, color=colour, lw=1.4))
    ax.set(xlim=(left - 2, right + 1), ylim=(bottom + 1, top - 2))
    names = [way.name.replace(" around", "\naround") for way in found.ways]
    for place, name in enumerate(("multiply_adds", "seconds")):
        ax = fig.add_axes(box(3.95 + 1.55 * place, head + 0.15, 1.4, 1.4, total))
        _bars(ax, name.replace("_", "-"), [getattr(way, name) for way in found.ways], names if place == 0 else [""] * len(names))
    return fig


def _bars(ax: Axes, name: str, values: Sequence[float], names: Sequence[str]) -> None:
    """Bars on a logarithmic scale, which begins at a tenth of the smallest, each with its number."""
    low = min(values) / 10
    ax.barh(range(len(values)), values, color=[GREY, GREY, COLOURS["train"]], height=0.4)
    ax.set_xscale("log")
    ax.set(xlim=(low, max(values)), ylim=(len(values) - 0.7, -0.7), xticks=[])
    ax.xaxis.set_minor_locator(NullLocator())
    for at, value in enumerate(values):
        number = f"{value:.2g}" if value >= 1e6 else _number(value)
        ax.text(low, at - 0.23, f" {number}", fontsize=8, color=INK, va="bottom")
    ax.set_yticks(range(len(values)), names)
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(GREY)
    ax.set_title(f"{name} (log scale)", fontsize=8, color=INK, loc="left")


def _agreement(
    net: FCNVGG, reader: nn.Sequential, image: Tensor, centres: Sequence[tuple[int, int]], part: Tensor
) -> tuple[float, float | None]:
    """`alone` and `within` of `Dense`, on the windows `part` around `centres`."""
    read = reader[:-1](part)
    middle = WINDOW // STRIDE // 2
    alone = (net.maps(part)[STRIDE][..., middle, middle] - read).abs().max() / read.abs().max()
    if min(image.shape[-2:]) < WINDOW:
        return float(alone), None
    seen = net.maps(image)[STRIDE][0]
    there = torch.stack([seen[:, row // STRIDE, column // STRIDE] for row, column in centres])
    return float(alone), float(torch.corrcoef(torch.stack([there.flatten(), read.flatten()]))[0, 1])


def _number(value: float) -> str:
    """Three digits, or all in front of the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _seconds(call: Callable[[], Tensor]) -> float:
    """The fastest of `REPEATS` calls."""
    times: list[float] = []
    for _ in range(REPEATS):
        begin = perf_counter()
        call()
        times.append(perf_counter() - begin)
    return min(times)
