"""What a training asks of the task of any kind, beside what the engine asks (see `engine/task.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gipi.runs import Run


class Trainable(ABC):
    """steps, every: of the whole training, of an epoch."""

    steps: int
    every: int

    def begin(self, run: Run) -> None:  # noqa: B027 (most need nothing)
        """The run folder is there, and nothing has been done yet: what is too large for a saved state may go into it."""

    @abstractmethod
    def finish(self, run: Run, report: bool) -> None:
        """All steps are trained: look at the test set, once. Its score goes into metrics and card, pictures into the `report`."""
