"""How long, on what and by how many a net is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gipi.config.checks import among, within
from gipi.errors import ConfigError

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
Memory = Literal["auto", "channels-last", "contiguous"]
Switch = Literal["auto", "on", "off"]
Scale = Literal["none", "linear", "sqrt"]


@dataclass(frozen=True)
class RunConfig:
    """How long, from which seed, on what and by how many."""

    epochs: int = 20
    """passes over the training images"""
    seed: int = 0
    """start of everything random"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    precision: Precision = "auto"
    """number format of the heavy layers; auto takes bf16 where the machine computes it faster"""
    memory_format: Memory = "auto"
    """order of the values of an image in memory; auto takes channels-last, which the fast kernels want"""
    compile: Switch = "auto"
    """compile the net with torch.compile; auto does so where that pays within the training"""
    resident: Switch = "auto"
    """keep all training images on the device; auto does so where they fit, else the next batch is fetched ahead"""
    threads: int = 0
    """threads of a process on the CPU; 0 shares the cores out among the processes"""
    deterministic: bool = False
    """the same numbers in every run on a GPU, too, which costs speed there"""
    members: int = 1
    """train this many, with the seeds seed, seed + 1, ..., as one ensemble"""
    processes: int = 1
    """train one net by this many processes together, each with its part of every batch"""
    scale: Scale = "none"
    """of several processes: linear, sqrt take batch times processes and rate times that or its root; none keeps both"""
    shard: bool = False
    """split weights, gradients and optimiser state over the processes (FSDP), for nets that do not fit"""
    sync_batchnorm: bool = False
    """batch norm over the batch of all processes together instead of each one's own"""
    timeout_s: int = 600
    """seconds that a process waits for another one before it ends the training and names it"""

    def __post_init__(self) -> None:
        among("precision", self.precision, Precision)
        among("memory_format", self.memory_format, Memory)
        among("compile", self.compile, Switch)
        among("resident", self.resident, Switch)
        among("scale", self.scale, Scale)
        within("epochs", self.epochs, 1, 1_000_000)
        within("seed", self.seed, 0, 2**31 - 1)
        within("threads", self.threads, 0, 1024)
        within("members", self.members, 1, 1000)
        within("processes", self.processes, 1, 100_000)
        within("timeout_s", self.timeout_s, 1, 1_000_000)
        if self.members > 1 and self.processes > 1:
            raise ConfigError(
                f"--members {self.members} and --processes {self.processes}: the members of an ensemble need not talk to each "
                "other; start the same command in several terminals, or by torchrun, and they are shared out"
            )
