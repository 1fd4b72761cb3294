"""Training a player by deep Q-learning.

Source: Mnih et al., Nature 518, 2015, algorithm 1; double, van Hasselt et al., arXiv 1509.06461, equation 4; prioritised
replay, Schaul et al., arXiv 1511.05952, algorithm 1.

Deviations from the source: several environments are played at once, on while the net learns; the frames of a time limit's end
are kept, so that such ends do not count as the task's; Adam in place of RMSProp, where recipes say so; the error is clipped by
Huber's loss.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gipi.config import Config
from gipi.engine.optim import Optim
from gipi.engine.place import Place
from gipi.engine.task import Stateful
from gipi.envs.find import open_envs
from gipi.envs.played import VALIDATION, Played
from gipi.envs.replay import Batch
from gipi.ops.metrics import Mean, Metrics
from gipi.runs import Run
from gipi.tasks.act_end import conclude
from gipi.tasks.act_start import begin, check, updates
from gipi.tasks.experience import Experience
from gipi.tasks.keep import Best, save_best
from gipi.tasks.player import Player
from gipi.tasks.trainable import Trainable

log = logging.getLogger("gipi")
SLACK = 2  # rows, from one saved state to the next, by decisions: at most every other one shows no decision but an end
REPLAY = "replay"  # the folder of what was played, in the run's


class Act(Trainable):
    """Training a player. `steps` and `every`: updates of the training, of an epoch.

    The weights of the epoch with the highest mean return of the validation's episodes are saved and tested, by other episodes.
    """

    def __init__(self, config: Config, place: Place) -> None:
        check(config)
        self.steps, self.every = updates(config)
        envs = open_envs(config.data.name, config.act.envs)
        if not envs.pixels and config.run.precision == "auto":
            place = replace(place, precision="fp32")  # values of long games need more than 8 bits, and small nets gain nothing
        net, card = begin(config, envs)
        self.player = Player(net.train(), card, place)
        self._target = place.put_net(deepcopy(net).requires_grad_(False))
        self._target.body.to(place.dtype)  # so that it is not brought to that format at each step
        self._optim = Optim(net, config.optim, place, self.steps)
        slack = math.ceil(SLACK * self.every * config.act.every / config.act.envs) + SLACK
        played = Played(envs, config.run.seed)
        self._source = Experience(self.player, played, config.act, config.data.batch, config.run.seed, self.steps, slack)
        self._best = Best(last=True)  # games have a highest score, which soon several epochs reach
        self._errors = torch.empty(0)
        self._config, self._place = config, place
        log.info("%s, %s x %d, replay of %s MB", place, envs.name, envs.count, f"{self._source.replay.store.bytes / 1e6:,.0f}")

    def begin(self, run: Run) -> None:
        self._source.replay.store.open(run.path / REPLAY)

    def parts(self) -> dict[str, Stateful]:
        return {
            "net": self.player.net,
            "target": self._target,
            "optim": self._optim,
            "source": self._source,
            "best": self._best,
        }

    def source(self) -> Iterator[Batch]:
        return self._source

    def step(self, batch: Batch) -> Metrics:
        lr, epsilon = self._optim.lr, self._source.epsilon
        metrics = self._optim.minimize(self._loss, batch)
        self._source.replay.learnt(batch.places, self._errors.cpu())
        if round(self._optim.progress * self.steps) % self._config.act.target == 0:
            self._target.load_state_dict(self.player.net.state_dict())
        told: Metrics = {"epsilon": Mean(epsilon, 1), "lr": Mean(lr, 1)}
        if ended := self._source.ended():
            count = len(ended)
            told["return"] = Mean(sum(episode.reward for episode in ended), count)
            told["clipped"] = Mean(sum(episode.clipped for episode in ended), count)
            told["length"] = Mean(float(sum(episode.length for episode in ended)), count)
        return {**metrics, **told}

    def _loss(self, batch: Batch) -> tuple[Tensor, int, Metrics]:
        device, following = self._place.device, self.player.inputs(batch.following)
        with torch.no_grad():
            after = self._target(following).float()
            if self._config.act.double:
                best = self._optim.replica(following).argmax(1, keepdim=True)
            else:
                best = after.argmax(1, keepdim=True)
            wanted = batch.returns.to(device) + batch.factors.to(device) * after.gather(1, best)[:, 0]
        values = self._optim.replica(self.player.inputs(batch.frames)).float()
        taken = values.gather(1, batch.actions.to(device)[:, None])[:, 0]
        self._errors = (taken - wanted).detach()
        loss = (F.huber_loss(taken, wanted, reduction="none") * batch.weights.to(device)).mean()
        return loss, len(taken), {"q": Mean(values.detach().amax(1).sum(), len(taken))}

    def evaluate(self) -> Metrics:
        act = self._config.act
        games = self.player.play(
            max(1, act.episodes // 3),
            epsilon=act.test_epsilon,
            seed=self._config.run.seed,
            purpose=VALIDATION,
        )
        self._best.offer(games.metrics["return"].value, self.player.weights)
        return games.metrics

    def save_model(self, path: Path) -> None:
        save_best(path, self._best, self.player)

    def finish(self, run: Run, report: bool) -> None:
        """Play the test's episodes, once: the score goes into the metrics and the card, pictures into the `report`."""
        player = Player.load(run.model_path, replace(self._place, precision="fp32"))
        conclude(run, player, self._config, report)
        shutil.rmtree(run.path / REPLAY, ignore_errors=True)
