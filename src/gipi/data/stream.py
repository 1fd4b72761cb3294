"""Labelled images in memory, and the endless stream of training batches drawn from them.

The order of the images is a function of (seed, epoch) and a sample's randomness of (seed, epoch, index), so the state of a
stream is two numbers, and a resumed training sees exactly the batches that a straight one would have seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from gipi import showing
from gipi.errors import ConfigError, DataError
from gipi.ops.gallery import as_picture
from gipi.preprocess import Framing


@dataclass(frozen=True)
class ImageSet:
    """Images of one size with one label each.

    images: uint8, 0 to 255.  labels: index into `classes`.
    framing: how a picture from outside is made like these; of "crop", images are larger than what a net is fed by a margin that
    training cuts off anywhere and evaluation all around.  mean, std: of their pixels as 0 to 1, see Preprocess.
    Raises DataError if the parts do not fit together.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    framing: Framing = "resize"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        what = f"data set {self.name!r} ({self.split})"
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise DataError(f"{what}: images must be uint8 (n, c, h, w), got {self.images.dtype} {tuple(self.images.shape)}")
        if len(self.images) == 0:
            raise DataError(f"{what} holds no images")
        if len(self.images) != len(self.labels):
            raise DataError(f"{what} has {len(self.images):,} images but {len(self.labels):,} labels")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise DataError(f"{what}: labels run from {low} to {high}, allowed are 0 to {len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.images)

    def _repr_html_(self) -> str:
        classes = [self.classes[label] for label in self.labels[:10]]
        return showing.gallery(self, zip(map(as_picture, self.images[:10].cpu()), classes, strict=True))

    def digest(self) -> str:
        """SHA-256 over pixels and labels: what a run folder records, to tell whether two runs saw the same data."""
        sha = hashlib.sha256(np.ascontiguousarray(self.images.cpu().numpy()).data)  # no copy of what may be mapped from a file
        sha.update(self.labels.cpu().numpy().tobytes())
        return sha.hexdigest()

    def to(self, device: torch.device) -> ImageSet:
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, index: Int64[Tensor, " m"], split: str) -> ImageSet:
        return replace(self, split=split, images=self.images[index], labels=self.labels[index])

    def hold_out(self, share: float) -> tuple[ImageSet, ImageSet]:
        """(training part, validation part): the same share of each class, 0 to 1, and the same images for every seed."""
        count = round(share * len(self))
        if not 0 < count < len(self):
            raise ConfigError(f"holding out {share} of the {len(self):,} images of {self.name!r} leaves one side empty")
        held_out = self._spread(count)
        return self.subset((~held_out).nonzero()[:, 0], self.split), self.subset(held_out.nonzero()[:, 0], "validation")

    def limit(self, count: int) -> ImageSet:
        """`count` of the images, the same share of each class, one at least if there is room, the same for every seed."""
        if not 0 < count <= len(self):
            raise ConfigError(f"data.limit {count:,} of {self.name!r}: allowed are 1 to {len(self):,}, or 0 for all")
        chosen = self._spread(count)
        for label in self.labels.unique().tolist() if count >= len(self.classes) else ():
            if not chosen[self.labels == label].any():
                most = self.labels[chosen].mode().values  # which can spare one
                chosen[(chosen & (self.labels == most)).nonzero()[-1]] = False
                chosen[(self.labels == label).nonzero()[0]] = True
        return self.subset(chosen.nonzero()[:, 0], self.split)

    def _spread(self, count: int) -> Bool[Tensor, " n"]:
        """`count` images chosen evenly from the classes."""
        chosen = torch.zeros(len(self), dtype=torch.bool)
        chosen[self.labels.argsort(stable=True)[torch.arange(count) * len(self) // count]] = True
        return chosen


class ImageBatch(NamedTuple):
    """One training batch. number: each sample's place in its data set; with `epoch` it is the address of its randomness.

    own: the share of `labels` in each label where images are mixed with others, whose labels are `others`; None: they are not.
    """

    images: Tensor
    labels: Tensor
    number: Tensor
    epoch: int
    others: Tensor | None = None
    own: Tensor | None = None

    def to(self, device: torch.device) -> ImageBatch:
        images, labels, number = (_sent(tensor, device) for tensor in (self.images, self.labels, self.number))
        return self._replace(images=images, labels=labels, number=number)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """From pinned memory, from where a copy need not be waited for."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Labelled(Protocol):
    """Images of one size, each with a label, or with one for every pixel."""

    @property
    def name(self) -> str: ...
    @property
    def images(self) -> Tensor: ...
    @property
    def labels(self) -> Tensor: ...
    def __len__(self) -> int: ...


class ImageStream:
    """Endless shuffled batches of `size` images; a last short batch of an epoch is dropped.

    values: what a batch holds in place of the images of `data`, a row for each.
    rank, world: of `world` processes with the same seed each gets its part of every batch, so that together they see each image
    once an epoch, in the same batches as one process alone.
    Raises ConfigError if the set is smaller than one batch, or a batch smaller than the number of processes.
    """

    def __init__(
        self, data: Labelled, size: int, seed: int, values: Tensor | None = None, *, rank: int = 0, world: int = 1
    ) -> None:
        if not 0 < size <= len(data):
            raise ConfigError(
                f"batch size {size} does not fit {len(data):,} training images of {data.name!r}: allowed are 1 to {len(data):,}"
            )
        if size < world:
            raise ConfigError(f"a batch of {size} for {world} processes: data.batch must be {world} or more")
        self.data, self.size, self.seed = data, size, seed
        self._rank, self._world = rank, world
        self._values = data.images if values is None else values
        self.batches_per_epoch = len(data) // size
        self._drawn = 0
        self._order: tuple[int, Tensor] | None = None

    def __iter__(self) -> ImageStream:
        return self

    def __next__(self) -> ImageBatch:
        epoch, position = divmod(self._drawn, self.batches_per_epoch)
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.data))
            self._order = epoch, torch.from_numpy(order).to(self._values.device)
        batch = self._order[1][position * self.size : (position + 1) * self.size]
        index = batch.tensor_split(self._world)[self._rank]
        self._drawn += 1
        return ImageBatch(self._values[index], self.data.labels[index], index, epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self._drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._drawn = state["drawn"]
