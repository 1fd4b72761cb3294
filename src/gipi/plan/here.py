"""This machine as a device: its peaks, and what each kind of kernel reaches of them, measured in a few seconds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.config import OptimConfig
from gipi.engine.machine import free_memory
from gipi.engine.optim import Optim
from gipi.engine.peaks import copy_peak, matmul_peak, wait
from gipi.engine.place import Place, decide_place
from gipi.plan.devices import HERE, Device
from gipi.plan.roofline import HEAVY
from gipi.plan.trace import watched

# Memory that glibc's heap holds for each byte of a step's blocks, with the engine's settings: blocks of many sizes come and go,
# and not all gaps between them are of use. Measured on seven nets, one number for all (docs/plan.md); of CUDA an assumption.
HELD = {"cpu": 1.4, "cuda": 1.1}
LAUNCH_S = 8e-6
CUDA_BASE = 1e9  # of a CUDA context with its libraries: an assumption
REPEATS = 5


@dataclass(frozen=True)
class Probe:
    """A layer that stands for its kind, and the images (n, c, h, w) or values (n, c) it is measured on."""

    kind: str
    layer: Callable[[], nn.Module]
    shape: tuple[int, ...]


class _Add(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(x + x)


def _conv(inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups, bias=False)


PROBES = (
    Probe("conv", _conv(64, 64, 3), (4, 64, 56, 56)),
    Probe("conv", _conv(256, 256, 3), (4, 256, 14, 14)),
    Probe("conv 1x1", _conv(64, 256, 1), (4, 64, 56, 56)),
    Probe("conv 1x1", _conv(1024, 256, 1), (4, 1024, 14, 14)),
    Probe("depthwise", _conv(144, 144, 3, groups=144), (4, 144, 56, 56)),
    Probe("depthwise", _conv(384, 384, 3, groups=384), (4, 384, 14, 14)),
    Probe("first conv", _conv(3, 64, 7, 2), (4, 3, 224, 224)),
    Probe("affine", lambda: nn.Linear(2048, 1024, bias=False), (256, 2048)),
    Probe("batch norm", lambda: nn.BatchNorm2d(64), (8, 64, 112, 112)),
    Probe("pool", lambda: nn.MaxPool2d(3, 2, 1), (8, 64, 112, 112)),
    Probe("dropout", lambda: nn.Dropout(0.5), (8, 64, 56, 56)),
    Probe("elementwise", _Add, (8, 64, 112, 112)),
)


def here(place: Place) -> Device:
    """This machine in the place's number format: the device that the place is on, with its threads as they are set."""
    peak, bandwidth = matmul_peak(place), copy_peak(place)
    cpu = place.device.type == "cpu"
    return Device(
        name=HERE,
        flops={place.precision: peak},
        memory=free_memory() if cpu else torch.cuda.get_device_properties(place.device).total_memory,
        bandwidth=bandwidth,
        link=bandwidth / 2,  # another process of the same machine: written by one, read by the other
        network=bandwidth / 2,
        source=f"measured now on {place}",
        shares=measured_shares(place, peak, bandwidth),
        reach={place.precision: 1.0},
        launch=LAUNCH_S,
        held=HELD[place.device.type],
        base=base(place.precision) if cpu else CUDA_BASE,
    )


def measured_shares(place: Place, peak: float, bandwidth: float) -> dict[tuple[str, bool], float]:
    """What each kind of kernel reaches of `peak` (operations/s) or of `bandwidth` (bytes/s), the geometric mean of its probes."""
    found: dict[tuple[str, bool], list[float]] = {}
    for probe in PROBES:
        for backward, rate in zip((False, True), _rates(probe, place), strict=True):
            found.setdefault((probe.kind, backward), []).append(rate / (peak if probe.kind in HEAVY else bandwidth))
    shares = {key: statistics.geometric_mean(rates) for key, rates in found.items() if min(rates) > 0}
    return {**shares, ("dropout", True): shares["elementwise", True]}  # a multiplication


def _rates(probe: Probe, place: Place) -> tuple[float, float]:
    """(forward, backward): operations/s of a layer that computes, bytes/s of another, counted as `plan.trace` does."""
    layer = place.put_net(probe.layer().train())
    values = torch.rand(probe.shape, device=place.device)
    values = (place.put_images(values) if values.ndim == 4 else values).to(
        place.dtype if probe.kind not in HEAVY else values.dtype
    )
    values.requires_grad_(probe.kind != "first conv")

    def forward() -> Tensor:
        with place.autocast():
            return layer(values)

    seed = torch.ones_like(forward())
    kernels = watched(forward, lambda out: out.backward(seed))
    work = [
        sum(k.flops if probe.kind in HEAVY else k.moved for k in kernels if k.backward == backward and k.kind == probe.kind)
        for backward in (False, True)
    ]
    seconds: list[tuple[float, float]] = []
    for _ in range(REPEATS + 1):
        layer.zero_grad(set_to_none=True)
        values.grad = None
        start = _now(place)
        out = forward()
        middle = _now(place)
        out.backward(seed)
        seconds.append((middle - start, _now(place) - middle))
    usual = [statistics.median(times) for times in zip(*seconds[1:], strict=True)]
    return work[0] / usual[0], work[1] / usual[1]


def _now(place: Place) -> float:
    wait(place)
    return time.perf_counter()


def base(precision: str) -> float:
    """Bytes resident in a process of its own that has trained a tiny net on the CPU: all that a step needs is loaded then."""
    code = f"from gipi.plan.here import train_tiny; print(train_tiny({precision!r}))"
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    return int(done.stdout.split()[-1])


def train_tiny(precision: str) -> int:
    """`peak_resident` of this process after one step of the smallest net."""
    import gipi.api  # noqa: F401  # as every training does
    from gipi.models.convstack import digitnet_tiny

    place = decide_place(device="cpu", precision=precision)
    net = place.put_net(digitnet_tiny().train())
    images = place.put_images(torch.rand(8, 1, 28, 28))
    Optim(net, OptimConfig("momentum"), place, 1).minimize(lambda part: (net(part).float().square().mean(), 8, {}), images)
    return peak_resident()


def peak_resident() -> int:
    """Most bytes of memory that this process has had. (On Linux getrusage would also count its parent's.)"""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))
    except OSError:
        import resource  # not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
