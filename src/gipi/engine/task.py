"""What the engine asks of a task: the one contract between a kind of system and the training loop.

A task owns its nets, its data and its step; the loop owns the rhythm. A GAN is two `Optim`s and two lines in `step`; the
replay of a DQN is its source. Nothing in the engine knows which kind it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from gipi.errors import RunError
from gipi.ops.metrics import Metrics


class SourceError(RunError):
    """The source cannot go on, but what was learnt until then is worth saving, and a resume goes on."""


class Stateful(Protocol):
    """Anything a checkpoint holds: a net, an optimiser, a source of batches."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class Task(Protocol):
    """One kind of system: its nets, its data, its step."""

    def parts(self) -> Mapping[str, Stateful]:
        """All that must be saved for a resumed training to equal a straight one, by name."""
        ...

    def source(self) -> Iterator[Any]:
        """Endless training batches; its position is one of the parts."""
        ...

    def step(self, batch: Any) -> Metrics:
        """Change the weights once; tensors in the result stay on the device. Of several processes: metrics of its own part."""
        ...

    def evaluate(self) -> Metrics:
        """Score on held-out data, the headline first; empty if there is none. Never draws from the training's random numbers.

        Several processes call it together, and each gets the score of the whole.
        """
        ...

    def save_model(self, path: Path) -> None:
        """Write the single-file model: the nets alone, with their card. Several processes call it, the first one writes."""
        ...
