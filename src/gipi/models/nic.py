"""Neural Image Caption: a convolutional net hands its view of an image to an LSTM, which says it in words.

Source: Vinyals, Toshev, Bengio and Erhan, "Show and Tell: A Neural Image Caption Generator", CVPR 2015, arXiv 1411.4555: section
3.1 and equations 4 to 12. The image is the LSTM's first input, by an affine layer of the words' size, and is not seen again.

Deviations: the mean of the encoder's coarsest map is handed over, for every backbone; dropout on words and on the state before
the answer; the state is o * tanh(c), as everywhere today, where equation 8 has o * c.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gipi.models.alexnet import alexnet
from gipi.models.caption_net import CaptionNet, Encoder, Seen, Step, before
from gipi.models.googlenet import googlenet
from gipi.models.mobilenetv2 import mobilenet_v2
from gipi.models.resnet import resnet18, resnet50
from gipi.models.vgg import vgg16

WORDS = 3000  # of a vocabulary, unless told


class NIC(CaptionNet):
    """See `CaptionNet`; p is 1."""

    ATTENDS = False

    def __init__(self, encoder: Encoder, *, classes: int, embedding: int, hidden: int, dropout: float) -> None:
        super().__init__(encoder, classes=classes, embedding=embedding, hidden=hidden, dropout=dropout)
        self.image = nn.Linear(encoder.width, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)

    def encode(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 d"]:
        return self.encoder(images).mean((2, 3))[:, None]

    def look(self, features: Float[Tensor, "n 1 d"]) -> Seen:
        _, (hidden, cell) = self.lstm(self.image(features))
        return Seen(features, features[..., :0], hidden[0], cell[0])

    def step(self, words: Int64[Tensor, "n b"], hidden: Float[Tensor, "n b h"], cell: Float[Tensor, "n b h"], seen: Seen) -> Step:
        state = hidden.flatten(0, 1)[None], cell.flatten(0, 1)[None]
        outputs, (hidden, cell) = self.lstm(self.dropout(self.embedding(words)).flatten(0, 1)[:, None], state)
        shape = words.shape
        logits = self.answer(self.dropout(outputs[:, 0])).unflatten(0, shape)
        return Step(logits, hidden[0].unflatten(0, shape), cell[0].unflatten(0, shape), logits.new_ones(*shape, 1))

    def unroll(
        self, features: Float[Tensor, "n 1 d"], words: Int64[Tensor, "n c t"]
    ) -> tuple[Float[Tensor, "m k"], Float[Tensor, "n c t 1"]]:
        there = words >= 0
        counts = there.flatten(0, 1).sum(1)
        rows = counts.nonzero()[:, 0]
        said = self.dropout(self.embedding(before(words.flatten(0, 1)[rows])))
        first = self.image(features)[rows // words.shape[1]]
        inputs = pack_padded_sequence(torch.cat([first, said], 1), counts[rows].cpu() + 1, True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.lstm(inputs)[0], True, total_length=words.shape[2] + 1)
        states = outputs[:, 1:][there.flatten(0, 1)[rows]]
        return self.answer(self.dropout(states)), there.unsqueeze(3).to(features.dtype)


def nic_alexnet(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    dropout: float = 0.5,
) -> NIC:
    encoder = Encoder(alexnet(classes=1, channels=channels, stem=stem, width=width), "alexnet", channels)
    return NIC(encoder, classes=classes, embedding=embedding, hidden=hidden, dropout=dropout)


def nic_vgg16(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    dropout: float = 0.5,
) -> NIC:
    encoder = Encoder(vgg16(classes=1, channels=channels, stem=stem, width=width), "vgg16", channels)
    return NIC(encoder, classes=classes, embedding=embedding, hidden=hidden, dropout=dropout)


def nic_googlenet(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    dropout: float = 0.5,
) -> NIC:
    encoder = Encoder(googlenet(classes=1, channels=channels, stem=stem, width=width), "googlenet", channels)
    return NIC(encoder, classes=classes, embedding=embedding, hidden=hidden, dropout=dropout)


def nic_resnet18(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    dropout: float = 0.5,
) -> NIC:
    encoder = Encoder(resnet18(classes=1, channels=channels, stem=stem, width=width), "resnet18", channels)
    return NIC(encoder, classes=classes, embedding=embedding, hidden=hidden, dropout=dropout)


def nic_resnet50(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    embedding: int = 512,
    hidden: int = 512,
    dropout: float = 0.5,
) -> NIC:
    encoder = Encoder(resnet50(classes=1, channels=channels, stem=stem, width=width), "resnet50", channels)
    return NIC(encoder, classes=classes, embedding=embedding, hidden=hidden, dropout=dropout)


def nic_mobilenet_v2(
    *,
    classes: int = WORDS,
    channels: int = 3,
    stem: str = "imagenet",
    width: float = 1.0,
    padding: str = "torch",
    embedding: int = 512,
    hidden: int = 512,
    dropout: float = 0.5,
) -> NIC:
    body = mobilenet_v2(classes=1, channels=channels, stem=stem, width=width, padding=padding)
    encoder = Encoder(body, "mobilenet-v2", channels)
    return NIC(encoder, classes=classes, embedding=embedding, hidden=hidden, dropout=dropout)
