"""The images that a training is fed: how fast they come, and what share of a step that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gipi.bench.step import from_nothing
from gipi.bench.timing import Spread, windows
from gipi.config import Config
from gipi.engine.place import place_for
from gipi.tasks.classify import Classify


@dataclass(frozen=True)
class Data:
    """images_per_s: of the pipeline alone.  step_images_per_s: of training steps, the pipeline among them."""

    data: str
    batch: int
    place: str
    images_per_s: Spread
    step_images_per_s: Spread

    @property
    def share(self) -> float:
        """Of a step's time."""
        return self.step_images_per_s.median / self.images_per_s.median

    def json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        speeds = {"images_per_s": self.images_per_s.json(), "step_images_per_s": self.step_images_per_s.json()}
        return {"data": self.data, "batch": self.batch, "place": self.place, **speeds, "share": self.share}

    def text(self) -> str:
        """Lines for a terminal."""
        alone, step = self.images_per_s, self.step_images_per_s
        return "\n".join([
            f"{self.data}, batch {self.batch}, {self.place}",
            f"data      {alone.median:,.0f} images/s ({alone.low:,.0f} to {alone.high:,.0f}, n={alone.n}): drawn and augmented",
            f"step      {step.median:,.0f} images/s ({step.low:,.0f} to {step.high:,.0f})",
            f"share     {self.share:.1%} of a step",
        ])  # fmt: skip


def data(config: Config) -> Data:
    """Measure the batches of a recipe, drawn, augmented and scaled, alone and in its training step.

    Pictures of a folder are decoded before, once for all trainings. Raises as a training does.
    """
    place = place_for(config.run)
    torch.manual_seed(config.run.seed)
    task = Classify(from_nothing(config), place)
    source = task.source()

    def speed(times: tuple[float, ...]) -> Spread:
        return Spread.of(tuple(config.data.batch / batch_s for batch_s in times))

    task.step(next(source))
    step = windows(lambda: task.step(next(source)), place)
    alone = windows(lambda: task.prepare(next(source)), place)
    return Data(config.data.name, config.data.batch, str(place), speed(alone), speed(step))
