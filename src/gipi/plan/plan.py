"""The plan of a training: what a recipe needs of memory, time and money on a cluster that need not be there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gipi import catalog
from gipi.config import Config
from gipi.engine.place import DTYPES, decide_place
from gipi.errors import ConfigError, DeviceError
from gipi.plan.devices import DEVICES, HERE, Device, names
from gipi.plan.here import here
from gipi.plan.memory import Memory, largest_batch, memory
from gipi.plan.ring import HALVES, Cluster
from gipi.plan.roofline import Times, times
from gipi.plan.trace import Net, trace

IMAGENET = 1_281_167  # training images of ILSVRC 2012
MANY = 4096  # GPUs of a node, or nodes


@dataclass(frozen=True)
class Ask:
    """What is planned: a configuration on `nodes` machines of `gpus` GPUs each.

    device: a name of `plan.devices`, or "here", this machine, measured.  image: side in pixels, 0 for that of data or net.
    batch: images in a step of one GPU, 0 for the recipe's `data.batch`, which is of all together, divided among them.
    images: training images of an epoch, 0 for those of the recipe's data.  precision: fp32, tf32, bf16, fp16 or auto.
    bandwidth: of a node's network in GB/s, each way, 0 for the device's table.  latency: of a message between nodes, in
    microseconds.  price: of a GPU for an hour, in any currency, 0 for none.
    """

    config: Config
    device: str = "h100"
    gpus: int = 1
    nodes: int = 1
    image: int = 0
    batch: int = 0
    images: int = 0
    precision: str = "auto"
    bandwidth: float = 0.0
    latency: float = 10.0
    price: float = 0.0

    def __post_init__(self) -> None:
        limits = {"gpus": (1, MANY), "nodes": (1, MANY), "image": (0, 4096), "batch": (0, 1_000_000), "images": (0, 10**12)}
        limits |= {"bandwidth": (0, 1e6), "latency": (0, 1e9), "price": (0, 1e9)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"--{name} is {value}, allowed are {low} to {high}")
        if self.device not in names():
            catalog.entry({name: name for name in names()}, self.device, "device")

    @property
    def world(self) -> int:
        return self.gpus * self.nodes


@dataclass(frozen=True)
class Plan:
    """ddp, fsdp: memory of a process whose weights are whole, or split over all.  largest: the largest batch that fits, of both.

    flops: floating-point operations of a step of one GPU.  exchange_s: all-reduce of the gradients with nothing hidden,
    exposed_s: what a step waits for of it.  steps: of the whole training; of these, the share `frozen` changes the head alone.
    """

    ask: Ask
    device: Device
    precision: str
    net: Net
    batch: int
    shard: bool
    ddp: Memory
    fsdp: Memory
    largest: tuple[int, int]
    flops: float
    times: Times
    exchange_s: float
    exposed_s: float
    steps: int

    @property
    def step_s(self) -> float:
        return self.times.step + self.exposed_s

    @property
    def efficiency(self) -> float:
        """Speed of all GPUs over that of one times their number."""
        return self.times.step / self.step_s

    @property
    def images_s(self) -> float:
        return self.batch * self.ask.world / self.step_s

    @property
    def hours(self) -> float:
        """Of the training steps alone: no evaluation, no start, and pictures that are read in time."""
        frozen = self.ask.config.transfer.frozen
        return self.steps * (self.step_s - frozen * (self.times.backward + self.times.update + self.exposed_s)) / 3600

    @property
    def cost(self) -> float:
        return self.hours * self.ask.world * self.ask.price

    def json(self) -> dict[str, Any]:
        ask, config = self.ask, self.ask.config
        memories = {name: {**asdict(one), "total": one.total} for name, one in (("ddp", self.ddp), ("fsdp", self.fsdp))}
        return {
            "recipe": config.recipe, "net": config.net.name, "image": self.net.image, "device": self.device.name,
            "source": self.device.source, "gpus": ask.gpus, "nodes": ask.nodes, "precision": self.precision, "batch": self.batch,
            "images_a_step": self.batch * ask.world, "parameters": self.net.parameters, "flops": self.flops, "memory": memories,
            "largest_batch": {"ddp": self.largest[0], "fsdp": self.largest[1]}, "device_memory": self.device.memory,
            "shard": self.shard, "forward_s": self.times.forward, "backward_s": self.times.backward,
            "update_s": self.times.update,
            "exchange_s": self.exchange_s, "exposed_s": self.exposed_s, "step_s": self.step_s, "efficiency": self.efficiency,
            "images_s": self.images_s, "steps": self.steps, "epochs": config.run.epochs, "hours": self.hours,
            "cost": self.cost if ask.price else None,
        }  # fmt: skip


def plan(ask: Ask) -> Plan:
    """Trace the net, then predict. Nothing is trained; with `here` the machine is measured for some seconds.

    Raises ConfigError for what cannot be planned, DeviceError if the batch does not fit on the device.
    """
    config, world = ask.config, ask.world
    if config.kind != "classify":
        raise ConfigError(f"gipi plan knows the training of classifiers, but recipe {config.recipe!r} does {config.kind}")
    if config.transfer.frozen == 1:
        raise ConfigError(
            f"recipe {config.recipe!r} trains a new head alone, on what the net makes of each picture once: no GPU needs "
            "to be planned for that; plan finetune, which trains all layers"
        )
    images = ask.images or _images(config)
    batch = ask.batch or _share(config.data.batch, world)
    device, precision = _device(ask)
    device.peak(precision)  # before the trace, which takes longer
    earlier = 2 if world > 1 else config.optim.accumulate  # of several processes, gradients lie ready to be summed in all steps
    net = trace(config.net, _shape(ask), DTYPES[precision], parts=earlier)
    shard = config.run.shard and world > 1
    ways = [memory(net, batch, config.optim, device, world=world, shard=way) for way in (False, True)]
    largest = tuple(largest_batch(net, config.optim, device, world=world, shard=way) for way in (False, True))
    if ways[shard].total > device.memory:
        raise DeviceError(_too_large(ask, batch, ways, largest, device, shard))
    parts = min(config.optim.accumulate, batch)
    step = net.step(-(-batch // parts))
    own = net.weights / (world if shard else 1)
    alone = times(step, device, precision, rule=config.optim.name, averaged=bool(config.optim.ema), weights=own, parts=parts)
    cluster = Cluster(ask.gpus, ask.nodes, device.link, device.network, ask.latency * 1e-6)
    halves = HALVES["fsdp" if shard else "ddp"]
    return Plan(
        ask, device, precision, net, batch, shard, ways[0], ways[1], (largest[0], largest[1]), parts * step.flops, alone,
        cluster.exchange_s(net.weights, halves), cluster.exposed_s(net.weights, alone.backward / parts, halves),
        steps=config.run.epochs * max(1, images // (batch * world)),
    )  # fmt: skip


def _device(ask: Ask) -> tuple[Device, str]:
    if ask.device == HERE:
        place = decide_place(precision=ask.precision)
        device, precision = here(place), place.precision
    else:
        device = DEVICES[ask.device]
        precision = device.best() if ask.precision == "auto" else ask.precision
    return device.over(ask.bandwidth * 1e9) if ask.bandwidth else device, precision


def _images(config: Config) -> int:
    """Training images of an epoch."""
    data = config.data
    if data.name in catalog.DATASETS:
        count = round(catalog.DATASETS[data.name].train * (1 - data.holdout))
    elif config.recipe.startswith("resnet50-imagenet"):
        count = IMAGENET
    else:
        raise ConfigError(f"recipe {config.recipe!r} is for pictures of your own: say how many there are to train on, --images N")
    return min(count, data.limit) if data.limit else count


def _shape(ask: Ask) -> tuple[int, int, int]:
    """Channels, height and width of the images that the net is fed."""
    name, data = ask.config.net.name, ask.config.data
    net = catalog.NETS[name]
    known = catalog.DATASETS.get(data.name)
    of_data = known.image[1:] if known and known.framing != "crop" else (data.size, data.size) if data.size else net.input[1:]
    sides = (ask.image, ask.image) if ask.image else of_data
    if sides != net.input[1:] and not net.any_size:
        raise ConfigError(f"net {name!r} takes images of {net.input[1]} pixels only, got {sides[0]}: leave --image out")
    return net.input[0], *sides


def _share(batch: int, world: int) -> int:
    if batch < world:
        raise ConfigError(
            f"data.batch {batch}, the images in a step of all, is less than {world} GPUs: give --batch, of each GPU"
        )
    return -(-batch // world)


def _too_large(ask: Ask, batch: int, ways: list[Memory], largest: tuple[int, ...], device: Device, shard: bool) -> str:
    need, have = ways[shard].total / 2**30, device.memory / 2**30
    needs = f"{ask.config.net.name} with {batch} images a GPU needs {need:.1f} GiB"
    what = f"{needs}, {device.name} has {have:.1f}: {need - have:.1f} are missing"
    if largest[shard]:
        return f"{what}; the largest batch that fits is {largest[shard]}"
    helps = ["smaller images (--image)", "a device with more memory (--device)", "--precision bf16"]
    if largest[1] and not shard:
        helps.insert(0, f"weights split over the GPUs (--shard: {largest[1]} images then fit)")
    return f"{what}, and not one image fits; what helps: {', '.join(helps)}"
