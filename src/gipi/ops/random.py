"""Random numbers that have an address: (seed, epoch, index of the sample)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def uniforms(seed: int, epoch: int, index: Int64[Tensor, " n"], count: int) -> Float[Tensor, "n count"]:
    """`count` random numbers in [0, 1) for every sample: a pure function of (seed, epoch, index, column).

    seed, epoch: below 2**63.  Multiples of 2**-24, bitwise the same on every device. Each sample is a SplitMix64 stream
    (Steele, Lea and Flood, OOPSLA 2014) that starts at a hash of its address.
    """
    key = _mix(_mix(torch.full_like(index, seed) + _GAMMA) + epoch)
    start = _mix(key + index)
    column = torch.arange(1, count + 1, device=index.device)
    mixed = _mix(start.unsqueeze(1) + column * _GAMMA)
    return _shift(mixed, 40).float() * 2.0**-24


def normals(seed: int, epoch: int, index: Int64[Tensor, " n"], count: int) -> Float[Tensor, "n count"]:
    """`count` numbers of N(0, 1) for every sample, as `uniforms` gives its: Box and Muller, Ann. Math. Stat. 29, 1958."""
    pairs = uniforms(seed, epoch, index, 2 * -(-count // 2))
    radius = (-2 * (1 - pairs[:, ::2]).log()).sqrt()  # 1 - u is above 0
    angle = 2 * torch.pi * pairs[:, 1::2]
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 2).flatten(1)[:, :count]


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


_GAMMA = _signed(0x9E3779B97F4A7C15)


def _shift(x: Int64[Tensor, "*any"], bits: int) -> Int64[Tensor, "*any"]:
    """The logical right shift; torch's own keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Int64[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
    """SplitMix64's finaliser, a bijection of 64-bit words; int64 products wrap around like unsigned ones."""
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)
