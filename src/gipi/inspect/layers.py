"""What each layer of a net does: shape, parameters, multiply-adds, receptive field, and what it makes of one image.

Layers are the modules without children, in the order in which a forward pass runs them; operations that are not modules
(an addition, a concatenation) have no row of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gipi import showing
from gipi.errors import ConfigError
from gipi.inspect.reach import ADAPTIVE_POOLS, POOLS, Pair, Reach, pair, reach_after

STAGES = (nn.Conv2d, nn.ConvTranspose2d, nn.ReLU, nn.LeakyReLU, *POOLS, *ADAPTIVE_POOLS)


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    shape: of the output, without the batch.  parameters: those that no earlier row has counted.
    multiply_adds: of a convolution or affine layer, for one image.
    reach: the image's size after an affine layer, which sees all of it; None behind a layer of unknown geometry.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    reach: Reach | None


@dataclass(frozen=True)
class LayerTable:
    """The layers of a net for one image of size `image` (channels, height, width)."""

    image: tuple[int, int, int]
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """(header, rows) as text, the last row being the total."""
        header = ["layer", "kind", "output", "parameters", "multiply-adds", "field", "jump"]
        rows = [
            [
                *(layer.name, layer.kind, _times(layer.shape), f"{layer.parameters:,}", f"{layer.multiply_adds:,}"),
                *(("?", "?") if layer.reach is None else map(_side, layer.reach[:2])),
            ]
            for layer in self.layers
        ]
        return header, [*rows, ["total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", "", ""]]

    def text(self) -> str:
        """A table for a terminal."""
        header, rows = self.cells()
        lines = [header, *rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligns = "<<>>>>>"  # name and kind are words, the others numbers
        return "\n".join(
            "  ".join(f"{cell:{align}{width}}" for cell, align, width in zip(line, aligns, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        return showing.table(*self.cells())

    def json(self) -> dict[str, Any]:
        """{"image", "layers": one dict a layer, "parameters", "multiply_adds"}, ready for json.dumps."""
        layers = [{**asdict(layer), "reach": layer.reach and layer.reach._asdict()} for layer in self.layers]
        totals = {"parameters": self.parameters, "multiply_adds": self.multiply_adds}
        return {"image": self.image, "layers": layers, **totals}


def layer_table(net: nn.Module, shape: tuple[int, int, int]) -> LayerTable:
    """The layers that one image of `shape` (channels, height, width) runs through in eval mode.

    A layer's field follows from that of its input. An input that no layer has put out comes from an operation between
    layers (a sum or concatenation of branches) and is taken to have the largest field so far.
    Raises ConfigError if the net does not take such an image.
    """
    image, whole = torch.zeros(1, *shape), Reach(shape[1:], shape[1:], (0, 0))
    layers: list[Layer] = []
    counted: set[nn.Parameter] = set()
    # Tensors are kept, so that no later one gets the id of an earlier.
    reaches: dict[int, tuple[Tensor, Reach | None]] = {id(image): (image, Reach((1, 1), (1, 1), (0, 0)))}

    def visit(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        came, went = _tensor(inputs), _tensor(output)
        _, before = reaches.get(id(came)) or max(reaches.values(), key=lambda kept: _area(kept[1]))
        reach = whole if isinstance(layer, nn.Linear) else reach_after(layer, before, came.shape[-2:], went.shape[-2:])
        reaches[id(went)] = went, reach
        new = set(layer.parameters()) - counted
        counted.update(new)
        parameters, multiply_adds = sum(parameter.numel() for parameter in new), _multiply_adds(layer, came, went)
        layers.append(Layer(name, _kind(layer), tuple(went.shape[1:]), parameters, multiply_adds, reach))

    observe(net, image, visit)
    return LayerTable(shape, tuple(layers))


def fed(net: nn.Module, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """`shape` of an image (channels, height, width) as the net is fed it: of a net with a stride, sides are padded up to it.

    A generator of such images is fed noise.
    """
    if noise := getattr(net, "noise", 0):
        return noise, 1, 1
    stride = getattr(net, "stride", 1)
    return shape[0], -(-shape[1] // stride) * stride, -(-shape[2] // stride) * stride


def feature_maps(net: nn.Module, image: Float[Tensor, "1 c h w"]) -> list[tuple[str, Float[Tensor, "d i j"]]]:
    """(name, output) of each convolution, transposed ones too, ReLU and pooling in eval mode, shallow to deep.

    image: scaled as the net takes it. Raises ConfigError if the net does not take its shape.
    """
    maps: list[tuple[str, Tensor]] = []
    stages(net, image, lambda name, kind, values: maps.append((f"{name} {kind}", values.clone())))
    return maps


def stages(net: nn.Module, image: Float[Tensor, "1 c h w"], show: Callable[[str, str, Tensor], None]) -> None:
    """Of each of these layers, once it has run: show(name, kind, output (d, i, j)), which the next layer may write over."""
    if image.ndim != 4 or len(image) != 1:
        raise ConfigError(f"feature maps are of one image: allowed is (1, c, h, w), got {tuple(image.shape)}")

    def visit(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        values = _tensor(output)
        if isinstance(layer, STAGES) and values.ndim == 4:
            show(name, _kind(layer), values[0])

    observe(net, image, visit)


def observe(net: nn.Module, image: Tensor, visit: Callable[[str, nn.Module, Any, Any], None]) -> None:
    """Run images (n, c, h, w) through `net` in eval mode without gradients: visit(name, layer, inputs, output) after each layer.

    A net that is told where things may be is told the whole of one image. Raises ConfigError if it does not take their shape.
    """
    like = next(net.parameters(), image)
    modes = {module: module.training for module in net.modules()}
    whole = {"regions": like.new_tensor([[[0, 0, *image.shape[:1:-1]]]])} if getattr(net, "GIVEN", False) else {}
    leaves = [(name, module) for name, module in net.named_modules() if next(module.children(), None) is None]
    hooks = [leaf.register_forward_hook(partial(visit, name)) for name, leaf in leaves]
    try:
        net.eval()
        with torch.no_grad():
            net(image.to(like), **whole)
    except (RuntimeError, ValueError) as error:
        got = f"{tuple(image.shape[1:])} (channels, height, width)"
        raise ConfigError(f"the net does not take an image of shape {got}: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode


def _multiply_adds(layer: nn.Module, came: Tensor, went: Tensor) -> int:
    """Each weight is used once for every place of the output (of the input, if transposed)."""
    if isinstance(layer, nn.Conv2d):
        return layer.weight.numel() * went.shape[-2:].numel()
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.weight.numel() * came.shape[-2:].numel()
    if isinstance(layer, nn.Linear):
        return layer.weight.numel() * went.shape[:-1].numel()
    return 0


def _kind(layer: nn.Module) -> str:
    """MaxPool2d(3, 2) -> "max-pool 3x3, stride 2"; LeakyReLU -> "leaky-relu"."""
    if isinstance(layer, nn.Linear):
        return "affine"
    name = re.sub(r"(?<=[a-zA-Z])(?=[A-Z][a-z])", "-", type(layer).__name__.removesuffix("2d")).lower()
    if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, *POOLS)):
        return name
    kernel, stride = pair(layer.kernel_size), pair(layer.stride)
    usual = kernel if isinstance(layer, POOLS) else (1, 1)
    return f"{name} {_times(kernel)}" + ("" if stride == usual else f", stride {_side(stride)}")


def _tensor(value: Any) -> Tensor:
    """The tensor that a layer takes or gives: the first, if there are several."""
    while not isinstance(value, Tensor):
        value = value[0]
    return value


def _area(reach: Reach | None) -> float:
    return float("inf") if reach is None else reach.field[0] * reach.field[1]


def _side(size: Pair) -> str:
    return str(size[0]) if size[0] == size[1] else _times(size)


def _times(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
