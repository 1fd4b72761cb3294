"""Roundings against NumPy's and torch's own formats, against every number that a format has, and against loops."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gipi.ops.rounding import cast, integers, mantissa, scaled

few = settings(max_examples=100, deadline=None)
floats = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=12)
FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)
BITS = {torch.float16: 10, torch.bfloat16: 7, torch.float8_e4m3fn: 3, torch.float8_e5m2: 2}


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Equal to the last bit, the sign of zero included; any NaN equals any other."""
    nan = ours.isnan() & theirs.isnan()
    return bool((nan | (ours.view(torch.int32) == theirs.view(torch.int32))).all())


def every(dtype: torch.dtype) -> torch.Tensor:
    """Every finite number of a format, smallest first."""
    kind = torch.uint8 if dtype in FP8 else torch.int16
    count = 256 if dtype in FP8 else 65_536
    raw = (
        torch.arange(count).to(torch.int32).to(kind)
        if dtype in FP8
        else torch.from_numpy(np.arange(count, dtype=np.uint16).view(np.int16))
    )
    numbers = raw.view(dtype).float()
    return numbers[numbers.isfinite()].unique()


def around(numbers: torch.Tensor) -> torch.Tensor:
    """Every number, the ties between neighbours, and the float32 next to each of these on either side."""
    ties = (numbers[1:].double() + numbers[:-1].double()) / 2
    assert (ties.float().double() == ties).all()
    points = torch.cat([numbers, ties.float()])
    up, down = (points.nextafter(torch.full_like(points, end)) for end in (math.inf, -math.inf))
    return torch.cat([points, up, down])


@pytest.mark.parametrize("dtype", BITS, ids=str)
def test_a_cast_takes_the_nearest_number_that_there_is_and_of_two_the_even_one(dtype):
    numbers = every(dtype)
    assert (
        len(numbers) == {torch.float16: 63_487, torch.bfloat16: 65_279, torch.float8_e4m3fn: 253, torch.float8_e5m2: 247}[dtype]
    )
    values = around(numbers)
    values = values[(values >= numbers[0]) & (values <= numbers[-1])]
    above = torch.searchsorted(numbers, values).clamp(min=1)
    low, high = numbers[above - 1].double(), numbers[above].double()
    to_low, to_high = values.double() - low, high - values.double()
    odd = (torch.arange(len(numbers)) - int((numbers == 0).nonzero())) % 2  # zero is even, and so is every other one
    nearest = torch.where((to_low < to_high) | ((to_low == to_high) & (odd[above - 1] == 0)), low, high)
    assert (cast(values, dtype).double() == nearest).all()


def test_float16_is_numpys_to_the_last_bit():
    every_one = torch.from_numpy(np.arange(65_536, dtype=np.uint16).view(np.float16).astype(np.float32))
    finite = every_one[every_one.isfinite()].unique()
    beyond = torch.tensor([65_519.996, 65_520.0, 1e30, math.inf, -math.inf, math.nan, 2.0**-25, 2.0**-26, -0.0])
    values = torch.cat([every_one, around(finite), beyond, -beyond])
    with np.errstate(over="ignore"):
        numpys = torch.from_numpy(values.numpy().astype(np.float16).astype(np.float32))
    assert same(cast(values, torch.float16), numpys)
    assert same(cast(every_one, torch.float16), every_one)


def test_what_is_too_large_becomes_infinite():
    assert cast(torch.tensor([65_520.0, -1e9]), torch.float16).tolist() == [math.inf, -math.inf]
    assert cast(torch.tensor([3.4e38, 61_440.0]), torch.bfloat16).tolist() == [math.inf, 61_440.0]
    assert cast(torch.tensor([61_440.0, -1e9]), torch.float8_e5m2).tolist() == [math.inf, -math.inf]
    assert cast(torch.tensor([464.0]), torch.float8_e4m3fn).item() == 448  # a tie, and 448 is the even one


def test_seven_bits_are_bfloat16_for_every_float32_of_a_grid():
    raw = torch.arange(-(2**31), 2**31, 40_503, dtype=torch.int64).to(torch.int32)
    special = torch.tensor([math.inf, -math.inf, math.nan, 3.4e38, -3.4e38, 1e-45, 0.0, -0.0])
    nans = torch.tensor([0x7F800001, 0x7FFFFFFF, -1], dtype=torch.int64).to(torch.int32).view(torch.float32)
    values = torch.cat([raw.view(torch.float32), around(every(torch.bfloat16)), special, nans])
    assert same(mantissa(values, 7), cast(values, torch.bfloat16))


