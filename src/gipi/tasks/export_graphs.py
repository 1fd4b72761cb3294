"""A model of any kind as modules that other programs can run: uint8 pixels in, without gipi's reading of files around them."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.models.caption_net import Seen
from gipi.models.region_net import Found
from gipi.tasks.captioner import Captioner
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector
from gipi.tasks.evaluation import Loaded
from gipi.tasks.generator import Generator
from gipi.tasks.player import Player
from gipi.tasks.segmenter import Segmenter

SENTENCES = 3  # an image, in the example that a decoder is shown; any number is taken


@dataclass(frozen=True)
class Graph:
    """A module and examples of what it takes. part: "encoder" or "decoder" of a captioner, which becomes two files, else "".

    inputs, outputs: their names; of inputs also those of axes that may have any length.
    """

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: dict[str, dict[int, str]]
    outputs: tuple[str, ...]
    part: str = ""


def scales(model: Loaded) -> bool:
    """Whether the graph itself brings pictures of any size to that of the net. Where a card wants the middle of a picture it does
    not: it could not tell those that are framed already.
    """
    return isinstance(model, Classifier) and model.card.preprocess.framing == "resize"


def scaled(model: Loaded, pixels: Tensor) -> Tensor:
    """Pixels as the net's own preprocessing is given them: as floats of the net's size, not rounded, if the graph `scales`."""
    if not scales(model):
        return pixels
    return F.interpolate(pixels.float(), model.card.image[1:], mode="bilinear", antialias=True)


class Reader(nn.Module):
    """pixels uint8 (n, c, h, w) -> logits (n, classes) of a classifier, (n, classes, h, w) of a segmentation net."""

    def __init__(self, model: Classifier | Segmenter) -> None:
        super().__init__()
        self.net, self.model = model.net, model

    def forward(self, pixels: Tensor) -> Tensor:
        if isinstance(self.model, Classifier):
            return self.net(self.model.scale(scaled(self.model, pixels)))
        height, width = pixels.shape[-2:]
        # Not by the net's forward, which looks whether the sides fit: here they are not known yet, and always do.
        logits = self.net.segment(self.model.inputs(pixels))  # pyright: ignore[reportCallIssue]
        if torch.onnx.is_in_onnx_export():
            return logits[..., :height, :width]
        rows, columns = (torch.arange(length, device=pixels.device) for length in (height, width))
        return logits.index_select(2, rows).index_select(3, columns)  # a slice would fix whether the sides fit or not


class Finder(nn.Module):
    """pixels uint8 (1, 3, h, w), and regions (r, 4) where the net wants to be told -> boxes (k, 4), scores (k), labels (k)."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.net, self.model = model.net, model

    def forward(self, pixels: Tensor, regions: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        size = torch.tensor([pixels.shape[2:]])
        given = None if regions is None else regions[None]
        found: Found = self.net.detect(self.model.inputs(pixels), size, given)  # pyright: ignore[reportCallIssue]
        there = found.labels[0] >= 0
        return found.boxes[0][there], found.scores[0][there], found.labels[0][there]


class Maker(nn.Module):
    """noise (n, z), and labels (n) of a conditional generator -> images uint8 (n, c, h, w)."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.net, self.model = model.net, model

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        images = self.model.pixels(self.net(noise[:, :, None, None], labels))
        return images.round().clamp(0, 255).to(torch.uint8)


class Valuer(nn.Module):
    """observation (n, c, h, w), pixels uint8 or numbers -> values (n, actions), action (n): of the highest one."""

    def __init__(self, model: Player) -> None:
        super().__init__()
        self.net = model.net

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        values = self.net(observation.float())
        return values, values.argmax(1)


class Encoding(nn.Module):
    """pixels uint8 (n, 3, h, w) -> hidden, cell (n, h) and, of a net that attends, values (n, p, e), keys (n, p, a): `Seen`."""

    def __init__(self, model: Captioner) -> None:
        super().__init__()
        self.net, self.model = model.speaker, model

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        seen = self.net.look(self.net.encode(self.model.scale(pixels)))
        return (seen.hidden, seen.cell, seen.values, seen.keys) if self.net.ATTENDS else (seen.hidden, seen.cell)


class Decoding(nn.Module):
    """One word more of b sentences an image, as `Step` has it: words (n, b), hidden, cell (n, b, h) and, of a net that attends,
    values, keys -> log_probability (n, b, k) of every word to come next, hidden, cell and, of a net that attends, map (n, b, p).
    """

    def __init__(self, model: Captioner) -> None:
        super().__init__()
        self.net = copy(model.speaker)
        self.net._modules = {name: layer for name, layer in model.speaker.named_children() if name != "encoder"}

    def forward(
        self, words: Tensor, hidden: Tensor, cell: Tensor, values: Tensor | None = None, keys: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if hidden.shape[:2] != words.shape:  # asked, so that torch.export takes these lengths for the same
            raise ValueError(f"words {tuple(words.shape)} and states {tuple(hidden.shape)} of other sentences")
        seen = Seen(hidden if values is None else values, hidden if keys is None else keys, hidden, cell)
        said = self.net.step(words, hidden, cell, seen)
        step = said.logits.log_softmax(2), said.hidden, said.cell
        return (*step, said.map) if self.net.ATTENDS else step


def graphs(model: Loaded, fed: tuple[Tensor, ...]) -> list[Graph]:
    """The module, or two of a captioner, for a model that computes in float32 on the CPU.

    fed: what it is fed, such as `export_feeds` gives; of that only types and sizes come into a file. A detector keeps that size:
    how many anchors a picture of any size has is more than torch.export can reason about.
    """
    fed = tuple(map(torch.zeros_like, fed))
    if isinstance(model, Detector):
        names = ("pixels", "regions") if model.given else ("pixels",)
        return [Graph(Finder(model).eval(), fed, {name: {} for name in names}, ("boxes", "scores", "labels"))]
    fed = tuple(torch.cat([part[:1], part[:1]]) for part in fed)  # one image alone is no batch
    batch = {0: "batch"}
    if isinstance(model, Generator):
        names = ("noise", "labels") if model.maker.conditional else ("noise",)
        return [Graph(Maker(model).eval(), fed, dict.fromkeys(names, batch), ("images",))]
    if isinstance(model, Player):
        return [Graph(Valuer(model).eval(), fed, {"observation": batch}, ("values", "action"))]
    if isinstance(model, Captioner):
        return _captioner(model, fed)
    axes = {**batch, 2: "height", 3: "width"} if scales(model) or isinstance(model, Segmenter) else batch
    return [Graph(Reader(cast(Classifier | Segmenter, model)).eval(), fed, {"pixels": axes}, ("logits",))]


def _captioner(model: Captioner, fed: tuple[Tensor, ...]) -> list[Graph]:
    batch, sentences = {0: "batch"}, {0: "batch", 1: "sentences"}
    encoding = Encoding(model).eval()
    with torch.no_grad():
        hidden, cell, *places = encoding(*fed)
    states = (state[:, None].expand(-1, SENTENCES, -1).contiguous() for state in (hidden, cell))
    example = (torch.zeros(len(hidden), SENTENCES, dtype=torch.int64), *states, *places)
    seen, said = ("hidden", "cell", "values", "keys"), ("log_probability", "next_hidden", "next_cell", "map")
    attends = len(places)
    axes = {"words": sentences, "hidden": sentences, "cell": sentences, **dict.fromkeys(seen[2 : 2 + attends], batch)}
    return [
        Graph(encoding, fed, {"pixels": batch}, seen[: 2 + attends], "encoder"),
        Graph(Decoding(model).eval(), example, axes, said[: 4 if attends else 3], "decoder"),
    ]
