"""Images in memory with a class for each pixel."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from gipi import showing
from gipi.errors import ConfigError, DataError
from gipi.ops.gallery import as_picture
from gipi.ops.overlay import overlay
from gipi.ops.segmentation import VOID
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class MaskSet:
    """Colour images of one size, each with a mask: the class of every pixel.

    images: uint8, 0 to 255.  labels: the masks, index into `classes`, or `VOID` where a pixel has none.
    colours: red, green and blue of each class, 0 to 255, in which it is drawn.  names: the file of each image.
    mean, std: of the images' pixels as 0 to 1, see Preprocess.
    Raises DataError if the parts do not fit together, or if no pixel has a class.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    images: UInt8[Tensor, "n 3 h w"]
    labels: UInt8[Tensor, "n h w"]
    colours: tuple[Colour, ...]
    names: tuple[str, ...]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        what = f"data set {self.name!r} ({self.split})"
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise DataError(f"{what}: images must be uint8 (n, 3, h, w), got {self.images.dtype} {tuple(self.images.shape)}")
        if len(self.images) == 0:
            raise DataError(f"{what} holds no images")
        n, _, h, w = self.images.shape
        if self.labels.dtype != torch.uint8 or self.labels.shape != (n, h, w):
            got = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise DataError(f"{what}: masks of its images must be uint8 {(n, h, w)}, got {got}")
        if len(self.names) != n:
            raise DataError(f"{what} has {n:,} images but {len(self.names):,} names of files")
        if not 1 < len(self.classes) <= VOID or len(self.colours) != len(self.classes):
            got = f"{len(self.classes)} classes with {len(self.colours)} colours"
            raise DataError(f"{what} has {got}: allowed are 2 to {VOID} classes, each with a colour")
        labelled = self.labels[self.labels != VOID]
        if not len(labelled):
            raise DataError(f"{what}: every pixel of every mask is void ({VOID}), so there is nothing to learn from")
        if (high := int(labelled.max())) >= len(self.classes):
            raise DataError(f"{what}: masks hold class {high}, allowed are 0 to {len(self.classes) - 1}, and {VOID} for void")

    def __len__(self) -> int:
        return len(self.images)

    def _repr_html_(self) -> str:
        drawn = overlay(self.images[:10].cpu(), self.labels[:10].cpu(), self.colours)
        return showing.gallery(self, [(as_picture(pixels), "") for pixels in drawn])

    def digest(self) -> str:
        """SHA-256 over pixels and masks: what a run folder records, to tell whether two runs saw the same data."""
        sha = hashlib.sha256(np.ascontiguousarray(self.images.cpu().numpy()).data)
        sha.update(np.ascontiguousarray(self.labels.cpu().numpy()).data)
        return sha.hexdigest()

    def to(self, device: torch.device) -> MaskSet:
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, index: Int64[Tensor, " m"], split: str) -> MaskSet:
        names = tuple(self.names[number] for number in index.tolist())
        return replace(self, split=split, images=self.images[index], labels=self.labels[index], names=names)

    def hold_out(self, share: float) -> tuple[MaskSet, MaskSet]:
        """(training part, validation part): `share` of the images, 0 to 1, spread evenly over them, the same for every seed.

        Frames of a video lie beside each other in both parts, so a score on such a validation part is too good.
        """
        count = round(share * len(self))
        if not 0 < count < len(self):
            raise ConfigError(f"holding out {share} of the {len(self):,} images of {self.name!r} leaves one side empty")
        held_out = torch.zeros(len(self), dtype=torch.bool)
        held_out[self._spread(count)] = True
        return self.subset((~held_out).nonzero()[:, 0], self.split), self.subset(held_out.nonzero()[:, 0], "validation")

    def limit(self, count: int) -> MaskSet:
        """`count` of the images, spread evenly over them, the same for every seed."""
        if not 0 < count <= len(self):
            raise ConfigError(f"data.limit {count:,} of {self.name!r}: allowed are 1 to {len(self):,}, or 0 for all")
        return self.subset(self._spread(count), self.split)

    def _spread(self, count: int) -> Int64[Tensor, " count"]:
        return torch.arange(count) * len(self) // count

    def pixel_counts(self) -> Int64[Tensor, "n k"]:
        """Pixels of each class in each image; void ones are not counted."""
        counts = [torch.bincount(mask.flatten().cpu(), minlength=VOID + 1) for mask in self.labels]
        return torch.stack(counts)[:, : len(self.classes)]
