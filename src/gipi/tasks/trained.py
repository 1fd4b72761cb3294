"""A net with its card, ready to use: what the models of every kind have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from gipi import catalog, showing
from gipi.data.entry import listed
from gipi.engine.place import Place
from gipi.engine.spread import whole_weights
from gipi.errors import ConfigError
from gipi.model import Card, fit_weights, load_model, save_model
from gipi.models.ensemble import Ensemble
from gipi.models.kinds import build_net

ALONE = Place(torch.device("cpu"), "fp32", 0)
T = TypeVar("T", bound="Trained")


class Trained:
    """path: of the model file that it is from; its net is then not to be changed any more.  KIND: what its cards say it does."""

    KIND: str

    def __init__(self, net: torch.nn.Module, card: Card, place: Place, path: Path | None = None) -> None:
        self.net, self.card, self.place, self.path = place.put_net(net), card, place, path

    @classmethod
    def load(cls: type[T], path: Path, place: Place) -> T:
        """The model in a file. Raises WeightsError if it is broken or does not fit its card, ConfigError for another kind."""
        weights, card = load_model(path)
        if card.kind != cls.KIND:
            raise ConfigError(f"{path} does {card.kind}; wanted is a model that does {cls.KIND}")
        nets = [build_net(card.net, card.args) for _ in range(card.members)]
        net = nets[0] if card.members == 1 else Ensemble(nets)
        fit_weights(net, weights, str(path))
        return cls(net.eval(), card, place, path)

    def expect(self, count: int) -> None:
        """Get ready for so many pictures, where a kind has something that pays only for many."""

    def _repr_html_(self) -> str:
        """What its card says."""
        card, names = self.card, list(self.card.classes)
        rows = {
            "does": card.kind,
            "net": card.net,
            "takes": "x".join(map(str, card.image)),
            f"{len(names):,} classes": listed(names),
            "parameters": sum(weight.numel() for weight in self.net.parameters()),
            **card.metrics,
        }
        return showing.table(("model", card.recipe), rows.items())

    @property
    def runtime(self) -> str:
        """What computes the answers, and how many times as fast as PyTorch that was measured to be."""
        return "PyTorch"

    def weights(self) -> dict[str, Tensor]:
        """All of them; of several processes that share them out each must call it."""
        return whole_weights(self.net) if self.place.shard else self.net.state_dict()

    def save(self, path: Path) -> None:
        """Write the model file; of several processes that train together the first one does."""
        weights = self.weights()
        if self.place.first:
            save_model(path, weights, self.card)

    def scale(self, pixels: Tensor) -> Tensor:
        """uint8 pixels, or floats of that range, to the net's input values."""
        how = self.card.preprocess
        mean, std = (torch.tensor(numbers, device=pixels.device).view(-1, 1, 1) for numbers in (how.mean, how.std))
        return (pixels.float() * (1 / 255) - mean) / std

    def pixels(self, inputs: Tensor) -> Tensor:
        """The pixels, as floats, of which `scale` makes such inputs (n, c, h, w)."""
        how = self.card.preprocess
        mean, std = (torch.tensor(numbers, device=inputs.device).view(-1, 1, 1) for numbers in (how.mean, how.std))
        return (inputs * std + mean) * 255

    def run(self, part: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """What a part of the net makes of inputs, in float32, dropout off; the net's modes stay as they are."""
        with self.answering():
            return part(inputs).float()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """The net as it answers: dropout off, no gradients, numbers of the place's format. Its modes come back afterwards."""
        modes = {module: module.training for module in self.net.modules()}
        self.net.eval()
        try:
            with torch.inference_mode(), self.place.autocast():
                yield
        finally:
            for module, mode in modes.items():
                module.training = mode


def training_work(card: Card, images: int) -> float:
    """Floating-point operations of training on so many images: two a multiply-add, forward once and backward twice."""
    net, (_, height, width) = catalog.NETS[card.net], card.image
    return 6 * net.multiply_adds * height * width / (net.input[1] * net.input[2]) * images
