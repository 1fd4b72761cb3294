"""The configuration of a training: frozen dataclasses, JSON in and out.

A recipe is a `Config`; command-line flags replace fields of it. The resolved value is written into the run folder and can be
read back. An unknown key, a wrong type or a contradiction is a ConfigError that says what is allowed.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from gipi.decode import read
from gipi.errors import ConfigError, nearest

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
Memory = Literal["auto", "channels-last", "contiguous"]
Switch = Literal["auto", "on", "off"]
Scale = Literal["none", "linear", "sqrt"]
Rule = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
Schedule = Literal["constant", "step", "thirds", "exponential", "cosine", "one-cycle"]
Views = Literal["none", "shift", "flip"]
ClassWeights = Literal["none", "median-frequency"]
GanLoss = Literal["non-saturating", "hinge"]
DECAYING = ("sgd", "momentum", "nesterov", "adamw")  # rules that take a weight decay
FINAL = 0.01  # share of the learning rate that is left at the end of a falling schedule, unless said otherwise


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"{name} is {value}, allowed are {low} to {high}")


def _among(name: str, value: str, allowed: Any) -> None:
    if value not in (names := typing.get_args(allowed)):
        raise ConfigError(f"{name} is {value!r}{nearest(str(value), names)}")


@dataclass(frozen=True)
class NetConfig:
    """Which net is trained."""

    name: str = "deepconvnet"
    """a net of the catalogue (see: gipi list)"""
    args: dict[str, bool | int | float | str] = field(default_factory=dict)
    """the net's own keyword arguments, set by recipes in Python"""


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of each training image; 0 turns one off. First pixels move, all at once, then light changes."""

    rotate_deg: float = 0.0
    """turn by up to this angle, either way"""
    shift_px: float = 0.0
    """shift by up to this many pixels, each way"""
    scale: float = 0.0
    """enlarge or shrink by up to this share, 0.1 is 10 %"""
    shear_deg: float = 0.0
    """slant by up to this angle, either way"""
    crop: float = 0.0
    """cut up to this share off the width and the height, anywhere, and enlarge the rest"""
    elastic_px: float = 0.0
    """bend smoothly: every pixel moves by up to this many pixels, each way"""
    flip: float = 0.0
    """share of the images that are mirrored left to right"""
    brightness: float = 0.0
    """brighten or darken by up to this share"""
    contrast: float = 0.0
    """raise or lower the contrast by up to this share"""
    saturation: float = 0.0
    """raise or lower the saturation of the colours by up to this share; of images in colour only"""
    erase: float = 0.0
    """share of the images of which a rectangle is erased"""
    mixup: float = 0.0
    """blend each image with another: alpha of the Beta distribution of the weights, 0.2 is usual"""
    cutmix: float = 0.0
    """put a part of another image in: alpha of the Beta distribution of its area, 1 is usual"""

    def __post_init__(self) -> None:
        for name, high in (("rotate_deg", 180), ("shift_px", 1000), ("shear_deg", 60), ("elastic_px", 1000), ("mixup", 100),
                           ("cutmix", 100), ("flip", 1), ("erase", 1), ("scale", 0.9), ("crop", 0.9), ("brightness", 1),
                           ("contrast", 1), ("saturation", 1)):  # fmt: skip
            _within(f"data.augment.{name}", getattr(self, name), 0, high)
        if self.mixup and self.cutmix:
            raise ConfigError(f"data.augment.mixup {self.mixup} and data.augment.cutmix {self.cutmix} both mix: set one to 0")

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0


@dataclass(frozen=True)
class DataConfig:
    """What the net is trained on."""

    name: str = "mnist"
    """a data set of the catalogue (see: gipi list), a folder of pictures or a CSV file of path,label"""
    size: int = 0
    """side in pixels to which pictures of a folder are brought, 0 takes that of the net; of segmentation, their shorter side;
    of generation, that of the images made: 0 takes the data set's own, 64 of a folder"""
    broken: float = 0.01
    """largest share of the pictures of a folder that may be unreadable; they are left out and listed"""
    batch: int = 100
    """images in a training step"""
    holdout: float = 1 / 12
    """share of the training images set aside for validation after each epoch; 0 trains on all and validates on none"""
    limit: int = 0
    """train on this many images only, the same share of each class; 0 takes all"""
    class_weights: ClassWeights = "none"
    """of segmentation: median-frequency makes pixels of rare classes count more"""
    least_count: int = 1
    """of captioning: words that the training captions have less often are unknown"""
    augment: AugmentConfig = AugmentConfig()

    def __post_init__(self) -> None:
        _among("data.class_weights", self.class_weights, ClassWeights)
        _within("data.size", self.size, 0, 4096)
        _within("data.broken", self.broken, 0, 1)
        _within("data.batch", self.batch, 1, 1_000_000)
        _within("data.holdout", self.holdout, 0, 0.9)
        _within("data.limit", self.limit, 0, 1_000_000_000)
        _within("data.least_count", self.least_count, 1, 1_000_000)
        if self.augment.mixes and self.batch < 2:
            raise ConfigError(f"mixup and cutmix mix the images of a batch: data.batch is {self.batch}, allowed are 2 and more")


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
        _within("optim.lr", self.lr, 0, 100)
        _within("optim.weight_decay", self.weight_decay, 0, 100)
        _among("optim.name", self.name, Rule)
        _among("optim.schedule", self.schedule, Schedule)
        _within("optim.final", self.final, 0, 1)
        _within("optim.warmup", self.warmup, 0, 1)
        _within("optim.ema", self.ema, 0, 0.999999)
        _within("optim.label_smoothing", self.label_smoothing, 0, 0.999999)
        _within("optim.clip", self.clip, 0, 1e9)
        _within("optim.accumulate", self.accumulate, 1, 1_000_000)
        _within("optim.beta1", self.beta1, 0, 0.999999)
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
        _within("transfer.frozen", self.frozen, 0, 1)
        _within("transfer.first_rate", self.first_rate, 1e-6, 1)
        if not self.weights and (self.frozen or self.first_rate != 1):
            raise ConfigError(
                "transfer.frozen and transfer.first_rate need weights to start from: give --from imagenet or a model"
            )


