"""Where things may be in the images of a data set: selective search, done once for each image and kept."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import torch
from torch import Tensor

from gipi.data.boxes import BoxSet
from gipi.data.fetch import cache_folder
from gipi.data.threads import in_threads
from gipi.errors import DataError
from gipi.ops import graph_segments
from gipi.ops import selective_search as search
from gipi.runs import write_atomic

MOST = 2000  # regions of an image, as in R-CNN
SETTINGS = (
    search.LONG,
    search.ENLARGED,
    search.KS,
    search.LEAST,
    search.STRATEGIES,
    graph_segments.SIGMA,
)  # another search, other files


def proposals(data: BoxSet) -> Tensor:
    """Regions of each image (n, 2000, 4), float32 in its pixels, the likelier ones first; rows of zeros are none.

    Those of an image are kept in the cache by its pixels, so a search that was cut off goes on where it was. DataError if they
    cannot be written there.
    """
    regions = torch.zeros(len(data), MOST, 4)
    sizes = data.sizes.tolist()

    def work(number: int) -> Tensor:
        height, width = sizes[number]
        return kept(data.images[number, :, :height, :width].cpu())

    def take(number: int, found: Tensor) -> None:
        regions[number, : len(found)] = found

    in_threads(work, range(len(data)), take, f"regions of {data.name} {data.split}")
    return regions


def kept(pixels: Tensor) -> Tensor:
    """The regions of one image, uint8 (3, h, w), from the cache if they are in it."""
    sha = hashlib.sha256(repr((tuple(pixels.shape), MOST, *SETTINGS)).encode())
    sha.update(np.ascontiguousarray(pixels.numpy()).data)
    path = cache_folder() / "regions" / f"{sha.hexdigest()}.npy"
    if path.exists():
        return torch.from_numpy(np.load(path))
    found, file = search.selective_search(pixels, MOST), io.BytesIO()
    np.save(file, found.numpy())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, file.getvalue())
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; GIPI_CACHE names another folder") from error
    return found
