"""Published weights of ImageNet: found or downloaded, checked, and kept as a model with a card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path

from torch import Tensor

from gipi import __version__, catalog
from gipi.data.fetch import RemoteFile, cache_folder, data_folders, download, lock
from gipi.errors import ConfigError, DataError, WeightsError, nearest
from gipi.model import Card, load_model, save_model
from gipi.published import PUBLISHED, Published
from gipi.tasks.state_dict import fit_state_dict, read_state_dict

FOLDER = "imagenet_weights"  # in the data folders


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The 1000 classes of ImageNet in their standard order: the first WordNet lemma of each, told apart where two are alike."""
    lines = resources.files("gipi.data").joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.partition("\t")[2] for line in lines)


def published_weights(label: str, net: str) -> tuple[dict[str, Tensor], Card]:
    """(weights as float32 on the CPU, card) of a net of the catalogue, as published under that label.

    The first found of: a copy in the folder `weights` of the cache; a file in the data folders `imagenet_weights` with the
    published SHA-256; a download, which is taken away once its copy is made. A copy is a model file with a card.
    Raises ConfigError for a net without such weights, DataError if they cannot be had, WeightsError if a file does not fit the
    net or the cache cannot be written.
    """
    ways = [one for one in PUBLISHED if (one.label, one.net) == (label, net)]
    if not ways:
        having = {one.net for one in PUBLISHED if one.label == label}
        raise ConfigError(f"there are no {label} weights for net {net!r}{nearest(net, having)}")
    folder = cache_folder() / "weights"
    if made := _cached(ways, folder):
        return made
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder / f".{net}-{label}.lock"):
            return _cached(ways, folder) or _make(ways, folder)  # another process may have been faster
    except OSError as error:
        raise WeightsError(
            f"weights cannot be kept in {folder}: {error.strerror}; set GIPI_CACHE to a folder that can be written"
        ) from error


def recognised(path: Path) -> tuple[dict[str, Tensor], Card] | None:
    """The same of a file whose SHA-256 is a published one; None for any other."""
    sha256 = sha256_of(path)
    return next((_convert(one, path) for one in PUBLISHED if sha256.startswith(one.sha256)), None)


def _cached(ways: Sequence[Published], folder: Path) -> tuple[dict[str, Tensor], Card] | None:
    for one in ways:
        with suppress(WeightsError):  # not there, or broken: it is made anew
            return load_model(_copy(one, folder))[0], _card(one)
    return None


def _make(ways: Sequence[Published], folder: Path) -> tuple[dict[str, Tensor], Card]:
    folders, reasons = list(dict.fromkeys(data_folders(FOLDER))), []
    for one in ways:
        for path in filter(Path.is_file, (place / one.file for place in folders)):
            if (sha256 := sha256_of(path)).startswith(one.sha256):
                return _keep(one, path, folder)
            reasons.append(f"  {path}: content has SHA-256 {sha256}, expected {one.sha256}")
    remote = [one for one in ways if one.url]
    for one in remote:
        try:
            path = download(RemoteFile(one.file, (one.url,), one.sha256, one.limit, as_is=True), folder)
        except DataError as error:
            reasons.append(str(error))
            continue
        made = _keep(one, path, folder)
        path.unlink(missing_ok=True)
        return made
    raise DataError(
        f"{ways[0].label} weights of {ways[0].net} are not in {', '.join(map(str, folders))}, and the download failed:\n"
        + "\n".join(reasons)
        + f"\nFetch {' or '.join(one.url for one in remote)} elsewhere and put the file, under its own name, into {folders[-1]}"
    )


def _keep(one: Published, path: Path, folder: Path) -> tuple[dict[str, Tensor], Card]:
    weights, card = _convert(one, path)
    save_model(_copy(one, folder), weights, card)
    return weights, card


def _copy(one: Published, folder: Path) -> Path:
    return folder / f"{Path(one.file).stem}.safetensors"


def _convert(one: Published, path: Path) -> tuple[dict[str, Tensor], Card]:
    card = _card(one)
    return fit_state_dict(read_state_dict(path), one.net, card.args, str(path)), card


def _card(one: Published) -> Card:
    classes = imagenet_classes()
    return Card(
        kind=catalog.NETS[one.net].kind,
        net=one.net,
        args={**one.args, "classes": len(classes), "channels": one.preprocess.image[0]},
        classes=classes,
        preprocess=one.preprocess,
        parents=(one.url or one.file,),
        metrics={"published_top1": one.top1, "published_top5": one.top5},
        gipi=__version__,
    )


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal digits. Raises WeightsError if it cannot be read."""
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                sha.update(block)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    return sha.hexdigest()
