"""What the small games of our own share: a square board of cells, seen as one grey frame of a pixel a cell."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from gipi.errors import ConfigError

SMALLEST, LARGEST = 10, 42  # cells a side
SIDE = 320  # pixels of a picture's side, about
FINE = 3  # times as large is a picture drawn, for smooth edges
GROUND = ("#F4F1EA", "#ECE8DE")  # cells take turns
Colour = str | tuple[int, int, int]


class Board(gymnasium.Env[np.ndarray, np.int64 | int]):
    """A game on `size` x `size` cells, frames (1, size, size) uint8, actions 0 to len(ACTIONS) - 1, seeded by `reset`.

    A game is a function of the seed and the actions. A subclass lays a game out in `_begin` and goes on in `_move`; both write
    only the cells that change into `_frame`, of which the player gets copies.
    Raises ConfigError for a size that is not a whole number of 10 to 42, for options of `reset`, of which there are none, for
    an action out of range, and for a step before `reset` or after the end.
    """

    ACTIONS: ClassVar[tuple[str, ...]]
    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": 10}  # pyright: ignore[reportIncompatibleVariableOverride]
    render_mode = "rgb_array"

    def __init__(self, size: int) -> None:
        if not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
            raise ConfigError(f"{self._name} is played on {SMALLEST} to {LARGEST} cells a side, got size {size!r}")
        self.size = size
        self.observation_space = Box(0, 255, (1, size, size), np.uint8)
        self.action_space = Discrete(len(self.ACTIONS))
        self._frame = np.zeros((1, size, size), np.uint8)
        self._over = True

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[UInt8[np.ndarray, "1 size size"], dict]:
        """A new game: its first frame."""
        if options:
            raise ConfigError(f"{self._name} has no options of reset, got {options!r}: leave them out")
        super().reset(seed=seed)
        self._frame[:] = 0
        self._over = False
        self._begin()
        return self._frame.copy(), {}

    def step(self, action: np.int64 | int) -> tuple[UInt8[np.ndarray, "1 size size"], float, bool, bool, dict]:
        """The frame after one move, its reward, whether the game is over, whether time is out."""
        if self._over:
            raise ConfigError(f"{self._name}: no game is going on; call reset before the next step")
        if not 0 <= action < len(self.ACTIONS):
            names = ", ".join(f"{number} {name}" for number, name in enumerate(self.ACTIONS))
            raise ConfigError(f"{self._name} has no action {action} (allowed: {names})")
        reward, terminated, truncated = self._move(action)
        self._over = terminated or truncated
        return self._frame.copy(), reward, terminated, truncated, {}

    def render(self) -> UInt8[np.ndarray, "side side 3"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The board in colours, each cell enlarged by the same even number of pixels, so that the side is about 320."""
        cell = 2 * round(SIDE / self.size / 2)
        side = self.size * cell * FINE
        picture = Image.new("RGB", (side, side), GROUND[0])
        pen = Pen(picture, cell * FINE)
        for row in range(self.size):
            for column in range(row % 2, self.size, 2):
                pen.block(row, column, 1, GROUND[1])
        self._draw(pen)
        return np.array(picture.reduce(FINE))

    @property
    def _name(self) -> str:
        return type(self).__name__.lower()

    @abstractmethod
    def _begin(self) -> None:
        """Lay out a new game on an empty frame."""

    @abstractmethod
    def _move(self, action: np.int64 | int) -> tuple[float, bool, bool]:
        """One move: reward, terminated, truncated."""

    @abstractmethod
    def _draw(self, pen: Pen) -> None:
        """Draw what is on the board, for people."""


class Pen:
    """Draws on a picture in units of cells: the middle of the first cell is (0, 0), rows go down."""

    def __init__(self, picture: Image.Image, cell: int) -> None:
        self._draw, self._cell = ImageDraw.Draw(picture), cell

    def _at(self, row: float, column: float) -> tuple[float, float]:
        return (column + 0.5) * self._cell, (row + 0.5) * self._cell

    def block(self, row: float, column: float, side: float, colour: Colour) -> None:
        """A square round a point."""
        x, y = self._at(row, column)
        half = side * self._cell / 2
        self._draw.rectangle((x - half, y - half, x + half - 1, y + half - 1), colour)

    def disc(self, row: float, column: float, width: float, colour: Colour) -> None:
        x, y = self._at(row, column)
        half = width * self._cell / 2
        self._draw.ellipse((x - half, y - half, x + half, y + half), colour)

    def stroke(self, points: list[tuple[float, float]], width: float, colour: Colour) -> None:
        """A thick line through points, round at the ends and where it turns."""
        for point in points:
            self.disc(*point, width, colour)
        self._draw.line([self._at(*point) for point in points], colour, round(width * self._cell) + 1)
