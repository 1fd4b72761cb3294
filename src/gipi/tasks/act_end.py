"""The end of a player's training: the test's episodes, and the report."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gipi.config import Config
from gipi.inspect.act_report import write_act_report
from gipi.inspect.figures import png_bytes
from gipi.ops.metrics import values
from gipi.runs import Run
from gipi.tasks.act_score import score_play
from gipi.tasks.keep import note_test
from gipi.tasks.player import Player
from gipi.tasks.watch import film_of_game, what_moves

FILMED = 150  # decisions of the game in the report


def conclude(run: Run, player: Player, config: Config, report: bool) -> None:
    act = config.act
    score = score_play(player, player.environment, episodes=act.episodes, epsilon=act.test_epsilon, seed=config.run.seed)
    note_test(run, player, score.metrics, {})
    if report:
        write_act_report(
            run,
            player.net,
            player.card,
            test=values(score.metrics),
            returns=score.games.returns,
            lengths=score.games.lengths,
            protocol=score.protocol,
            reference=score.reference,
            film=_film(player),
            saliency=png_bytes(what_moves(player, 0)),
        )


def _film(player: Player) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "game.gif"
        film_of_game(player, most=FILMED).save(path)
        return path.read_bytes()
