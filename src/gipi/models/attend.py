"""Show, attend and tell: an LSTM that looks at the image anew before every word, at each place as much as it matters.

Source: Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", ICML 2015, arXiv 1502.03044:
section 3.1.2 (decoder, initial state, deep output), section 4.2 ("soft" attention, the gate of its section 4.2.1).

Deviations: the features of each place are first brought to `hidden` numbers by an affine layer and a ReLU, which is faster;
beside its features a place tells where it is, without which left and right are hard to say; the state enters the answer as it
is, without a layer of its own; the gate has a number for each of the view's; that each place be looked at equally often in all
(the paper's "doubly stochastic" term) is not asked for; the encoder's coarsest map is looked at, for every backbone.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.models.alexnet import alexnet
from gipi.models.caption_net import CaptionNet, Encoder, Seen, Step, before
from gipi.models.googlenet import googlenet
from gipi.models.mobilenetv2 import mobilenet_v2
from gipi.models.nic import WORDS
from gipi.models.resnet import resnet18, resnet50
from gipi.models.vgg import vgg16


class Attend(CaptionNet):
    """See `CaptionNet`; attention: numbers that a place is compared by."""

    ATTENDS = True

    def __init__(self, encoder: Encoder, *, classes: int, embedding: int, hidden: int, attention: int, dropout: float) -> None:
        super().__init__(encoder, classes=classes, embedding=embedding, hidden=hidden, dropout=dropout)
        self.image = nn.Linear(encoder.width + 2, hidden)
        self.start = nn.Linear(hidden, 2 * hidden)
        self.key = nn.Linear(hidden, attention)
        self.query = nn.Linear(hidden, attention, bias=False)
        self.score = nn.Linear(attention, 1, bias=False)
        self.gate = nn.Linear(hidden, hidden)
        self.cell = nn.LSTMCell(embedding + hidden, hidden)
        self.word = nn.Linear(embedding, hidden, bias=False)
        self.view = nn.Linear(hidden, hidden, bias=False)

    def encode(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n p d"]:
        """The features of each place, row by row, and where it is: its row and its column, -1 to 1."""
        seen = self.encoder(images)
        across, down = (torch.linspace(-1, 1, count, device=seen.device, dtype=seen.dtype) for count in seen.shape[:1:-1])
        where = torch.stack(torch.meshgrid(down, across, indexing="ij")).expand(seen.shape[0], -1, -1, -1)
        return torch.cat([seen, where], 1).flatten(2).transpose(1, 2)

    def look(self, features: Float[Tensor, "n p d"]) -> Seen:
        values = F.relu(self.image(features))
        hidden, cell = torch.tanh(self.start(values.mean(1))).chunk(2, 1)
        return Seen(values, self.key(values), hidden, cell)

    def step(self, words: Int64[Tensor, "n b"], hidden: Float[Tensor, "n b h"], cell: Float[Tensor, "n b h"], seen: Seen) -> Step:
        said = self.dropout(self.embedding(words))
        hidden, cell, view, weights = self._next(said, hidden, cell, seen.values, seen.keys)
        logits = self.answer(self.dropout(hidden + self.word(said) + self.view(view)))
        return Step(logits, hidden, cell, weights)

    def _next(
        self,
        said: Float[Tensor, "n b e"],
        hidden: Float[Tensor, "n b h"],
        cell: Float[Tensor, "n b h"],
        values: Float[Tensor, "n p h"],
        keys: Float[Tensor, "n p a"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(hidden, cell, what was looked at (n, b, h), map (n, b, p)) after a word."""
        scores = self.score(torch.tanh(keys[:, None] + self.query(hidden)[:, :, None]))[..., 0]
        weights = scores.float().softmax(2)
        view = torch.sigmoid(self.gate(hidden)) * (weights.to(values.dtype) @ values)
        state = hidden.flatten(0, 1), cell.flatten(0, 1)
        after = self.cell(torch.cat([said, view], 2).flatten(0, 1), state)
        new_hidden, new_cell = (part.unflatten(0, said.shape[:2]) for part in after)
        return new_hidden, new_cell, view, weights

    def unroll(
        self, features: Float[Tensor, "n p d"], words: Int64[Tensor, "n c t"]
    ) -> tuple[Float[Tensor, "m k"], Float[Tensor, "n c t p"]]:
        flat = words.flatten(0, 1)
        counts = (flat >= 0).sum(1)
        rows = counts.argsort(descending=True, stable=True)[
            : int((counts > 0).sum())
        ]  # long ones first: those that have ended go
        image, going = rows // words.shape[1], [int((counts > at).sum()) for at in range(int(counts.max()))]
        values, keys, hidden, cell = (part[image] for part in self.look(features))
        said = self.dropout(self.embedding(before(flat[rows])))[:, :, None]
        hidden, cell, states, maps = hidden[:, None], cell[:, None], [], []
        for at, count in enumerate(going):
            now = said[:count, at]
            hidden, cell, view, weights = self._next(now, hidden[:count], cell[:count], values[:count], keys[:count])
            states.append(hidden + self.word(now) + self.view(view))
            maps.append(weights[:, 0])
        place = torch.cat([rows[:count] * flat.shape[1] + at for at, count in enumerate(going)])
        logits = self.answer(self.dropout(torch.cat(states)[place.argsort(), 0]))
        drawn = torch.cat(maps)
        every = drawn.new_zeros(flat.numel(), drawn.shape[1]).index_copy(0, place, drawn)
        return logits, every.unflatten(0, words.shape)


def attend_alexnet(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    attention: int = 256,
    dropout: float = 0.5,
) -> Attend:
    encoder = Encoder(alexnet(classes=1, channels=channels, stem=stem, width=width), "alexnet", channels)
    return Attend(encoder, classes=classes, embedding=embedding, hidden=hidden, attention=attention, dropout=dropout)


def attend_vgg16(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    attention: int = 256,
    dropout: float = 0.5,
) -> Attend:
    encoder = Encoder(vgg16(classes=1, channels=channels, stem=stem, width=width), "vgg16", channels)
    return Attend(encoder, classes=classes, embedding=embedding, hidden=hidden, attention=attention, dropout=dropout)


def attend_googlenet(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    attention: int = 256,
    dropout: float = 0.5,
) -> Attend:
    encoder = Encoder(googlenet(classes=1, channels=channels, stem=stem, width=width), "googlenet", channels)
    return Attend(encoder, classes=classes, embedding=embedding, hidden=hidden, attention=attention, dropout=dropout)


def attend_resnet18(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    attention: int = 256,
    dropout: float = 0.5,
) -> Attend:
    encoder = Encoder(resnet18(classes=1, channels=channels, stem=stem, width=width), "resnet18", channels)
    return Attend(encoder, classes=classes, embedding=embedding, hidden=hidden, attention=attention, dropout=dropout)


def attend_resnet50(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    attention: int = 256,
    dropout: float = 0.5,
) -> Attend:
    encoder = Encoder(resnet50(classes=1, channels=channels, stem=stem, width=width), "resnet50", channels)
    return Attend(encoder, classes=classes, embedding=embedding, hidden=hidden, attention=attention, dropout=dropout)


def attend_mobilenet_v2(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    padding: str = "torch",
    embedding: int = 512,
    hidden: int = 512,
    attention: int = 256,
    dropout: float = 0.5,
) -> Attend:
    body = mobilenet_v2(classes=1, channels=channels, stem=stem, width=width, padding=padding)
    encoder = Encoder(body, "mobilenet-v2", channels)
    return Attend(encoder, classes=classes, embedding=embedding, hidden=hidden, attention=attention, dropout=dropout)
