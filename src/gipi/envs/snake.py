"""Snake: a body that grows with what it eats and must not run into itself; harder the better it is played."""

from __future__ import annotations

from collections import deque

import numpy as np

from gipi.envs.board import Board, Pen

BODY, HEAD, FOOD = 100, 180, 255  # grey of their pixels
START = 3  # cells of a snake at first
PATIENCE = 100  # steps without food until time is out
AHEAD = ((-1, 0), (0, 1), (1, 0), (0, -1))  # rows and columns that an action goes


class Snake(Board):
    """A snake goes a cell a step; food, reward +1, makes it a cell longer at once and lies anew on a random empty cell.

    It begins 3 cells long in the middle, on its way to the right. An action is the direction of the next cell; straight back
    goes straight on. A wall or its own body: reward -1, terminated, and the board stays as it was. The cell that the tail is
    leaving is free. A board that the snake fills is won: terminated. 100 steps without food: truncated.
    Raises ConfigError as `Board` does.
    """

    ACTIONS = ("up", "right", "down", "left")

    def __init__(self, size: int = 12) -> None:
        super().__init__(size)
        self._body: deque[tuple[int, int]] = deque()  # tail first
        self._heading = self._hungry = 0

    def _begin(self) -> None:
        middle = self.size // 2
        self._body = deque((middle, column) for column in range(middle - START + 1, middle + 1))
        self._heading, self._hungry = self.ACTIONS.index("right"), 0
        for row, column in self._body:
            self._frame[0, row, column] = BODY
        self._frame[0, middle, middle] = HEAD
        self._feed()

    def _feed(self) -> bool:
        """New food, if there is an empty cell."""
        empty = np.flatnonzero(self._frame == 0)
        if len(empty):
            self._frame.flat[empty[self.np_random.integers(len(empty))]] = FOOD
        return len(empty) > 0

    def _move(self, action: np.int64 | int) -> tuple[float, bool, bool]:
        frame, body = self._frame, self._body
        if action != (self._heading + 2) % 4:
            self._heading = int(action)
        down, right = AHEAD[self._heading]
        row, column = head = body[-1]
        to = row + down, column + right
        outside = not (0 <= to[0] < self.size and 0 <= to[1] < self.size)
        found = BODY if outside else frame[0, to[0], to[1]]
        if found == BODY and to != body[0]:
            return -1.0, True, False
        eaten = found == FOOD
        if not eaten:
            frame[0][body.popleft()] = 0
        frame[0][head] = BODY
        frame[0][to] = HEAD
        body.append(to)
        self._hungry = 0 if eaten else self._hungry + 1
        if eaten:
            return 1.0, not self._feed(), False
        return 0.0, False, self._hungry == PATIENCE

    def _draw(self, pen: Pen) -> None:
        for row, column in np.argwhere(self._frame[0] == FOOD):
            pen.disc(row, column, 0.7, "#D9534F")
        if not self._body:
            return
        pen.stroke(list(self._body), 0.72, "#6DB38A")
        (row, column), (down, right) = self._body[-1], AHEAD[self._heading]
        pen.disc(row, column, 0.92, "#2F6F4E")
        for side in (-0.2, 0.2):
            eye = row + 0.16 * down + side * right, column + 0.16 * right + side * down
            pen.disc(*eye, 0.22, "#FFFFFF")
