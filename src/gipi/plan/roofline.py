"""How long a step takes, by the roofline: a kernel is bound by arithmetic or by memory, whichever takes longer.

Source: Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model", CACM 52, 2009. What a kind of kernel
reaches of either ceiling is a share in the device's table.
"""

from __future__ import annotations

from dataclasses import dataclass

from gipi.plan.devices import Device
from gipi.plan.kernels import Kernel
from gipi.plan.trace import Step

HEAVY = ("conv", "conv 1x1", "depthwise", "first conv", "affine")
STATES = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1, "adam": 2, "adamw": 2}  # numbers a weight


@dataclass(frozen=True)
class Times:
    """Seconds of a step on one device, without other devices."""

    forward: float
    backward: float
    update: float

    @property
    def step(self) -> float:
        return self.forward + self.backward + self.update


def kernel_s(kernel: Kernel, device: Device, precision: str) -> float:
    """Seconds of a kernel: of its arithmetic or its memory traffic, and never less than it takes to start one."""
    share = device.shares[kernel.kind, kernel.backward]
    if kernel.kind not in HEAVY:
        return max(kernel.moved / (share * device.bandwidth), device.launch)
    reach = device.shares["elementwise", kernel.backward]
    computing = kernel.flops / (share * device.reach[precision] * device.peak(precision))
    return max(computing, kernel.moved / (reach * device.bandwidth), device.launch)


def times(step: Step, device: Device, precision: str, *, rule: str, averaged: bool, weights: float, parts: int = 1) -> Times:
    """Seconds of `parts` steps' passes and of one update.

    rule: that changes the weights.  averaged: whether a running average of them is kept.  weights: bytes of those that this
    device updates. An update reads weights, gradients and states, and writes weights and states.
    """
    forward, backward = (
        parts * sum(kernel_s(kernel, device, precision) for kernel in step.kernels if kernel.backward == wanted)
        for wanted in (False, True)
    )
    moved = weights * (3 + 2 * STATES[rule] + 3 * averaged)
    return Times(forward, backward, moved / (device.shares["elementwise", False] * device.bandwidth))
