"""Where and how we compute, decided once in one function."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from gipi.config import RunConfig, Switch
from gipi.engine.machine import cores, fast_bf16, free_memory, keep_memory, set_deterministic
from gipi.errors import ConfigError, DeviceError, nearest

M = TypeVar("M", bound=nn.Module)
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
PAYS = 1e17  # floating-point operations of a training on a GPU that make up for a minute of compiling


@dataclass(frozen=True)
class Place:
    """precision: of the heavy layers; weights, losses and updates stay float32.

    layout: channels-last, which every fast kernel wants, or contiguous.
    compile, resident: as asked; `compiles` and `holds` decide them for a net and a data set.
    rank, world: which of how many processes that train together this one is.  shard: they split weights and updates.
    """

    device: torch.device
    precision: str
    seed: int
    layout: str = "channels-last"
    compile: Switch = "auto"
    resident: Switch = "auto"
    rank: int = 0
    world: int = 1
    shard: bool = False

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    @property
    def first(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def autocast(self) -> torch.autocast:
        """Sharded weights come in the number format that their policy says."""
        reduced = self.dtype != torch.float32 and not self.shard
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=reduced)

    def put_net(self, net: M) -> M:
        """The net on the device, its convolutions in the layout; weights that are to be sharded must stay contiguous."""
        if self.shard:
            return net.to(self.device)
        return net.to(device=self.device, memory_format=LAYOUTS[self.layout])  # pyright: ignore[reportCallIssue]

    def put_images(self, images: Tensor) -> Tensor:
        return images.to(device=self.device, memory_format=LAYOUTS[self.layout])

    def compiles(self, work: float) -> bool:
        """Whether a training of that many floating-point operations is worth a compiled net.

        A CPU trains these nets no faster compiled, as `gipi bench ladder` shows.
        """
        return self.compile == "on" or (self.compile == "auto" and self.device.type == "cuda" and work > PAYS)

    def holds(self, size: int) -> bool:
        """Whether so many bytes of images are to lie on the device, or in a CPU's memory: in auto, half of what is free."""
        if self.resident != "auto":
            return self.resident == "on"
        if self.device.type == "cuda":
            return size <= torch.cuda.mem_get_info(self.device)[0] / 2
        return size <= free_memory() / 2

    def draw_apart(self) -> None:
        """From here on each process draws random numbers of its own, such as the masks of dropout."""
        if not self.first:
            torch.manual_seed(self.seed + 1_000_003 * self.rank)

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
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        together = f", process {self.rank + 1} of {self.world}{', sharded' if self.shard else ''}" if self.world > 1 else ""
        return f"{self.device}{threads}, {self.precision}, {self.layout}{together}"


def place_for(run: RunConfig, *, rank: int = 0, world: int = 1) -> Place:
    """The place that a configuration asks for, as `decide_place` decides it; settings of the process are made, too."""
    set_deterministic(run.deterministic)
    return decide_place(
        device=run.device,
        precision=run.precision,
        seed=run.seed,
        layout="channels-last" if run.memory_format == "auto" else run.memory_format,
        compile=run.compile,
        resident=run.resident,
        threads=run.threads,
        rank=rank,
        world=world,
        shard=run.shard,
    )


def decide_place(
    *,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
    layout: str = "channels-last",
    compile: Switch = "auto",
    resident: Switch = "auto",
    threads: int = 0,
    rank: int = 0,
    world: int = 1,
    shard: bool = False,
) -> Place:
    """Choose device, number format and threads for this machine.

    device: auto, cpu, cuda or cuda:N; of several processes that torchrun started, each takes the CUDA device of its LOCAL_RANK.
    precision: auto, fp32, tf32, bf16 or fp16; auto takes bf16 where it is measured to be faster: CUDA devices, CPUs with AMX or
    AVX512-BF16.  threads: of a CPU process; 0 shares the cores out among the processes of this machine.
    On Linux with glibc this also sets the allocator up (see `keep_memory`).
    Raises ConfigError for an unknown name and DeviceError for what this machine does not have.
    """
    if world > 1 and ":" in device:
        raise ConfigError(f"device {device!r} for {world} processes, each of which wants its own: use --device cuda")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of torchrun on this machine
    if device == "cuda" and "LOCAL_RANK" in os.environ:  # several processes on this machine: a device for each
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if not match:
        raise ConfigError(f"no device {device!r}{nearest(device, ('auto', 'cpu', 'cuda', 'cuda:N'))}")
    if device != "cpu" and int(match[1] or 0) >= (devices := torch.cuda.device_count()):
        if world > 1:
            raise DeviceError(f"{local} processes, but this machine has {devices} CUDA devices: use --processes {devices}")
        raise DeviceError(f"no device {device!r}: this machine has {devices} CUDA devices; use --device cpu")
    if layout not in LAYOUTS:
        raise ConfigError(f"no memory format {layout!r}{nearest(layout, LAYOUTS)}")
    chosen = torch.device(device)
    if precision == "auto":
        precision = "bf16" if fast_bf16(chosen) else "fp32"
    if precision not in DTYPES:
        raise ConfigError(f"no precision {precision!r}{nearest(precision, ('auto', *DTYPES))}")
    if chosen.type == "cpu":
        _check_cpu(precision, world, local)
        keep_memory()
        if threads or world > 1:
            torch.set_num_threads(threads or max(1, cores() // local))
    else:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"
    return Place(chosen, precision, seed, layout, compile, resident, rank, world, shard)


def _check_cpu(precision: str, world: int, local: int) -> None:
    if precision == "tf32":
        raise DeviceError("tf32 is a number format of CUDA devices: use --precision fp32 or bf16 on a CPU")
    if precision == "fp16" and not torch.cpu._is_amx_fp16_supported():
        raise DeviceError("this CPU has no unit for fp16 (AMX-FP16): use --precision fp32 or bf16")
    if world > 1 and local > cores():
        raise DeviceError(f"{local} processes, but this machine has {cores()} cores: use --processes {cores()} or fewer")