@dataclass(frozen=True)
class GanConfig:
    """Of generation: how the discriminator is built and trained, and who judges the images that are made."""

    loss: GanLoss = "non-saturating"
    """what the two nets are trained by"""
    conditional: bool = False
    """learn to make an image of a class that is asked for"""
    spectral_norm: bool = False
    """bound the discriminator's layers by spectral norm instead of batch norm"""
    width: int = 0
    """channels of the discriminator's first map; 0 takes the generator's of its last one"""
    rate: float = 1.0
    """learning rate of the discriminator as a multiple of the generator's"""
    judge: str = "auto"
    """whose features images are compared by: a classifier (model or run), inception with its published file at hand, or random;
    auto takes the shipped classifier of digits or clothing for these, else random"""
    samples: int = 5_000
    """images made and judged after each epoch, at most; 10,000 at the end"""

    def __post_init__(self) -> None:
        _among("gan.loss", self.loss, GanLoss)
        _within("gan.width", self.width, 0, 4096)
        _within("gan.rate", self.rate, 1e-3, 1e3)
        _within("gan.samples", self.samples, 2, 1_000_000)


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
        _among("precision", self.precision, Precision)
        _among("memory_format", self.memory_format, Memory)
        _among("compile", self.compile, Switch)
        _among("resident", self.resident, Switch)
        _among("scale", self.scale, Scale)
        _within("epochs", self.epochs, 1, 1_000_000)
        _within("seed", self.seed, 0, 2**31 - 1)
        _within("threads", self.threads, 0, 1024)
        _within("members", self.members, 1, 1000)
        _within("processes", self.processes, 1, 100_000)
        _within("timeout_s", self.timeout_s, 1, 1_000_000)
        if self.members > 1 and self.processes > 1:
            raise ConfigError(
                f"--members {self.members} and --processes {self.processes}: the members of an ensemble need not talk to each "
                "other; start the same command in several terminals, or by torchrun, and they are shared out"
            )


@dataclass(frozen=True)
class Config:
    """Everything that determines a training."""

    recipe: str = ""
    """the recipe this configuration started from"""
    kind: str = "classify"
    """the kind of system"""
    net: NetConfig = NetConfig()
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    transfer: TransferConfig = TransferConfig()
    gan: GanConfig = GanConfig()
    run: RunConfig = RunConfig()

    def __post_init__(self) -> None:
        given = [one.name for one in fields(GanConfig) if getattr(self.gan, one.name) != one.default]
        if self.kind != "generate" and given:
            raise ConfigError(
                f"gan.{given[0]} is for generation, {self.recipe or self.net.name!r} does {self.kind}: leave it out"
            )

    def members(self) -> list[Config]:
        """What each member of the ensemble is trained by. Raises ConfigError if there are not enough seeds after `run.seed`."""
        return [replace(self, run=replace(self.run, seed=self.run.seed + n, members=1)) for n in range(self.run.members)]

    def scaled(self) -> Config:
        """With batch and learning rate of all processes together, as `run.scale` has it.

        linear: Goyal et al., arXiv 1706.02677, section 2.1, whose warm-up is `optim.warmup`.  sqrt: for Adam and its kin.
        """
        more = 1 if self.run.scale == "none" else self.run.processes
        rate = math.sqrt(more) if self.run.scale == "sqrt" else more
        data, optim = replace(self.data, batch=self.data.batch * more), replace(self.optim, lr=self.optim.lr * rate)
        return replace(self, data=data, optim=optim)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Config:
        """The configuration that `to_json` wrote. Raises ConfigError for an unknown key or a value of the wrong type."""
        return read(cls, value, "config")
