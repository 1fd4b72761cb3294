"""Why a net gives an answer: the places of the picture that speak for a class, by Grad-CAM.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", arXiv 1610.02391,
section 3, equations 1 and 2; the heat is brought to the picture's size bilinearly and scaled to a largest value of 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.errors import ConfigError
from gipi.inspect.figures import INK, WIDTH, box, frame, short, show
from gipi.inspect.reach import ADAPTIVE_POOLS, POOLS
from gipi.models.backbone import Backbone
from gipi.models.ensemble import Ensemble

COLUMNS = 3
HEAT = "inferno"
COVER = 0.65  # of the picture, by the hottest place


def grad_cam(net: nn.Module, image: Float[Tensor, "1 c h w"], label: int) -> Float[Tensor, "h w"]:
    """How much each place of `image` speaks for class `label`: 0 to 1, the largest 1; all 0 where nothing speaks for it.

    The channels of the deepest feature map, each weighted by the mean over all places of the gradient of the class's logit, are
    added up, and what is below 0 is cut off. The map is the last one of more than one place, in front of the head and of any
    pooling in front of that. Of an ensemble, the mean over its members.
    image: scaled as the net takes it. The net is run in eval mode and left as it was.
    Raises ConfigError if the net does not take its shape, has no such map or no such class.
    """
    if isinstance(net, Ensemble):
        return torch.stack([grad_cam(member, image, label) for member in net.nets]).mean(0)
    if image.ndim != 4 or len(image) != 1:
        raise ConfigError(f"a heat map is of one image: allowed is (1, c, h, w), got {tuple(image.shape)}")
    with torch.enable_grad():
        logits, maps = _run(net, image)
        if not 0 <= label < logits.shape[1]:
            raise ConfigError(f"the net has no class {label}: allowed are 0 to {logits.shape[1] - 1}")
        (gradient,) = torch.autograd.grad(logits[0, label], maps)
    heat = (gradient.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True).relu().float()
    heat = F.interpolate(heat, image.shape[2:], mode="bilinear")[0, 0]
    peak = heat.max()
    return heat / peak if peak > 0 else torch.zeros_like(heat)


def _run(net: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """The logits of one image and the deepest feature map, connected to them by autograd."""
    like = next(net.parameters(), image)
    modes = {module: module.training for module in net.modules()}
    head = net.head if isinstance(net, Backbone) else None
    found: list[Tensor] = []
    behind = False

    def keep(layer: nn.Module, _inputs: object, output: object) -> None:
        nonlocal behind
        behind = behind or layer is head
        if not behind and isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            found[:] = [output]

    # What a Sequential puts out is its last layer's, perhaps a pool's.
    hooks = [
        layer.register_forward_hook(keep) for layer in modes if not isinstance(layer, (nn.Sequential, *POOLS, *ADAPTIVE_POOLS))
    ]
    try:
        net.eval()
        # The image needs a gradient where the weights want none; a copy, since a net may begin with a layer in place.
        logits = net(image.detach().to(like).requires_grad_().clone())
    except (RuntimeError, ValueError) as error:
        got = f"{tuple(image.shape[1:])} (channels, height, width)"
        raise ConfigError(f"the net does not take an image of shape {got}: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    if not found:
        raise ConfigError("the net has no feature map of more than one place, so nothing says where it looked")
    return logits, found[0]


def why_figure(image: UInt8[Tensor, "c h w"], answers: Sequence[tuple[str, float, Float[Tensor, "h w"]]]) -> Figure:
    """`image`, and beside it, for each of the `answers`, the image under the heat that speaks for it.

    answers: one or two of (class, probability, heat from 0 to 1).
    Raises DataError for an image not of 1 or 3 channels.
    """
    side, caption, head, foot = WIDTH / COLUMNS, 0.26, 0.42, 0.06  # inches
    tall = 0.96 * side * image.shape[1] / image.shape[2]
    total = head + caption + tall + foot
    fig = Figure((WIDTH, total))
    note = "Where the net looks for its answer: the brighter, the more a place speaks for the class (Grad-CAM).\n"
    note += "Each map has a scale of its own; what speaks against the class is not shown."
    fig.text(0.02 / COLUMNS, 1 - 0.06 / total, note, fontsize=8, color=INK, va="top")
    titles = ["what the net sees", *(f"{short(name, 24)}, {100 * chance:.1f} %" for name, chance, _ in answers)]
    for column, title in enumerate(titles):
        ax = fig.add_axes(box((column + 0.02) * side, head + caption, 0.96 * side, tall, total))
        show(ax, image if column == 0 else image.float().mean(0, keepdim=True).byte())  # colour is heat alone
        ax.set_title(title, fontsize=8, color=INK, pad=4, parse_math=False)
        if column:
            heat = answers[column - 1][2].cpu().numpy()
            ax.imshow(heat, cmap=HEAT, vmin=0, vmax=1, alpha=COVER * heat**0.5)
            frame(ax)
    return fig