@pytest.mark.parametrize("dtype", BITS, ids=str)
def test_so_many_bits_are_those_of_a_format_where_its_numbers_are_normal(dtype):
    values, info = around(every(dtype)), torch.finfo(dtype)
    values = values[(values.abs() >= info.smallest_normal) & (values.abs() <= info.max)]
    assert len(values) > 500
    assert same(mantissa(values, BITS[dtype]), cast(values, dtype))


@few
@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(1, 22))
def test_any_number_of_bits_by_fractions(value, bits):
    got = mantissa(torch.tensor([value]), bits).item()
    power = max(math.frexp(value)[1] - 1, -126)  # below, the steps get no finer
    step = Fraction(2) ** (power - bits)
    want = round(Fraction(value) / step) * step  # of a Fraction: ties to even
    assert got == want if abs(want) < 2**128 else math.isinf(got)
    assert math.copysign(1, got) == math.copysign(1, value)


@pytest.mark.parametrize("bits", [0, 23, -1])
def test_other_numbers_of_bits_are_refused(bits):
    with pytest.raises(ValueError, match="1 to 22 bits"):
        mantissa(torch.ones(1), bits)


@few
@given(floats, st.sampled_from(FP8))
def test_a_scale_brings_the_largest_to_the_largest(numbers, dtype):
    values = torch.tensor(numbers)
    got = scaled(values, dtype)
    assert got.isfinite().all()
    place = values.abs().argmax()
    assert got[place].item() == pytest.approx(values[place].item(), rel=1e-6)
    step = values.abs().max().item() / torch.finfo(dtype).max
    half = values.abs() * 2.0 ** -(BITS[dtype] + 1) + step * torch.finfo(dtype).smallest_normal * 2.0 ** -(BITS[dtype] + 1)
    assert ((got - values).abs() <= half * (1 + 1e-5) + 1e-37).all()


def test_zeros_stay_zeros():
    zeros = torch.zeros(3, 2)
    for got in (scaled(zeros, torch.float8_e4m3fn), integers(zeros, 8), integers(zeros, 8, channels=True), mantissa(zeros, 3)):
        assert got.tolist() == zeros.tolist()


def by_loops(values: torch.Tensor, bits: int, channels: bool) -> list[float]:
    """Integers with a scale, one number after another; Python's round takes the even one of a tie."""
    top, out = 2 ** (bits - 1) - 1, []
    for part in values if channels else [values]:
        flat = [np.float32(value) for value in part.flatten().tolist()]
        step = max(abs(value) for value in flat) / np.float32(top)
        out += [float(np.float32(min(top, max(-top, round(float(value / step))))) * step) if step else 0.0 for value in flat]
    return out


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("bits", [8, 6, 4, 3, 2])
def test_integers_are_those_of_a_loop(bits, channels):
    drawn = torch.Generator().manual_seed(bits)
    for shape in ((4, 3, 3, 3), (5, 7), (1, 1)):
        values = torch.randn(shape, generator=drawn) * torch.rand(shape[0], *[1] * (len(shape) - 1), generator=drawn)
        assert integers(values, bits, channels=channels).flatten().tolist() == by_loops(values, bits, channels)


@few
@given(floats, st.integers(2, 8))
def test_integers_err_by_half_a_step_at_most_and_keep_the_largest(numbers, bits):
    values = torch.tensor(numbers)
    got, largest = integers(values, bits), values.abs().max().item()
    step = largest / (2 ** (bits - 1) - 1)
    assert ((got - values).abs() <= 0.5 * step * (1 + 1e-5) + 1e-37).all()
    assert got.abs().max().item() == pytest.approx(largest, rel=1e-6, abs=1e-37)
    assert len(got.unique()) <= 2**bits - 1
    assert (integers(-values, bits) == -got).all()


def test_two_bits_are_minus_one_nothing_and_one():
    values = torch.tensor([[-2.0, 0.9, 1.1, 0.0], [0.5, -0.2, 0.3, 0.1]])
    assert integers(values, 2).tolist() == [[-2, 0, 2, 0], [0, 0, 0, 0]]
    assert integers(values, 2, channels=True).tolist() == [[-2, 0, 2, 0], [0.5, 0, 0.5, 0]]
    with pytest.raises(ValueError, match="2 bits or more"):
        integers(values, 1)
