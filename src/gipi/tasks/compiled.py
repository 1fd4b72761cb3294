"""Where the compiled form of a model is kept, and what it is called: the nearer half of `engine/fast.py`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn

from gipi import __version__
from gipi.data.fetch import cache_folder
from gipi.engine.compiled import RUNTIMES, Compiled
from gipi.engine.fast import Fast
from gipi.engine.place import Place
from gipi.model import WEIGHTS, Card


def compiled(net: nn.Module, card: Card, place: Place, path: Path, count: int) -> Compiled | None:
    """The net of the model file `path` by the first runtime that saves time for `count` pictures, see `Fast.get`."""
    name = f"gipi {__version__}: {card.members} x {card.net} {card.args} of {card.image}"
    for runtime in RUNTIMES:
        if found := Fast(net, name, card.image, place, folders(path, runtime), runtime).get(count):
            return found
    return None


def folders(path: Path, runtime: type[Compiled]) -> list[Path]:
    """NAME.openvino beside NAME.safetensors, then one in the cache; of a model that came with the package only that."""
    kept = cache_folder() / runtime.PACKAGE / f"{path.stem}-{hashlib.sha256(bytes(path.resolve())).hexdigest()[:12]}"
    return [kept] if path.parent == WEIGHTS else [path.with_suffix(f".{runtime.PACKAGE}"), kept]
