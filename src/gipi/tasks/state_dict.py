"""Weights as other programs save them: state dicts in .pth, .pt and .safetensors files, read without executing anything."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from gipi.errors import WeightsError
from gipi.model import fit_weights
from gipi.models.kinds import build_net

WRAPPINGS = ("state_dict", "model_state_dict", "model")  # entries of a checkpoint that hold the weights
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel, of torch.compile
AUXILIARY = ("aux1.", "aux2.")  # heads that only training needs
COUNTER = ".num_batches_tracked"  # of batch norm; files from before PyTorch 0.4.1 have none


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The weights in a file of safetensors or of `torch.save`, in its zip or its older form, on the CPU, by name.

    A checkpoint that holds them beside other things is unwrapped; prefixes that every name has, of DataParallel and
    torch.compile, are taken off. Raises WeightsError if the file cannot be read, holds or asks for anything but tensors and
    plain values, or unpacks to more than its own size.
    """
    content = _read(path)
    for entry in WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(entry), Mapping):
            content = content[entry]
            break
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path} holds no state dict, a dict of name -> tensor; save that of the net: net.state_dict()")
    weights = {str(key): value for key, value in content.items()}
    while taken := [prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in weights)]:
        weights = {key.removeprefix(taken[0]): value for key, value in weights.items()}
    for key, value in weights.items():
        if fault := _fault(value):
            raise WeightsError(f"{path}: {key} {fault}; expected are tensors of floating-point numbers")
    return weights


def fit_state_dict(
    weights: Mapping[str, Tensor], net: str, args: Mapping[str, bool | int | float | str], where: str
) -> dict[str, Tensor]:
    """`weights` as a net of the catalogue with those arguments has them: float32, all there, nothing else.

    Auxiliary heads are left out where the net has none, counters of batch norm begin at 0 where there are none.
    Raises WeightsError naming each key that is missing, unexpected, mis-shaped or not finite.
    """
    built = build_aside(net, args)
    own = built.state_dict()
    kept = {key: value for key, value in weights.items() if key in own or not key.startswith(AUXILIARY)}
    counters = {key: torch.tensor(0) for key in own if key.endswith(COUNTER)}
    fit_weights(built, counters | kept, where)
    infinite = [key for key, value in own.items() if not value.isfinite().all()]
    if infinite:
        raise WeightsError(f"{where} holds NaN or infinite values: {', '.join(infinite[:8])}")
    return own


def build_aside(net: str, args: Mapping[str, bool | int | float | str]) -> nn.Module:
    """A net to compare with. The random numbers of a training must not depend on whether weights were converted before."""
    with torch.random.fork_rng(devices=[]):
        return build_net(net, args)


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                size = sum(part.file_size for part in file.infolist())
            if size > path.stat().st_size:
                raise WeightsError(f"{path} unpacks to {size:,} bytes, more than it has itself: torch.save packs nothing")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # a broken file fails in any way: KeyError, EOFError, RuntimeError, UnpicklingError, ...
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        if asked := re.search(r"GLOBAL ([\w.]+)", str(error)):
            reason = f": it asks for {asked[1]}, and only tensors and plain values are read"
        raise WeightsError(
            f"{path} is no readable file of weights{reason}; expected is a state dict by torch.save, or a .safetensors file"
        ) from error


def _fault(value: object) -> str:
    """What keeps an entry from being a weight; "": nothing."""
    if not isinstance(value, Tensor):
        return f"is no tensor but {type(value).__name__}"
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        return "is a sparse, quantized or empty shell of a tensor"
    if not value.is_floating_point() and value.ndim:  # a counter is a whole number without dimensions
        return f"is of {str(value.dtype).removeprefix('torch.')}"
    if not value.numel():
        return f"has shape {tuple(value.shape)}, which holds no numbers"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"claims a shape of {tuple(value.shape)} but holds fewer numbers"
    return ""
