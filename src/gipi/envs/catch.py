"""Catch: a ball falls, a paddle is to be below it. The smallest game that is learnt from pixels in a minute.

After Mnih et al., "Recurrent Models of Visual Attention", arXiv 1406.6247, section 4.2, a ball that falls straight down.
"""

from __future__ import annotations

import numpy as np

from gipi.envs.board import Board, Pen

BALL, PADDLE = 255, 128  # grey of their pixels


class Catch(Board):
    """One ball a game, from a random column of the top row, one row down a step; a paddle 3 cells wide in the bottom row.

    The paddle begins in the middle (column size // 2) and goes a cell to the left, stays or goes to the right, within the
    board. After size - 1 steps the ball is in the bottom row and the game terminates: reward +1 if it is on the paddle, else
    -1; 0 before. No ball is out of reach. Raises ConfigError as `Board` does.
    """

    ACTIONS = ("left", "stay", "right")

    def __init__(self, size: int = 16) -> None:
        super().__init__(size)
        self._row = self._column = self._paddle = 0

    def _begin(self) -> None:
        self._row, self._column, self._paddle = 0, int(self.np_random.integers(self.size)), self.size // 2
        self._frame[0, -1, self._paddle - 1 : self._paddle + 2] = PADDLE
        self._frame[0, 0, self._column] = BALL

    def _move(self, action: np.int64 | int) -> tuple[float, bool, bool]:
        frame, paddle = self._frame, min(max(self._paddle + (-1, 0, 1)[action], 1), self.size - 2)
        if paddle != self._paddle:
            frame[0, -1, 2 * self._paddle - paddle] = 0  # the end that it leaves
            frame[0, -1, 2 * paddle - self._paddle] = PADDLE
            self._paddle = paddle
        frame[0, self._row, self._column] = 0
        self._row += 1
        frame[0, self._row, self._column] = BALL
        if self._row < self.size - 1:
            return 0.0, False, False
        return (1.0 if self._caught else -1.0), True, False

    @property
    def _caught(self) -> bool:
        return abs(self._column - self._paddle) <= 1

    def _draw(self, pen: Pen) -> None:
        bottom, middle = self.size - 1, self._paddle
        if not np.any(self._frame):
            return
        pen.stroke([(bottom + 0.15, middle - 1.1), (bottom + 0.15, middle + 1.1)], 0.5, "#3B6EA5")
        colour = "#E08A2E" if self._row < bottom else "#4C9F70" if self._caught else "#C0392B"
        pen.disc(self._row, self._column, 0.8, colour)
