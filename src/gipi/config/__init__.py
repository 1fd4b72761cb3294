"""The configuration of a training: frozen dataclasses, JSON in and out.

A recipe is a `Config`; command-line flags replace fields of it. The resolved value is written into the run folder and can be
read back. An unknown key, a wrong type or a contradiction is a ConfigError that says what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from gipi.config.act import ActConfig
from gipi.config.data import AugmentConfig, ClassWeights, DataConfig, Views
from gipi.config.gan import GanConfig, GanLoss
from gipi.config.optim import DECAYING, FINAL, OptimConfig, Rule, Schedule, TransferConfig
from gipi.config.run import Memory, Precision, RunConfig, Scale, Switch
from gipi.decode import read
from gipi.errors import ConfigError
from gipi.showing import table

__all__ = [
    "DECAYING",
    "FINAL",
    "ActConfig",
    "AugmentConfig",
    "ClassWeights",
    "Config",
    "DataConfig",
    "GanConfig",
    "GanLoss",
    "Memory",
    "NetConfig",
    "OptimConfig",
    "Precision",
    "Rule",
    "RunConfig",
    "Scale",
    "Schedule",
    "Switch",
    "TransferConfig",
    "Views",
]


@dataclass(frozen=True)
class NetConfig:
    """Which net is trained."""

    name: str = "deepconvnet"
    """a net of the catalogue (see: gipi list)"""
    args: dict[str, bool | int | float | str] = field(default_factory=dict)
    """the net's own keyword arguments, set by recipes in Python"""


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
    act: ActConfig = ActConfig()
    run: RunConfig = RunConfig()

    def __post_init__(self) -> None:
        for section, kind, what in (("gan", "generate", "generation"), ("act", "act", "playing")):
            values = getattr(self, section)
            given = [one.name for one in fields(values) if getattr(values, one.name) != one.default]
            if self.kind != kind and given:
                raise ConfigError(
                    f"{section}.{given[0]} is for {what}, {self.recipe or self.net.name!r} does {self.kind}: leave it out"
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

    def _repr_html_(self) -> str:
        """What differs from the defaults, under the names that flags have."""
        return table(("configuration", self.recipe), _given(self.to_json(), Config().to_json()))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Config:
        """The configuration that `to_json` wrote. Raises ConfigError for an unknown key or a value of the wrong type."""
        return read(cls, value, "config")


def _given(values: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What differs from `usual`, parts of sections under names such as "optim.lr"."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{part}", one) for part, one in _given(value, usual.get(name, {})))
        elif value != usual.get(name):
            yield name, value
