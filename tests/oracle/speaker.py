"""A captioner that has learned nothing: it names the colours of a picture's quarters, and looks at each as it does."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.model import Card
from gipi.models.caption_net import CaptionNet, Seen, Step
from gipi.ops.text import END, SPECIALS
from gipi.preprocess import Preprocess
from gipi.tasks.captioner import Captioner
from gipi.tasks.trained import ALONE

COLOURS = ("red", "green", "blue")
CARD = Card("caption", "none", {}, (*SPECIALS, *COLOURS), Preprocess((3, 8, 12), "resize"))
SHARP = 4.0  # a word's logit: so many times its colour's share of white, of the quarter whose turn it is
NEVER = -30.0  # of other words


class Speaker(CaptionNet):
    """Says one word for each quarter, row by row, then ends. attends: whether it tells where it looks.  never: logit of others."""

    def __init__(self, attends: bool = True, never: float = NEVER) -> None:
        nn.Module.__init__(self)  # it has no encoder
        self.ATTENDS, self.classes, self.origin, self.never = attends, len(CARD.classes), "", never

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return (2, 2) if self.ATTENDS else (1, 1)

    def encode(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images, 2).flatten(2).mT

    def look(self, features: Tensor) -> Seen:
        nothing = features.new_zeros(len(features), 1)
        return Seen(features, features, nothing, nothing)

    def step(self, words: Tensor, hidden: Tensor, cell: Tensor, seen: Seen) -> Step:
        """hidden: how many words have been said."""
        turn = F.one_hot(hidden[..., 0].long().clamp(max=4), 5).float()  # (n, b, 5)
        logits = torch.full((*words.shape, self.classes), self.never)
        logits[..., len(SPECIALS) :] = torch.where(turn[..., 4:] > 0, self.never, SHARP * turn[..., :4] @ seen.values)
        logits[..., END] = torch.where(turn[..., 4] > 0, 0.0, self.never)
        return Step(logits, hidden + 1, cell, turn[..., :4])

    def unroll(self, features: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        seen, rows = self.look(features), words.shape[:2]
        hidden, cell = (state[:, None].expand(*rows, 1) for state in (seen.hidden, seen.cell))
        steps = []
        for place in range(words.shape[2]):
            steps.append(self.step(words[..., place], hidden, cell, seen))
            hidden = steps[-1].hidden
        logits, maps = (torch.stack([getattr(step, name) for step in steps], 2) for name in ("logits", "map"))
        return logits[words >= 0], maps


def speaker(attends: bool = True, never: float = NEVER) -> Captioner:
    return Captioner(Speaker(attends, never), CARD, ALONE)


def painted(*names: str, height: int = 8, width: int = 12, bright: int = 255, seed: int = 0) -> Tensor:
    """A picture whose quarters have these colours, none of them quite pure: uint8 (3, height, width)."""
    rest = torch.randint(0, 60, (3, 4), generator=torch.Generator().manual_seed(seed))
    rest[[COLOURS.index(name) for name in names], range(4)] = bright
    quarters = rest.to(torch.uint8).view(3, 2, 2)
    return quarters.repeat_interleave(height // 2, 1).repeat_interleave(width // 2, 2)


def truth(pixels: Tensor) -> dict[str, float]:
    """Each sentence that may be said of a picture, with its log-probability."""
    quarters = F.adaptive_avg_pool2d(pixels[None].double() / 255, 2)[0].flatten(1)
    logs = [
        {name: float(log) for name, log in zip(COLOURS, (SHARP * shares).log_softmax(0), strict=True)} for shares in quarters.T
    ]
    return {
        " ".join(names): math.fsum(log[name] for log, name in zip(logs, names, strict=True))
        for names in itertools.product(COLOURS, repeat=4)
    }
