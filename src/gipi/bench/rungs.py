"""The rungs of the ladder: each trains the same net on the same batches and adds one thing to the rung that it stands on."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch

from gipi.engine.machine import cores, fast_bf16

NUMPY, PLAIN, GIPI = "NumPy", "plain PyTorch fp32", "gipi's own step"


@dataclass(frozen=True)
class Rung:
    """One way to train a net.

    below: name of the rung that it adds to and is compared with.  loop: the book's program, PyTorch as a learner writes it, or
    the engine's own step, which decides the rest by itself.  keep_memory: the allocator keeps what is freed.
    compile_mode: of `module.compile()`, "" without.
    """

    name: str
    adds: str
    below: str = ""
    loop: Literal["numpy", "plain", "gipi"] = "plain"
    precision: str = "fp32"
    channels_last: bool = False
    keep_memory: bool = False
    resident: bool = False
    compile_mode: str = ""
    processes: int = 1


class LeftOut(NamedTuple):
    """A rung that was not measured, and why."""

    name: str
    reason: str


def build(net: str, device: torch.device) -> tuple[list[Rung], list[LeftOut]]:
    """The rungs of this machine for a net of the catalogue, lowest first, and those that it cannot have."""
    kept: list[Rung] = []
    left_out: list[LeftOut] = []

    def add(rung: Rung, below: Rung | None, why_not: str = "") -> Rung:
        """The rung to stand on afterwards: this one, or the one below if there is a reason against it."""
        if why_not:
            left_out.append(LeftOut(rung.name, why_not))
            return below or rung
        kept.append(replace(rung, below=below.name if below else ""))
        return kept[-1]

    cuda = device.type == "cuda"
    book = Rung(NUMPY, "the book's program, in fp32", loop="numpy")
    add(book, None, "" if net == "deepconvnet" else f"written out for the net deepconvnet, not for {net}")
    # What PyTorch calls fp32 on a CUDA device are convolutions in TF32, and so is the peak they are held against.
    plain = Rung(PLAIN, "a loop as a learner writes it, with a DataLoader", precision="tf32" if cuda else "fp32")
    top = add(plain, kept[0] if kept else None)
    top = add(replace(top, name="channels_last", adds="the channels of a pixel side by side in memory", channels_last=True), top)
    allocator = replace(top, name="allocator", adds="freed memory stays with the process", keep_memory=True)
    top = add(allocator, top, _no_allocator(device))
    reduced = "convolutions and matrix products in"
    half = replace(top, name="fp16", adds=f"{reduced} fp16, with a scaled loss", precision="fp16")
    bf16 = replace(top, name="bf16", adds=f"{reduced} bf16", precision="bf16")
    no_bf16 = "" if fast_bf16(device) else "this device has no units for it"
    no_fp16 = "" if cuda or torch.cpu._is_amx_fp16_supported() else "this CPU has no units for it"
    base, top = top, add(bf16, top, no_bf16)
    add(half, base, no_fp16)
    top = add(replace(top, name="resident data", adds="all images on the device, a batch cut out at once", resident=True), top)
    compiled = replace(top, name="module.compile()", adds="the net compiled into fused kernels", compile_mode="default")
    compiled = add(compiled, top, _no_compiler(device))
    graphs = replace(compiled, name="CUDA graphs", adds="all kernels of a step launched at once", compile_mode="reduce-overhead")
    add(graphs, compiled, "" if cuda else "there is no CUDA device")
    top = add(replace(top, name=GIPI, adds="the engine's step with its defaults: fused update", loop="gipi"), top)
    pair = replace(top, name="2 processes", adds="each takes half of a batch and of the threads", processes=2)
    add(pair, top, "" if most_processes(device) > 1 else f"there is one {'CUDA device' if cuda else 'core'}")
    return kept, left_out


def most_processes(device: torch.device) -> int:
    """How many processes can train together on this machine: one for each CUDA device, or each core."""
    return torch.cuda.device_count() if device.type == "cuda" else cores()


def _no_allocator(device: torch.device) -> str:
    if device.type == "cuda":
        return "PyTorch's own allocator of CUDA memory keeps what is freed"
    return "" if platform.libc_ver()[0] == "glibc" else "settings are known for glibc only"


def _no_compiler(device: torch.device) -> str:
    found = device.type == "cuda" or any(shutil.which(name) for name in ("g++", "clang++", "c++", "cl"))
    return "" if found else "there is no C++ compiler"
