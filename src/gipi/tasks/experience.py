"""The replay of a training as its source: `next` plays on and draws what to learn from.

Environments play on while the net learns: a turn takes what the last decisions have led to, decides anew and sends the
decisions off. Everything random is a function of (seed, turn) or (seed, update), so that a resume goes on as if nothing had
been.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gipi.config import ActConfig
from gipi.engine.task import SourceError
from gipi.envs.env import EnvError
from gipi.envs.played import Episode, Played, from_table, table
from gipi.envs.replay import Batch, Replay
from gipi.errors import RunError
from gipi.ops.chance import chance
from gipi.tasks.player import Player

DECIDING, DRAWING = 10, 11  # purposes of random numbers
BETA = 0.4  # how far the weights of prioritised replay make up for it at first; wholly at the end (Schaul et al., table 3)


class Experience:
    """Endless batches. player: whose net decides.  batch: transitions of an update.  updates: of the whole training."""

    def __init__(
        self, player: Player, played: Played, config: ActConfig, batch: int, seed: int, updates: int, slack: int
    ) -> None:
        envs = played.envs
        self._player, self._played, self._config, self._batch, self._seed = player, played, config, batch, seed
        self._of = updates
        self.replay = Replay(
            config.replay,
            envs.count,
            envs.frame,
            pixels=envs.pixels,
            history=config.history,
            n_step=config.n_step,
            discount=config.discount,
            prioritised=config.prioritised,
            slack=slack,
        )
        self._sent: np.ndarray | None = None
        self._decisions, self._updates = 0, 0
        self._ended = list[Episode]()

    @property
    def epsilon(self) -> float:
        """Share of random decisions now."""
        config = self._config
        explored = (self._decisions - config.warmup) / config.explore
        return 1 - (1 - config.epsilon) * min(1.0, max(0.0, explored))

    def ended(self) -> list[Episode]:
        """Episodes that have ended since this was asked last."""
        ended, self._ended = self._ended, []
        return ended

    def __iter__(self) -> Experience:
        return self

    def __next__(self) -> Batch:
        due = self._config.warmup + self._updates * self._config.every
        while self._decisions < due:
            self._turn()
        self._updates += 1
        beta = BETA + (1 - BETA) * self._updates / self._of
        return self.replay.sample(chance(self._seed, DRAWING, self._updates), self._batch, beta)

    def _turn(self) -> None:
        self._settle()
        played = self._played
        self._ended += played.ended  # not before, so that a save, which settles, does not change when it is told
        self.replay.see(played.frames, played.ages, played.resting)
        rng, count = chance(self._seed, DECIDING, self.replay.seen), len(played.ages)
        random = rng.random(count) < self.epsilon
        actions = rng.integers(0, len(played.envs.actions), count)
        if not random.all():
            best = self._player.values(self.replay.stacked()).argmax(1).numpy()
            actions = np.where(random, actions, best)
        played.send(actions)
        self._sent = actions
        self._decisions += count - int(played.resting.sum())

    def _settle(self) -> None:
        """Take what the last decisions have led to."""
        if self._sent is None:
            return
        sent, self._sent = self._sent, None
        try:
            rewards, terminated = self._played.receive()
        except EnvError as failure:
            self.replay.forget()
            raise SourceError(f"{failure}. Resumed, the training goes on with new episodes") from failure
        self.replay.note(sent, np.sign(rewards) if self._config.clip_reward else rewards, terminated)

    def state_dict(self) -> dict[str, Any]:
        self._settle()
        return {
            "played": self._played.state_dict(),
            "replay": self.replay.state_dict(),
            "decisions": self._decisions,
            "updates": self._updates,
            "ended": table(self._ended),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises RunError if what was played is gone, and if an environment does."""
        if (
            state["updates"] < self._of
            and state["replay"]["seen"]
            and not state["replay"]["store"]
            and not self.replay.store.found
        ):
            raise RunError(
                "what was played until then is gone, or not whole, of the run's folder replay: train again with another --out"
            )
        self._played.load_state_dict(state["played"])
        self.replay.load_state_dict(state["replay"])
        self._decisions, self._updates, self._sent = state["decisions"], state["updates"], None
        self._ended = from_table(state["ended"])
