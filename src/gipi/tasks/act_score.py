"""How well a player plays: episodes, random play beside it, and what was published."""

from __future__ import annotations

from dataclasses import dataclass

from gipi import showing
from gipi.envs.atari import rom_of, sticky_of
from gipi.envs.scores import Reference, reference
from gipi.ops.metrics import Metrics, values
from gipi.tasks.player import Games, Player

EPISODES, EPSILON = 30, 0.05  # of Mnih et al., Nature 518, 2015


@dataclass(frozen=True)
class ActEvaluation:
    """metrics: of `games`, and `random`, the mean return of as many episodes of random play.  epsilon: share of random decisions.

    protocol: how was played, in a sentence.  reference: published scores of random play and of a human, if there are any.
    """

    metrics: Metrics
    games: Games
    epsilon: float
    protocol: str
    reference: Reference | None

    def _repr_html_(self) -> str:
        published = self.reference._asdict() if self.reference else {}
        rows = {**values(self.metrics), **{f"published: {name}": value for name, value in published.items()}}
        return showing.table(("score", ""), rows.items(), self.protocol)


def score_play(
    player: Player, environment: str, *, episodes: int = EPISODES, epsilon: float = EPSILON, seed: int = 0
) -> ActEvaluation:
    """Play the episodes of the test. Raises ConfigError for values out of range and an environment that does not fit."""
    games = player.play(episodes, epsilon=epsilon, seed=seed, environment=environment)
    chance = player.play(episodes, epsilon=1.0, seed=seed, environment=environment)
    rom = rom_of(environment)
    told = f"{episodes:,} episodes to their end, each of a seed of its own; {100 * epsilon:g} % of the decisions at random"
    if rom:
        sticky = f"sticky actions of {sticky_of(environment):g}" if sticky_of(environment) else "no sticky actions"
        told += f"; up to 30 no-ops at the beginning, {sticky}, 108,000 frames at most (30 minutes)"
    metrics = {**games.metrics, "random": chance.metrics["return"]}
    return ActEvaluation(metrics, games, epsilon, f"{told}.", reference(rom) if rom else None)
