"""Numbers in fewer bits: each function gives back float32 values that the format can hold, to nearest, ties to even.

Formats: IEEE 754-2019 (float16); Kalamkar et al., arXiv 1905.12322 (bfloat16); NVIDIA, "A100 Tensor Core GPU Architecture", 2020
(TF32); Micikevicius et al., "FP8 Formats for Deep Learning", arXiv 2209.05433 (E4M3, E5M2). Integers with a scale: Jacob et al.,
arXiv 1712.05877, here symmetric, as in Nagel et al., "A White Paper on Neural Network Quantization", arXiv 2106.08295, section 2.
"""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor

MANTISSA = 23  # bits of a float32 behind its leading one
TINY = torch.finfo(torch.float32).tiny


def cast(values: Float32[Tensor, ...], dtype: torch.dtype) -> Float32[Tensor, ...]:
    """`values` as `dtype` holds them. What is too large becomes infinite; float8_e4m3fn has no infinity and is left to torch,
    whose versions differ: NaN or the largest number. `scaled` values are never too large."""
    return values.to(dtype).float()


def mantissa(values: Float32[Tensor, ...], bits: int) -> Float32[Tensor, ...]:
    """`values` with so many bits behind the leading one, 1 to 22, and the exponents of float32: 10 make TF32, 7 bfloat16.

    Subnormal numbers keep the upper `bits` of their fraction. What rounds beyond the largest number becomes infinite.
    Raises ValueError for another number of bits.
    """
    if not 1 <= bits < MANTISSA:
        raise ValueError(f"a float32 is rounded to 1 to {MANTISSA - 1} bits behind its leading one, got {bits}")
    drop = MANTISSA - bits
    raw = values.view(torch.int32)
    even = (raw >> drop) & 1  # a tie goes up only if the last kept bit is 1; a carry into the exponent is what it should be
    rounded = (raw + ((1 << (drop - 1)) - 1) + even) & -(1 << drop)
    return torch.where(values.isfinite(), rounded.view(torch.float32), values)


def scaled(values: Float32[Tensor, ...], dtype: torch.dtype) -> Float32[Tensor, ...]:
    """`values` as `dtype` holds them after a scale that brings the largest of them to its largest number: none is too large."""
    step = (values.abs().max() / torch.finfo(dtype).max).clamp(min=TINY)
    return cast(values / step, dtype) * step


def integers(values: Float32[Tensor, ...], bits: int, *, channels: bool = False) -> Float32[Tensor, ...]:
    """`values` as whole multiples, from -n to n with n = 2^(bits-1) - 1, of a step that brings the largest of them to n.

    channels: a step of its own for each part values[i], such as the filter of an output channel; else one for all.
    Raises ValueError for less than 2 bits, which leave no number but 0.
    """
    if bits < 2:
        raise ValueError(f"integers with a sign need 2 bits or more, got {bits}")
    top = 2 ** (bits - 1) - 1
    sizes = values.abs()
    largest = sizes.amax(tuple(range(1, values.ndim)), keepdim=True) if channels else sizes.max()
    step = (largest / top).clamp(min=TINY)
    return (values / step).round().clamp(-top, top) * step
