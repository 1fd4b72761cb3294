"""Tiny generators that make something, though nobody trained them."""

from __future__ import annotations

import torch

from gipi.model import Card
from gipi.models.dcgan import dcgan
from gipi.preprocess import Preprocess
from gipi.tasks.generator import Generator
from gipi.tasks.trained import ALONE

CLASSES = ("cat", "dog", "eel")


def generator(*, conditional: bool = False, channels: int = 1, size: int = 28) -> Generator:
    """Its batch norms have seen noise and its last layer is strong, so that pixels are of all values."""
    args = {"classes": 3, "channels": channels, "size": size, "noise": 16, "width": 4, "conditional": conditional}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = dcgan(**args)
        labels = torch.arange(64) % 3
        for _ in range(30):
            net(torch.randn(64, 16, 1, 1), labels)
    with torch.no_grad():
        net.layers[-2].weight *= 100
        net.project.weight[:, 16:] *= 10  # what is asked for shows
    card = Card("generate", "dcgan", args, CLASSES, Preprocess((channels, size, size), "resize", 0, (0.5,), (0.5,)))
    return Generator(net.eval(), card, ALONE)
