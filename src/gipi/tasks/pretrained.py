"""Weights trained before, from wherever they come: published ones of ImageNet, models of ours, state dicts of other programs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gipi import __version__, catalog
from gipi.errors import ConfigError, GipiWarning, WeightsError
from gipi.model import Card, find_model, load_model
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from gipi.published import LABELS
from gipi.tasks.coco import detector_weights, is_detector
from gipi.tasks.imagenet import imagenet_classes, published_weights, recognised
from gipi.tasks.state_dict import build_aside, fit_state_dict, read_state_dict


def pretrained(source: str, net: str, *, whole: str = "") -> tuple[dict[str, Tensor], Card]:
    """(weights as float32 on the CPU, card that says what they are), trained before. Draws no random numbers.

    whole: the net that `net` is the backbone of, if that is no classifier; a state dict may be of either.  source:
    - "imagenet" or "imagenet-v2": the published weights of `net`, found in the cache or the data folders, or downloaded;
    - a model of ours, as a file, a run folder or the name of a shipped one: its net is what its card says, whatever `net` is;
    - a state dict of `net` in a .pth, .pt or .safetensors file. One that is known by its SHA-256 is like a model of ours; of any
      other the numbers of classes and channels are read off its shapes and its preprocessing is assumed, with a GipiWarning.
    Raises ConfigError for a net without such weights and for an ensemble, DataError if published weights cannot be had,
    WeightsError if a file is missing, broken or hostile, or does not fit the net.
    """
    if source in LABELS:
        return published_weights(source, net)
    try:
        path = find_model(source)
    except WeightsError as error:
        raise WeightsError(f"{error}; weights published for ImageNet are named {' and '.join(LABELS)}") from error
    if not _has_card(path):
        return recognised(path) or _state_dict(path, net, whole)
    weights, card = load_model(path)
    if card.members > 1:
        raise ConfigError(f"{source} is an ensemble of {card.members} nets: start from the model of one of them")
    return weights, card


def adapt_channels(weights: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """`weights` with a first convolution that takes as many channels as that of `net`; all others are the same tensors.

    For one channel its weights are added up over the channels, so that a grey image does what it did when each channel was given
    it; for n channels their mean is repeated, times old / n. A GipiWarning says so.
    """
    layer, convolution = _first(net)
    key, channels, adapted = f"{layer}.weight", convolution.in_channels, dict(weights)
    if key not in weights or weights[key].ndim != 4 or (old := weights[key].shape[1]) == channels:
        return adapted
    adapted[key] = weights[key].sum(1, keepdim=True).div(channels).repeat(1, channels, 1, 1)
    how = "added up" if channels == 1 else f"replaced by their mean times {old}/{channels}"
    warnings.warn(
        f"the net was trained on {old}-channel images and gets {channels}-channel ones: the weights of {layer} were {how}",
        GipiWarning,
        stacklevel=2,
    )
    return adapted


def for_channels(numbers: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Means or deviations for a number of channels: as they are, or their own mean for all."""
    return numbers if len(numbers) in (1, channels) else (mean(numbers),)


def _first(net: nn.Module) -> tuple[str, nn.Conv2d]:
    """The first convolution and its name."""
    return next((name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d))


def _state_dict(path: Path, net: str, whole: str) -> tuple[dict[str, Tensor], Card]:
    weights = read_state_dict(path)
    net = whole if whole and is_detector(weights) else net
    known = catalog.entry(catalog.NETS, net, "net")
    if known.kind == "detect":
        return detector_weights(weights, net, path)
    usual = build_aside(net, {})
    count = _size(weights, usual, f"{usual.HEAD}.weight", 0)
    channels = _size(weights, usual, f"{_first(usual)[0]}.weight", 1)
    args: dict[str, bool | int | float | str] = {"classes": count, "channels": channels}
    fitted = fit_state_dict(weights, net, args, str(path))
    classes = imagenet_classes() if count == 1000 else tuple(map(str, range(count)))
    return fitted, Card(known.kind, net, args, classes, _assumed(path, known, channels), parents=(path.name,), gipi=__version__)


def _size(weights: Mapping[str, Tensor], usual: nn.Module, key: str, axis: int) -> int:
    """How long the weight is along the axis; if it does not have the net's other sizes, what the net usually has."""
    shapes = [tuple(value.shape) for value in (usual.state_dict()[key], weights.get(key)) if value is not None]
    own, got = shapes[0], shapes[-1]
    return got[axis] if got[:axis] + got[axis + 1 :] == own[:axis] + own[axis + 1 :] else own[axis]


def _assumed(path: Path, net: catalog.Net, channels: int) -> Preprocess:
    height, width = net.input[1:]
    if (height, width) == (224, 224):
        means, stds = (for_channels(numbers, channels) for numbers in (IMAGENET_MEAN, IMAGENET_STD))
        how = Preprocess((channels, 224, 224), "crop", 256, means, stds)
        words = "shorter side 256, its middle of 224x224, ImageNet's mean and deviation"
    else:
        how, words = Preprocess((channels, height, width), "resize"), f"scaled to {height}x{width}, values of 0 to 1"
    warnings.warn(f"{path.name} does not say how pictures are made ready for it; assumed: {words}", GipiWarning, stacklevel=4)
    return how


def _has_card(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return "gipi" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False
