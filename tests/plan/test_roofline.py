"""Laws of the roofline, and the assumed shares against published speeds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gipi.config import NetConfig
from gipi.engine.place import DTYPES
from gipi.plan.devices import ASSUMED, DEVICES
from gipi.plan.kernels import Kernel
from gipi.plan.roofline import HEAVY, STATES, kernel_s, times
from gipi.plan.trace import Net, Step, trace

A100 = DEVICES["a100"]
numbers = st.floats(1, 1e14)
kernels = st.builds(Kernel, st.sampled_from(sorted({kind for kind, _ in ASSUMED})), st.booleans(), numbers, numbers)


@given(kernels)
def test_never_below_either_bound(kernel: Kernel) -> None:
    seconds = kernel_s(kernel, A100, "bf16")
    assert seconds >= kernel.moved / A100.bandwidth
    assert seconds >= A100.launch
    if kernel.kind in HEAVY:
        assert seconds >= kernel.flops / A100.peak("bf16")


@given(kernels, st.floats(1, 10))
def test_a_faster_device_is_never_slower_and_gains_what_bounds(kernel: Kernel, more: float) -> None:
    base = kernel_s(kernel, A100, "bf16")
    faster = replace(A100, flops={"bf16": more * A100.peak("bf16")}, bandwidth=more * A100.bandwidth)
    assert kernel_s(kernel, faster, "bf16") == pytest.approx(max(base / more, A100.launch))


def test_twice_the_peak_halves_what_arithmetic_bounds_and_leaves_the_rest():
    twice = replace(A100, flops={"bf16": 2 * A100.peak("bf16")})
    computing, moving = Kernel("conv", False, 1e13, 1e6), Kernel("conv", False, 1e6, 1e10)
    assert kernel_s(computing, twice, "bf16") == pytest.approx(kernel_s(computing, A100, "bf16") / 2)
    assert kernel_s(moving, twice, "bf16") == kernel_s(moving, A100, "bf16")
    assert kernel_s(Kernel("pool", True, 0, 1e10), twice, "bf16") == kernel_s(Kernel("pool", True, 0, 1e10), A100, "bf16")


def test_an_update_moves_weights_gradients_and_states_once_each_way(small: Net) -> None:
    unit = replace(A100, bandwidth=1.0, shares=dict.fromkeys(ASSUMED, 1.0))
    # momentum reads weights, gradients, momentum and writes weights, momentum; adam has two states; an average adds three more
    for rule, averaged, passes in (("sgd", False, 3), ("momentum", False, 5), ("adam", False, 7), ("adamw", True, 10)):
        assert times(small.step(2), unit, "bf16", rule=rule, averaged=averaged, weights=1.0).update == passes


def test_parts_run_the_passes_again(small: Net) -> None:
    once, thrice = (
        times(small.step(4), A100, "bf16", rule="sgd", averaged=False, weights=small.weights, parts=parts) for parts in (1, 3)
    )
    assert (thrice.forward, thrice.backward) == pytest.approx((3 * once.forward, 3 * once.backward))
    assert thrice.update == once.update


def test_states_are_those_that_the_rules_keep() -> None:
    from gipi.engine.optim import RULES

    for name, rule in RULES.items():
        weight = torch.zeros(1000, requires_grad=True)
        optimiser = rule([weight], lr=0.1)
        weight.grad = torch.ones(1000)
        optimiser.step()
        kept = sum(value.numel() for value in optimiser.state[weight].values() if value is not None and value.numel() > 1)
        assert kept == STATES[name] * 1000, name


@pytest.fixture(scope="module")
def small() -> Net:
    return trace(NetConfig("digitnet-tiny"), (1, 28, 28), torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "precision", "batch", "images_s"),
    [("a100", "bf16", 256, 2470), ("a100", "tf32", 256, 938), ("v100", "fp16", 256, 1200), ("v100", "fp32", 128, 367)],
)
def test_resnet50_is_within_30_percent_of_published_speeds(device, precision, batch, images_s):
    """NVIDIA, DeepLearningExamples, ResNet-50 v1.5 for PyTorch, one GPU of a DGX A100 and of a DGX-1."""
    step: Step = trace(NetConfig("resnet50"), (3, 224, 224), DTYPES[precision]).step(batch)
    seconds = times(step, DEVICES[device], precision, rule="momentum", averaged=False, weights=4 * 25_557_032).step
    assert 0.7 < batch / seconds / images_s < 1.3
