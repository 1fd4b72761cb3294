"""Where and how we compute, decided once in one function."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from gipi.errors import ConfigError, DeviceError, nearest

M = TypeVar("M", bound=nn.Module)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Place:
    """dtype: of the heavy layers; weights, losses and updates stay float32."""

    device: torch.device
    dtype: torch.dtype
    seed: int

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def put_net(self, net: M) -> M:
        """The net on the device, its convolutions in channels_last, which every fast kernel wants."""
        return net.to(device=self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def put_images(self, images: Tensor) -> Tensor:
        return images.to(device=self.device, memory_format=torch.channels_last)

    def random_state(self) -> dict[str, Tensor]:
        """State of the random numbers that layers such as dropout draw."""
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def set_random_state(self, state: dict[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)

    def __str__(self) -> str:
        name = next(name for name, dtype in DTYPES.items() if dtype == self.dtype)
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        return f"{self.device}{threads}, {name}, channels_last"


def decide_place(*, device: str = "auto", precision: str = "auto", seed: int = 0) -> Place:
    """Choose device and number format for this machine.

    device: auto, cpu, cuda or cuda:N; of several processes that torchrun started, each takes the CUDA device of its LOCAL_RANK.
    precision: auto, fp32 or bf16; auto takes bf16 where it is measured to be faster: CUDA devices, CPUs with AMX or AVX512-BF16.
    On Linux with glibc this also sets the allocator up (see `_keep_memory`).
    Raises ConfigError for an unknown name and DeviceError for a device or a format that this machine does not have.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and "LOCAL_RANK" in os.environ:  # several processes on this machine: a device for each
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if not match:
        raise ConfigError(f"no device {device!r}{nearest(device, ('auto', 'cpu', 'cuda', 'cuda:N'))}")
    if device != "cpu" and int(match[1] or 0) >= torch.cuda.device_count():
        raise DeviceError(f"no device {device!r}: this machine has {torch.cuda.device_count()} CUDA devices; use --device cpu")
    chosen = torch.device(device)
    if precision == "auto":
        precision = "bf16" if _fast_bf16(chosen) else "fp32"
    if precision not in DTYPES:
        raise ConfigError(f"no precision {precision!r}{nearest(precision, ('auto', *DTYPES))}")
    if chosen.type == "cpu":
        _keep_memory()
    return Place(chosen, DTYPES[precision], seed)


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # The public torch.cpu.get_capabilities is missing in the oldest torch that we allow.
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def _keep_memory() -> None:
    """Let glibc keep freed blocks: giving big activations back and faulting them in again costs a third of the time."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    mallopt(-4, 0)  # M_MMAP_MAX: no block gets a mapping of its own
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: the heap's top is not given back
    mallopt(-2, 256 << 20)  # M_TOP_PAD: it grows in steps of 256 MiB
