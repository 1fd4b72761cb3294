"""Images in memory, each with sentences that say what it shows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from gipi import showing
from gipi.errors import ConfigError, DataError
from gipi.ops.gallery import as_picture
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class CaptionSet:
    """Colour images of one size, each with one caption or more, of any script.

    images: uint8, 0 to 255.  captions: of each image, as they are written.  names: the file of each image.
    mean, std: of the images' pixels as 0 to 1, see Preprocess.
    Raises DataError if the parts do not fit together, or if an image has no caption or an empty one.
    """

    name: str
    split: str
    images: UInt8[Tensor, "n 3 h w"]
    captions: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        what = f"data set {self.name!r} ({self.split})"
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise DataError(f"{what}: images must be uint8 (n, 3, h, w), got {self.images.dtype} {tuple(self.images.shape)}")
        if len(self.images) == 0:
            raise DataError(f"{what} holds no images")
        for part in ("captions", "names"):
            if (count := len(getattr(self, part))) != len(self.images):
                raise DataError(f"{what} has {len(self.images):,} images but {part} of {count:,}")
        for name, captions in zip(self.names, self.captions, strict=True):
            if not captions or not all(caption.strip() for caption in captions):
                raise DataError(
                    f"{what}: {name} has {'an empty' if captions else 'no'} caption: allowed are one or more, not empty"
                )

    def __len__(self) -> int:
        return len(self.images)

    def _repr_html_(self) -> str:
        shown = zip(map(as_picture, self.images[:10].cpu()), self.captions[:10], strict=True)
        return showing.gallery(self, [(picture, captions[0]) for picture, captions in shown])

    def digest(self) -> str:
        """SHA-256 over pixels and captions: what a run folder records, to tell whether two runs saw the same data."""
        sha = hashlib.sha256(np.ascontiguousarray(self.images.cpu().numpy()).data)
        sha.update(json.dumps(self.captions).encode())
        return sha.hexdigest()

    def to(self, device: torch.device) -> CaptionSet:
        return replace(self, images=self.images.to(device))

    def subset(self, index: Int64[Tensor, " m"], split: str) -> CaptionSet:
        numbers = index.tolist()
        captions, names = (tuple(part[number] for number in numbers) for part in (self.captions, self.names))
        return replace(self, split=split, images=self.images[index], captions=captions, names=names)

    def hold_out(self, share: float) -> tuple[CaptionSet, CaptionSet]:
        """(training part, validation part): `share` of the images, 0 to 1, spread evenly over them, the same for every seed."""
        count = round(share * len(self))
        if not 0 < count < len(self):
            raise ConfigError(f"holding out {share} of the {len(self):,} images of {self.name!r} leaves one side empty")
        held_out = torch.zeros(len(self), dtype=torch.bool)
        held_out[self._spread(count)] = True
        return self.subset((~held_out).nonzero()[:, 0], self.split), self.subset(held_out.nonzero()[:, 0], "validation")

    def limit(self, count: int) -> CaptionSet:
        """`count` of the images, spread evenly over them, the same for every seed."""
        if not 0 < count <= len(self):
            raise ConfigError(f"data.limit {count:,} of {self.name!r}: allowed are 1 to {len(self):,}, or 0 for all")
        return self.subset(self._spread(count), self.split)

    def _spread(self, count: int) -> Int64[Tensor, " count"]:
        return torch.arange(count) * len(self) // count
