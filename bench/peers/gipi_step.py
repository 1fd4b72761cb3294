"""Contender: gipi, the engine's own step over the task of its default recipe; only evaluation and saving are left out."""

from __future__ import annotations

from dataclasses import replace

from contest import BATCH, RATE, SEED, Contest

contest = Contest()

import torch

import gipi
from gipi.config import AugmentConfig, OptimConfig
from gipi.engine.place import decide_place
from gipi.ops.metrics import values
from gipi.tasks.classify import Classify

config = gipi.RECIPES["deepconvnet-mnist"].config
config = replace(
    config,
    data=replace(config.data, batch=BATCH, augment=AugmentConfig()),
    optim=OptimConfig("adam", lr=RATE),
)
torch.manual_seed(SEED)
task = Classify(config, decide_place(precision=contest.precision))
source = task.source()
contest.run(lambda: task.step(next(source)))
contest.finish(sum(p.numel() for p in task.model.net.parameters()), lambda: values(task.evaluate())["accuracy"])
