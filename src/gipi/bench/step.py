"""The engine's training step: how fast, how near what the device can do, and where its time goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from gipi import catalog
from gipi.bench.bound import Alone, layers_alone, time_by_kind
from gipi.bench.loops import fresh_net
from gipi.bench.timing import Spread, windows
from gipi.config import AugmentConfig, Config, DataConfig, NetConfig, OptimConfig, TransferConfig
from gipi.data.stream import ImageSet
from gipi.engine.peaks import matmul_peak
from gipi.engine.place import place_for
from gipi.errors import ConfigError
from gipi.inspect.layers import layer_table
from gipi.tasks.classify import Classify
from gipi.tasks.images import TrainingImages, training_images

CLASSES = 1000  # of random images
BATCHES = 2  # of them


@dataclass(frozen=True)
class Step:
    """step_ms: milliseconds.  matmul_share: of the device's measured peak, counting 6 operations a multiply-add.

    kinds: share of the time by kind of operation.  layers: each that multiplies, timed alone; `bound_ms` is their sum.
    """

    net: str
    batch: int
    place: str
    step_ms: Spread
    images_per_s: Spread
    matmul_share: float
    kinds: dict[str, float]
    layers: tuple[Alone, ...]

    @property
    def bound_ms(self) -> float:
        return 1000 * sum(layer.seconds for layer in self.layers)

    @property
    def bound_share(self) -> float:
        """Of the speed that a step would have if it were these layers alone."""
        return self.bound_ms / self.step_ms.median

    def json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        layers = [layer._asdict() for layer in self.layers]
        spreads = {"step_ms": self.step_ms.json(), "images_per_s": self.images_per_s.json()}
        return {**asdict(self), **spreads, "layers": layers, "bound_ms": self.bound_ms, "bound_share": self.bound_share}

    def text(self) -> str:
        """Lines for a terminal."""
        speed, step = self.images_per_s, self.step_ms
        largest = sorted(self.layers, key=lambda layer: -layer.seconds)[:5]
        return "\n".join([
            f"{self.net}, batch {self.batch}, {self.place}",
            f"speed     {speed.median:,.0f} images/s ({speed.low:,.0f} to {speed.high:,.0f}, n={speed.n})",
            f"step      {step.median:,.1f} ms ({step.low:,.1f} to {step.high:,.1f})",
            f"peak      {self.matmul_share:.1%} of a large matrix product, counting 6 operations a multiply-add",
            f"bound     {self.bound_share:.1%}: its convolutions and affine layers alone take {self.bound_ms:,.1f} ms",
            f"longest   {', '.join(f'{layer.name} {1000 * layer.seconds:,.1f} ms' for layer in largest)}",
            f"time      {', '.join(f'{kind} {share:.1%}' for kind, share in self.kinds.items())}",
        ])  # fmt: skip


def step(config: Config, images: TrainingImages | None = None) -> Step:
    """Measure the training step of a recipe, with its augmentation, all layers learning from nothing.

    images: to train on, where they are not those of the recipe's data set.
    Raises ConfigError, DataError or DeviceError as a training does.
    """
    place, config = place_for(config.run), from_nothing(config)
    images = images or training_images(config, place)
    net, image = fresh_net(config, images.train)
    task = Classify(config, place, images)
    source = task.source()

    def work() -> None:
        task.step(next(source))

    work()
    batch = config.data.batch
    times = windows(work, place)
    speed = Spread.of(tuple(batch / step_s for step_s in times))
    return Step(
        config.net.name,
        batch,
        str(place),
        step_ms=Spread.of(tuple(1000 * step_s for step_s in times)),
        images_per_s=speed,
        matmul_share=6 * layer_table(net, image).multiply_adds * speed.median / matmul_peak(place),
        kinds=time_by_kind(work, place),
        layers=tuple(layers_alone(net, image, batch, place)),
    )


def from_nothing(config: Config) -> Config:
    """A recipe for one process that starts from no weights, so that every layer learns in every step."""
    return replace(config, transfer=TransferConfig(), run=replace(config.run, members=1, processes=1))


def random_task(net: str, batch: int) -> tuple[Config, TrainingImages]:
    """A training of a net on random images of its usual size and of 1000 classes.

    Raises ConfigError for an unknown net or a batch below 1.
    """
    size = catalog.entry(catalog.NETS, net, "net").input
    if batch < 1:
        raise ConfigError(f"batch is {batch}, allowed are 1 and more")
    mixed = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (BATCHES * batch, *size), dtype=torch.uint8, generator=mixed)
    labels = torch.randint(CLASSES, (BATCHES * batch,), generator=mixed)
    images = ImageSet("random", "train", tuple(map(str, range(CLASSES))), pixels, labels)
    data = DataConfig("random", batch=batch, holdout=0.0, augment=AugmentConfig())
    return Config(net=NetConfig(net), data=data, optim=OptimConfig("momentum", lr=1e-3)), TrainingImages(images, None, {})
