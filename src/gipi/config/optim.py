"""How weights are changed, and which ones to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gipi.config.checks import among, within
from gipi.errors import ConfigError

Rule = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
Schedule = Literal["constant", "step", "thirds", "exponential", "cosine", "one-cycle"]
DECAYING = ("sgd", "momentum", "nesterov", "adamw")  # rules that take a weight decay
FINAL = 0.01  # share of the learning rate that is left at the end of a falling schedule, unless said otherwise


@dataclass(frozen=True)
class OptimConfig:
    """How weights are changed."""

    name: Rule = "adam"
    """update rule"""
    lr: float = 1e-3
    """learning rate; the highest of a schedule"""
    weight_decay: float = 0.0
    """weight decay: decoupled from the gradient in adamw, part of it in sgd, momentum and nesterov"""
    schedule: Schedule = "constant"
    """learning rate over the steps"""
    final: float = FINAL
    """share of the learning rate that is left at the end of step, thirds, exponential and cosine"""
    warmup: float = 0.0
    """share of the steps in which the learning rate first rises from 0, before the schedule"""
    ema: float = 0.0
    """decay of the running average of the weights that is evaluated and saved; 0 takes the weights themselves"""
    label_smoothing: float = 0.0
    """share of each label's certainty that is spread over all classes"""
    clip: float = 0.0
    """largest norm of the gradient; 0 leaves it as it is"""
    accumulate: int = 1
    """parts that a batch is computed in, to need less memory; the result is the same"""
    beta1: float = 0.9
    """of adam and adamw: decay of the mean of the gradients; 0.5 is usual where two nets train against each other"""

    def __post_init__(self) -> None:
        within("optim.lr", self.lr, 0, 100)
        within("optim.weight_decay", self.weight_decay, 0, 100)
        among("optim.name", self.name, Rule)
        among("optim.schedule", self.schedule, Schedule)
        within("optim.final", self.final, 0, 1)
        within("optim.warmup", self.warmup, 0, 1)
        within("optim.ema", self.ema, 0, 0.999999)
        within("optim.label_smoothing", self.label_smoothing, 0, 0.999999)
        within("optim.clip", self.clip, 0, 1e9)
        within("optim.accumulate", self.accumulate, 1, 1_000_000)
        within("optim.beta1", self.beta1, 0, 0.999999)
        if self.beta1 != 0.9 and self.name not in ("adam", "adamw"):
            raise ConfigError(f"optim.beta1 {self.beta1} needs optim.name adam or adamw, got {self.name!r}")
        if self.weight_decay and self.name not in DECAYING:
            raise ConfigError(
                f"optim.weight_decay {self.weight_decay} needs optim.name {' or '.join(DECAYING)}, got {self.name!r}"
            )
        if self.final != FINAL and self.schedule in ("constant", "one-cycle"):
            raise ConfigError(
                f"optim.final {self.final} needs optim.schedule step, thirds, exponential or cosine, got {self.schedule!r}"
            )
        if self.final == 0 and self.schedule in ("step", "thirds", "exponential"):
            raise ConfigError(f"optim.schedule {self.schedule} multiplies: optim.final must be above 0, got 0")
        if self.warmup and self.schedule == "one-cycle":
            raise ConfigError(f"optim.warmup {self.warmup} with one-cycle, which warms up by itself: leave it 0")


@dataclass(frozen=True)
class TransferConfig:
    """Starting from weights that were trained before, on other images."""

    weights: str = ""
    """start from these: imagenet, or a model (file, run folder, shipped), or a file of weights (.safetensors, .pth)"""
    frozen: float = 0.0
    """share of the steps in which only the new head learns; 1 keeps all other layers as they were"""
    first_rate: float = 1.0
    """learning rate of the first layer as a share of the head's; the layers between take rates between, by depth"""

    def __post_init__(self) -> None:
        within("transfer.frozen", self.frozen, 0, 1)
        within("transfer.first_rate", self.first_rate, 1e-6, 1)
        if not self.weights and (self.frozen or self.first_rate != 1):
            raise ConfigError(
                "transfer.frozen and transfer.first_rate need weights to start from: give --from imagenet or a model"
            )
