"""The single-file model: weights and a card that says what they are, in one .safetensors file.

The card is JSON in the file's own header, so that predicting, evaluating and exporting need this file alone and never unpickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gipi import catalog
from gipi.decode import read
from gipi.errors import ConfigError, WeightsError, nearest
from gipi.preprocess import Preprocess
from gipi.runs import write_atomic

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Card:
    """What a file of weights is.

    net: name in the catalogue.  args: keyword arguments of its factory.  preprocess: what a picture goes through before it.
    metrics: of the test set.  data: digest of each set seen.  parents: what its weights started from.
    colours: red, green, blue of each class, for drawing them; of a segmentation net.
    environment, discount, clip_reward: what a player plays, and what its values are of: rewards or their signs, discounted.
    members: how many nets the file holds; of an ensemble, the names of their weights start with nets.0, nets.1, ...
    """

    kind: str
    net: str
    args: dict[str, bool | int | float | str]
    classes: tuple[str, ...]
    preprocess: Preprocess
    recipe: str = ""
    data: dict[str, str] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    gipi: str = ""
    members: int = 1
    colours: tuple[tuple[int, int, int], ...] = ()
    environment: str = ""
    discount: float = 0.99
    clip_reward: bool = True

    def __post_init__(self) -> None:
        if not self.classes:
            raise ConfigError("card has no classes")
        if len(self.colours) not in (0, len(self.classes)) or not all(0 <= part <= 255 for rgb in self.colours for part in rgb):
            raise ConfigError(f"card has {len(self.classes)} classes, but their colours are {self.colours}")
        if not 1 <= self.members <= 1000:
            raise ConfigError(f"card has {self.members} members, allowed are 1 to 1000")

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height, width of the net's input."""
        return self.preprocess.image


def save_model(path: Path, weights: Mapping[str, Tensor], card: Card) -> None:
    """Write weights and card; the file is complete or not there."""
    plain = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
    data = save(plain, metadata={"gipi": json.dumps(asdict(card), ensure_ascii=False)})
    try:
        write_atomic(path, data)
    except OSError as error:
        raise WeightsError(f"cannot write the model file {path}: {error.strerror}") from error


def load_model(path: Path) -> tuple[dict[str, Tensor], Card]:
    """(weights as float32 on the CPU, card). Raises WeightsError if the file is missing, broken or has no card."""
    card = read_card(path)
    try:
        with safe_open(path, framework="pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a readable model file: {error}") from error
    return {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}, card


def read_card(path: Path) -> Card:
    """The card of a model file, without its weights. Raises WeightsError if the file is missing, broken or has no card."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("gipi")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a readable model file: {error}") from error
    if text is None:
        raise WeightsError(f"{path} has no card: it was not written by gipi")
    try:
        return read(Card, json.loads(text), "card")
    except (ValueError, TypeError, RecursionError, ConfigError) as error:
        raise WeightsError(f"{path} has a card that this version of gipi cannot read: {error}") from error


def find_model(model: str | Path) -> Path:
    """The file of a model given as a file, a run folder or the short name of a shipped one. Raises WeightsError."""
    path = Path(model)
    with suppress(OSError, ValueError):  # of a name that no file can have
        if path.is_file():
            return path
        if (path / "model.safetensors").is_file():
            return path / "model.safetensors"
        if path.is_dir():
            raise WeightsError(f"{path} holds no model.safetensors yet: train first, or name a model file")
    if str(model) in catalog.SHIPPED:
        return WEIGHTS / f"{model}.safetensors"
    raise WeightsError(
        f"no model {str(model)!r}: it is no file, no run folder and no shipped model{nearest(str(model), catalog.SHIPPED)}"
    )


def fit_weights(net: torch.nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Load `weights` into `net`, or leave it as it is and raise WeightsError naming missing, unexpected and mis-shaped keys."""
    own = net.state_dict()
    faults = [f"missing {key}" for key in own if key not in weights]
    faults += [f"unexpected {key}" for key in weights if key not in own]
    faults += [
        f"{key} has shape {tuple(weights[key].shape)}, the net wants {tuple(value.shape)}"
        for key, value in own.items()
        if key in weights and weights[key].shape != value.shape
    ]
    if faults:
        raise WeightsError(
            f"{where} does not fit the net: {'; '.join(faults[:8])}{f' and {len(faults) - 8} more' if len(faults) > 8 else ''}"
        )
    net.load_state_dict(dict(weights))
