"""What this machine has, and the settings of the process that make it fast."""

from __future__ import annotations

import ctypes
import os
import platform

import torch


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fast_bf16(device: torch.device) -> bool:
    """Whether a device computes faster in bf16 than in fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # The public torch.cpu.get_capabilities is missing in the oldest torch that we allow.
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def set_deterministic(wanted: bool) -> None:
    """For the rest of the process. A CPU's kernels always are; CUDA's are chosen by trying, and some add in no fixed order."""
    wanted = wanted or torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.benchmark = not wanted
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS demands it
        torch.use_deterministic_algorithms(True)


def free_memory() -> int:
    """Bytes of memory that are free, or could be."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 8 << 30


def keep_memory() -> None:
    """Let glibc keep freed blocks: giving big activations back and faulting them in again costs a third of the time."""
    if not _has_glibc():
        return
    mallopt = ctypes.CDLL("libc.so.6").mallopt
    mallopt(-4, 0)  # M_MMAP_MAX: no block gets a mapping of its own
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: the heap's top is not given back
    mallopt(-2, 256 << 20)  # M_TOP_PAD: it grows in steps of 256 MiB


def give_memory_back() -> None:
    """Let go of all pages that nothing lies on: for a process that lives long and now and then needs a lot."""
    if _has_glibc():
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _has_glibc() -> bool:
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"
