"""Toy environments, each with one trait that an environment of somebody else may have, known to gymnasium by the names below."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

CORRIDOR, BREAKING, SWAYING, CINEMA = "OracleCorridor-v0", "OracleBreaking-v0", "OracleSwaying-v0", "OracleCinema-v0"
STEERED, SORTED = "OracleSteered-v0", "OracleSorted-v0"


class Corridor(gymnasium.Env[np.ndarray, np.integer]):
    """Nine cells, one-hot; one step left or right. The left end brings 0.3, the right end 1, and 5 steps at most are given."""

    CELLS, LIMIT, ENDS = 9, 5, (0.3, 1.0)
    observation_space = Box(0, 1, (CELLS,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell, self.steps = int(self.np_random.integers(1, self.CELLS - 1)), 0
        return self._seen(), {}

    def step(self, action: np.integer) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.cell, self.steps = self.cell + 2 * int(action) - 1, self.steps + 1
        over = self.cell in (0, self.CELLS - 1)
        return self._seen(), self.ENDS[self.cell > 0] if over else 0.0, over, self.steps == self.LIMIT, {}

    def _seen(self) -> np.ndarray:
        return np.eye(self.CELLS, dtype=np.float32)[self.cell]

    @classmethod
    def values(cls, discount: float) -> np.ndarray:
        """(7, 2): what each step from each inner cell is worth, were no time limit."""
        values = np.zeros((cls.CELLS, 2))
        for _ in range(200):
            best = values.max(1)
            for cell in range(1, cls.CELLS - 1):
                for action in (0, 1):
                    to = cell + 2 * action - 1
                    values[cell, action] = cls.ENDS[to > 0] if to in (0, cls.CELLS - 1) else discount * best[to]
        return values[1:-1]


class Breaking(Corridor):
    """Raises an error when so many more steps, of all such environments together, have been made; None never."""

    left: ClassVar[int | None] = None

    def step(self, action: np.integer) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if Breaking.left is not None:
            Breaking.left -= 1
            if Breaking.left == 0:
                Breaking.left = None
                raise ZeroDivisionError("the lamp went out")
        return super().step(action)


class Swaying(Corridor):
    """What it shows is no function of seed and actions."""

    shown: ClassVar[int] = 0

    def _seen(self) -> np.ndarray:
        Swaying.shown += 1
        return super()._seen() + np.float32(Swaying.shown % 97)


class Cinema(gymnasium.Env[np.ndarray, np.integer]):
    """A red square on a green ground, 96x96 pixels in colour, that never ends: every seventh step is cut by the time limit."""

    observation_space = Box(0, 255, (96, 96, 3), np.uint8)
    action_space = Discrete(4, start=-1)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.at, self.steps = self.np_random.integers(0, 80, 2), 0
        return self._seen(), {}

    def step(self, action: np.integer) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.at = np.clip(self.at + int(action), 0, 80)
        self.steps += 1
        return self._seen(), float(action), False, self.steps == 7, {}

    def _seen(self) -> np.ndarray:
        picture = np.zeros((96, 96, 3), np.uint8)
        picture[..., 1] = 100
        picture[self.at[0] : self.at[0] + 16, self.at[1] : self.at[1] + 16] = (250, 0, 0)
        return picture

    def render(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._seen()


class Steered(Corridor):
    """Takes any number between -1 and 1."""

    action_space = Box(-1, 1, (1,), np.float32)


class Sorted(Corridor):
    """Shows what it shows by name."""

    observation_space = Dict({"cell": Corridor.observation_space})


for _name, _env in {
    CORRIDOR: Corridor,
    BREAKING: Breaking,
    SWAYING: Swaying,
    CINEMA: Cinema,
    STEERED: Steered,
    SORTED: Sorted,
}.items():
    gymnasium.register(_name, _env, disable_env_checker=True)
