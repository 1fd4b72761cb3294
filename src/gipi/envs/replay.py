"""What was seen and done, kept to learn from: single frames, each once, from which what the net sees is put together.

Source: Mnih et al., Nature 518, 2015, Methods, "experience replay". Row t holds, of each environment, the frame seen at time t,
the action then chosen and what it led to. The frame that ends an episode has a row of its own, so that an episode cut by a time
limit has something to be valued by.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gipi.envs.priorities import Priorities
from gipi.envs.store import Store


class Batch(NamedTuple):
    """b transitions, each of up to n decisions.

    frames: (b, history * c, h, w), what was seen, the oldest frame first.  actions: (b,) int64.
    returns: (b,) float32, the discounted sum of the rewards.  following: like `frames`, what was seen after them.
    factors: (b,) float32, what the value of that counts: the discount of the decisions between; 0 if the task was over by then.
    weights: (b,) float32, by which the losses count.  places: (b,) int64, where the transitions lie.
    """

    frames: Tensor
    actions: Tensor
    returns: Tensor
    following: Tensor
    factors: Tensor
    weights: Tensor
    places: Tensor


class Replay:
    """The last `capacity` transitions of `envs` environments, played in step.

    frame, pixels: as in `Envs`.  history: frames that the net sees at once; those before an episode's beginning are zeros.
    n_step, discount: of the returns.  prioritised: transitions are drawn by their errors. slack: rows that may be written
    between two saved states. They are kept beside `capacity`, so that what a saved state refers to is still there after a kill
    at any moment.
    """

    def __init__(
        self,
        capacity: int,
        envs: int,
        frame: tuple[int, int, int],
        *,
        pixels: bool,
        history: int,
        n_step: int = 1,
        discount: float = 0.99,
        prioritised: bool = False,
        slack: int = 0,
    ) -> None:
        self._envs, self._history, self._n_step, self._discount = envs, history, n_step, discount
        self._kept = -(-capacity // envs) + n_step  # rows
        self._rows = self._kept + history + slack
        shape = (self._rows, envs)
        self.store = Store(
            {
                "frames": ((*shape, *frame), np.uint8 if pixels else np.float32),
                "actions": (shape, np.int16),
                "rewards": (shape, np.float32),
                "terminated": (shape, np.bool_),
                "ages": (shape, np.int32),
                "final": (shape, np.bool_),
            }
        )
        self._priorities = Priorities(self._rows * envs) if prioritised else None
        self.seen = 0  # rows begun, ever
        self._every = np.arange(envs)

    def see(self, frames: np.ndarray, ages: np.ndarray, final: np.ndarray) -> None:
        """Begin a row: what each environment shows, how many decisions after its beginning, and whether that ends its episode."""
        self.store.fill()
        row = self.seen % self._rows
        self.store["frames"][row], self.store["ages"][row], self.store["final"][row] = frames, ages, final
        self.seen += 1
        if self._priorities is not None:
            low, high = self._span()
            if high > low:
                fresh = (high - 1) % self._rows * self._envs + self._every
                self._priorities.add(fresh[~self.store["final"].reshape(-1)[fresh]])
            if low:
                self._priorities.remove((low - 1) % self._rows * self._envs + self._every)

    def note(self, actions: np.ndarray, rewards: np.ndarray, terminated: np.ndarray) -> None:
        """Complete the row: what was done, and what it led to."""
        row = (self.seen - 1) % self._rows
        self.store["actions"][row], self.store["rewards"][row], self.store["terminated"][row] = actions, rewards, terminated

    def forget(self) -> None:
        """Nothing is known of what the last row led to."""
        self.store["final"][(self.seen - 1) % self._rows] = True

    def stacked(self) -> Tensor:
        """(n, history * c, h, w): what each environment shows, with the frames before."""
        return self._stack(np.full(self._envs, (self.seen - 1) % self._rows), self._every, self._history)

    def _span(self) -> tuple[int, int]:
        """Rows, counted from the first ever, of whose transitions all is known: from, up to but without."""
        high = self.seen - self._n_step
        low = max(0, high - (self._kept - self._n_step))
        return low, high

    def __len__(self) -> int:
        """Transitions that can be drawn, those of ended episodes' last frames included."""
        low, high = self._span()
        return max(0, high - low) * self._envs

    def sample(self, rng: np.random.Generator, count: int, beta: float = 1.0) -> Batch:
        """Transitions drawn by equal chance, or by their priorities; beta: how far the weights make up for those."""
        index, weights = self._draw(rng, count, beta)
        row, env = np.divmod(index, self._envs)
        returns, factors = np.zeros(count, np.float32), np.ones(count, np.float32)
        live, at = np.ones(count, bool), row.copy()
        for _ in range(self._n_step):
            returns += np.where(live, factors * self.store["rewards"][at, env], 0)
            over = self.store["terminated"][at, env]
            factors *= np.where(live, np.where(over, 0, np.float32(self._discount)), 1)
            at = np.where(live, (at + 1) % self._rows, at)
            live &= ~over & ~self.store["final"][at, env]
        seen, following = self._pair(row, at, env)
        return Batch(
            seen,
            torch.from_numpy(self.store["actions"][row, env].astype(np.int64)),
            torch.from_numpy(returns),
            following,
            torch.from_numpy(factors),
            torch.from_numpy(weights),
            torch.from_numpy(index),
        )

    def _draw(self, rng: np.random.Generator, count: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
        if self._priorities is not None:
            index = self._priorities.draw(rng, count)
            return index, self._priorities.weights(index, beta)
        (low, high), index = self._span(), np.empty(0, np.int64)
        while len(index) < count:  # the frame that ends an episode is no beginning of a transition
            drawn = rng.integers(low * self._envs, high * self._envs, count - len(index)) % (self._rows * self._envs)
            index = np.concatenate([index, drawn[~self.store["final"].reshape(-1)[drawn]]])
        return index, np.ones(count, np.float32)

    def learnt(self, places: Tensor, errors: Tensor) -> None:
        """How far the values of these transitions were off, by which they are drawn from here on."""
        if self._priorities is not None:
            self._priorities.set(places.numpy(), errors.numpy())

    def _pair(self, row: np.ndarray, at: np.ndarray, env: np.ndarray) -> tuple[Tensor, Tensor]:
        """What was seen in these rows and in those; one step apart they share all frames but two."""
        if self._n_step > 1:
            return self._stack(row, env, self._history), self._stack(at, env, self._history)
        both = self._stack(at, env, self._history + 1)
        channels = both.shape[1] // (self._history + 1)
        return both[:, :-channels], both[:, channels:]

    def _stack(self, row: np.ndarray, env: np.ndarray, count: int) -> Tensor:
        """(b, count * c, h, w): the frames up to a row, those of the episode before as zeros."""
        back = np.arange(count - 1, -1, -1)
        places = (row[:, None] - back) % self._rows * self._envs + env[:, None]
        flat = self.store["frames"].reshape(self._rows * self._envs, -1)
        frames = flat.take(places.reshape(-1), 0, mode="clip").reshape(*places.shape, *self.store["frames"].shape[2:])
        before = self.store["ages"][row, env][:, None] < back
        if before.any():
            frames[before] = 0
        return torch.from_numpy(frames.reshape(len(row), -1, *frames.shape[3:]))

    def state_dict(self) -> dict[str, Any]:
        """Where it is; what is kept itself only if that is not in files."""
        priorities = {} if self._priorities is None else {"priorities": self._priorities.state_dict()}
        return {"seen": self.seen, "store": self.store.state_dict(), **priorities}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]
        self.store.load_state_dict(state["store"])
        if self._priorities is not None:
            self._priorities.load_state_dict(state["priorities"])
