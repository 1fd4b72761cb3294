"""A net that computes in fewer bits, simulated: what a format rounds is rounded, sums are made in float32.

Two kinds of formats. In float16 and bfloat16 *everything* is: parameters, the picture, and what each layer puts out. That is the
textbook's experiment (Saito, Deep Learning from Scratch, section 8.3.4); NumPy, too, adds up products of float16 in float32.
In the others only the *factors* of products are: the weights of convolutions and affine layers and, in some formats, what these
layers read. Biases, batch norm and sums stay float32, as the units for such formats have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gipi.inspect.layers import observe
from gipi.ops.rounding import cast, integers, mantissa, scaled

Rounding = Callable[[Tensor], Tensor]
WEIGHTED = (nn.Conv2d, nn.Linear)  # layers that multiply by weights
SCALE = 4  # bytes of a scale, a float32


@dataclass(frozen=True)
class Format:
    """bits, value_bits: that a weight and an activation take in memory.  weights, values: what is done to them; None: nothing.

    everything: all parameters and all layers' outputs are rounded, not factors alone.  scales: a factor's scales, one for a
    "channel" or for a whole "layer", or none.
    """

    name: str
    bits: int
    value_bits: int = 32
    weights: Rounding | None = None
    values: Rounding | None = None
    everything: bool = False
    scales: Literal["none", "layer", "channel"] = "none"


def _halves(name: str, dtype: torch.dtype) -> Format:
    return Format(name, 16, 16, partial(cast, dtype=dtype), partial(cast, dtype=dtype), everything=True)


def _eighths(name: str, dtype: torch.dtype) -> Format:
    return Format(name, 8, 8, partial(scaled, dtype=dtype), partial(scaled, dtype=dtype), scales="layer")


def _weights(bits: int, scales: Literal["layer", "channel"]) -> Format:
    name = f"int{bits} weights{', one scale' if scales == 'layer' else ''}"
    return Format(name, bits, weights=partial(integers, bits=bits, channels=scales == "channel"), scales=scales)


BITS = (8, 6, 4, 3, 2)  # of integer weights
REFERENCE = Format("float64", 64, 64, everything=True)
CHANNELS = tuple(_weights(bits, "channel") for bits in BITS)
LAYERS = tuple(_weights(bits, "layer") for bits in BITS)
FORMATS = (
    Format("float32", 32, everything=True),
    Format("tf32", 32, 32, partial(mantissa, bits=10), partial(mantissa, bits=10)),  # float32 in memory
    _halves("bfloat16", torch.bfloat16),
    _halves("float16", torch.float16),
    _eighths("float8_e4m3fn", torch.float8_e4m3fn),
    _eighths("float8_e5m2", torch.float8_e5m2),
    Format("int8 dynamic", 8, 8, partial(integers, bits=8, channels=True), partial(integers, bits=8), scales="channel"),
    *CHANNELS,
    *LAYERS,
)


@contextmanager
def computing_in(form: Format, net: nn.Module) -> Iterator[nn.Module]:
    """`net`, which is float32, as it computes in `form`; afterwards, whatever happened, it is as it was."""
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    hooks = []
    try:
        if form.weights is not None:
            _round_weights(form.weights, net, form.everything)
        if form.values is not None:
            leaves = [module for module in net.modules() if next(module.children(), None) is None]
            readers = [net] if form.everything else [leaf for leaf in leaves if isinstance(leaf, WEIGHTED)]
            hooks += [reader.register_forward_pre_hook(partial(_round_read, form.values)) for reader in readers]
            if form.everything:
                hooks += [leaf.register_forward_hook(partial(_round_put_out, form.values)) for leaf in leaves]
        yield net
    finally:
        for hook in hooks:
            hook.remove()
        net.load_state_dict(kept)


def _round_read(rounds: Rounding, _layer: nn.Module, read: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (rounds(read[0]), *read[1:])


def _round_put_out(rounds: Rounding, _layer: nn.Module, _read: Any, put_out: Tensor) -> Tensor:
    return rounds(put_out)


@torch.no_grad()
def _round_weights(rounds: Rounding, net: nn.Module, everything: bool) -> None:
    if everything:
        tensors = [value for value in net.state_dict().values() if value.is_floating_point()]
    else:
        tensors = [layer.weight for layer in net.modules() if isinstance(layer, WEIGHTED)]
    for tensor in tensors:
        tensor.copy_(rounds(tensor))


def weight_bytes(form: Format, net: nn.Module) -> int:
    """Bytes of all that a file of `net` would hold in `form`: weights, their scales, and biases and batch norm, as kept.

    Numbers of fewer than 8 bits are taken to be packed without gaps.
    """
    total = sum(value.numel() for value in net.state_dict().values() if value.is_floating_point())
    if form.everything:
        return total * form.bits // 8
    layers = [layer for layer in net.modules() if isinstance(layer, WEIGHTED)]
    factors = sum(layer.weight.numel() for layer in layers)
    scales = {"none": 0, "layer": len(layers), "channel": sum(len(layer.weight) for layer in layers)}[form.scales]
    return -(-factors * form.bits // 8) + scales * SCALE + (total - factors) * 4


def values_read(net: nn.Module, image: Float[Tensor, "1 c h w"]) -> int:
    """How many numbers the layers with weights read for one image, the image among them."""
    counts: list[int] = []

    def visit(_name: str, layer: nn.Module, inputs: Any, _output: Any) -> None:
        if isinstance(layer, WEIGHTED):
            counts.append(inputs[0].numel())

    observe(net, image, visit)
    return sum(counts)
