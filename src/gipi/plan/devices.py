"""What a device can do at best, by its maker's data sheet. Prices are no facts that last, so there are none here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gipi.errors import ConfigError, nearest

GB, TERA = 1e9, 1e12
Shares = Mapping[tuple[str, bool], float]  # (kind of kernel, whether it is of the backward pass) -> share of the ceiling

# What kernels reach of the ceiling: convolutions and affine layers of the peak of arithmetic, in bf16 and fp16, the others of the
# memory's speed. Assumptions, not measured by us: round figures with which ResNet-50 comes within 30 % of NVIDIA's published
# training speeds on V100 and A100 (docs/plan.md). Batch norm reads its input more often than once. REACH multiplies the first
# kind: the peak of fp32 is low and easy to reach, that of tf32 high.
REACH = MappingProxyType({"fp32": 1.4, "tf32": 0.6, "bf16": 1.0, "fp16": 1.0})
ASSUMED: Shares = MappingProxyType(
    {(kind, backward): share for kind, share in {
        "conv": 0.6, "conv 1x1": 0.6, "depthwise": 0.02, "first conv": 0.2, "affine": 0.7,
        "batch norm": 0.6, "pool": 0.6, "dropout": 0.6, "elementwise": 0.8,
    }.items() for backward in (False, True)}
)  # fmt: skip


@dataclass(frozen=True)
class Device:
    """flops: dense peak of each number format, operations/s.  memory: bytes.  bandwidth: of the memory, bytes/s, read or written.

    link: to another device of the same node, network: of a node to others, bytes/s each way.
    shares: what kernels reach of these peaks, that of `flops` times `reach`.  launch: least time of a kernel, s: what Python and
    the driver need to start it.  held: memory that the allocator holds for each byte of a step's blocks.  base: bytes that
    PyTorch itself takes.
    """

    name: str
    flops: Mapping[str, float]
    memory: float
    bandwidth: float
    link: float
    network: float
    source: str
    shares: Shares = field(default_factory=lambda: ASSUMED, repr=False)
    reach: Mapping[str, float] = field(default_factory=lambda: REACH, repr=False)
    launch: float = 8e-6
    held: float = 1.1
    base: float = 1e9

    def peak(self, precision: str) -> float:
        """Operations/s of a number format. Raises ConfigError if the device does not compute it."""
        if precision not in self.flops:
            raise ConfigError(f"{self.name} does not compute {precision}{nearest(precision, self.flops)}")
        return self.flops[precision]

    def best(self) -> str:
        """The number format of `auto`: bf16 where there is one, as in a training."""
        return "bf16" if "bf16" in self.flops else "fp32"

    def over(self, bandwidth: float) -> Device:
        """With another network between nodes, bytes/s."""
        return replace(self, network=bandwidth)


def _gpu(name: str, memory: float, bandwidth: float, link: float, network: float, source: str, **teraflops: float) -> Device:
    flops = {precision: peak * TERA for precision, peak in teraflops.items()}
    return Device(name, flops, memory * GB, bandwidth * GB, link * GB, network * GB, source)


# From A100 on, data sheets give tensor-core peaks with sparsity, which training does not use: these are the dense halves. Links
# are given both ways together: these are one way. The network is that of NVIDIA's own machine with eight such GPUs, of the others
# 25 Gbit/s Ethernet. It differs by what is rented, so give --bandwidth.
_A100 = {"fp32": 19.5, "tf32": 156.0, "bf16": 312.0, "fp16": 312.0}
_HOPPER = {"fp32": 67.0, "tf32": 494.7, "bf16": 989.5, "fp16": 989.5}
DEVICES = {
    "v100": _gpu("v100", 16, 900, 150, 50, "NVIDIA V100 data sheet, SXM2 16 GB; DGX-1: 4 x 100 Gbit/s", fp32=15.7, fp16=125.0),
    "t4": _gpu("t4", 16, 320, 16, 3.125, "NVIDIA T4 data sheet; PCIe 3.0 x16", fp32=8.1, fp16=65.0),
    "a10": _gpu("a10", 24, 600, 32, 3.125, "NVIDIA A10 data sheet; PCIe 4.0 x16", fp32=31.2, tf32=62.5, bf16=125.0, fp16=125.0),
    "l4": _gpu("l4", 24, 300, 32, 3.125, "NVIDIA L4 data sheet; PCIe 4.0 x16", fp32=30.3, tf32=60.0, bf16=121.0, fp16=121.0),
    "a100-40": _gpu("a100-40", 40, 1555, 300, 200, "NVIDIA A100 data sheet, SXM 40 GB; DGX A100: 8 x 200 Gbit/s", **_A100),
    "a100": _gpu("a100", 80, 2039, 300, 200, "NVIDIA A100 data sheet, SXM 80 GB; DGX A100: 8 x 200 Gbit/s", **_A100),
    "h100": _gpu("h100", 80, 3350, 450, 400, "NVIDIA H100 data sheet, SXM; DGX H100: 8 x 400 Gbit/s", **_HOPPER),
    "h200": _gpu("h200", 141, 4800, 450, 400, "NVIDIA H200 data sheet, SXM; DGX H200: 8 x 400 Gbit/s", **_HOPPER),
}
HERE = "here"


def names() -> tuple[str, ...]:
    return (*DEVICES, HERE)
