"""Images in memory, each with boxes around the things in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gipi import showing
from gipi.data.mask_legend import palette_colour
from gipi.errors import ConfigError, DataError
from gipi.ops.draw_boxes import draw_boxes
from gipi.ops.gallery import as_picture
from gipi.preprocess import IMAGENET_MEAN, IMAGENET_STD

NO_BOX = -1  # label of the rows that fill an image up to the most boxes that one has


@dataclass(frozen=True)
class BoxSet:
    """Colour images of one size, each with any number of boxes, none included: such an image is background.

    images: uint8, 0 to 255.  boxes: x0, y0, x1, y1 in pixels of `images` from the top left corner; x1, y1 are edges, so a box
    over the pixels 2, 3 and 4 goes from 2 to 5.  labels: index into `classes`, or `NO_BOX` in rows that hold no box, whose box is
    0; m is the most boxes of an image, at least 1.  ignored: such a box is neither to be found nor a mistake to find.
    names: the file of each image.  scales: pixels of `images` to one of that file.  sizes: height and width of the picture in
    each image; what lies below and at the right of it is filled with 0.  mean, std: of the pixels as 0 to 1, see Preprocess.
    Raises DataError if the parts do not fit together, or if a box has no size or leaves its picture.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    images: UInt8[Tensor, "n 3 h w"]
    boxes: Float[Tensor, "n m 4"]
    labels: Int64[Tensor, "n m"]
    ignored: Bool[Tensor, "n m"]
    names: tuple[str, ...]
    scales: Float[Tensor, " n"]
    sizes: Int64[Tensor, "n 2"]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        what = f"data set {self.name!r} ({self.split})"
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise DataError(f"{what}: images must be uint8 (n, 3, h, w), got {self.images.dtype} {tuple(self.images.shape)}")
        if len(self.images) == 0:
            raise DataError(f"{what} holds no images")
        n, m = len(self.images), self.labels.shape[-1]
        for part, dtype, shape in (
            ("boxes", torch.float32, (n, m, 4)),
            ("labels", torch.int64, (n, m)),
            ("ignored", torch.bool, (n, m)),
            ("scales", torch.float32, (n,)),
            ("sizes", torch.int64, (n, 2)),
        ):
            if (got := getattr(self, part)).dtype != dtype or got.shape != shape or 0 in shape:
                raise DataError(f"{what}: {part} must be {dtype} {shape}, m at least 1, got {got.dtype} {tuple(got.shape)}")
        if len(self.names) != n:
            raise DataError(f"{what} has {n:,} images but {len(self.names):,} names of files")
        if not self.classes:
            raise DataError(f"{what} has no classes: allowed are 1 and more")
        if fault := self._fault():
            raise DataError(f"{what} {fault}")

    def _fault(self) -> str:
        """What is wrong with a box or a size; "" if nothing is."""
        real, low, high = self.labels != NO_BOX, int(self.labels.min()), int(self.labels.max())
        if low < NO_BOX or high >= len(self.classes):
            return f"has labels {low} to {high}, allowed are 0 to {len(self.classes) - 1}, and {NO_BOX} for no box"
        room = torch.tensor(self.images.shape[2:], device=self.sizes.device)
        if not ((self.sizes >= 1) & (self.sizes <= room)).all():
            return f"has sizes that are not 1 to {room.tolist()}, the height and width of its images"
        if not (self.scales > 0).all():
            return f"has a scale of {self.scales.min():g}: allowed are numbers above 0"
        corners, ends = self.boxes[..., :2], self.boxes[..., 2:]
        right = (ends > corners).all(-1) & (corners >= 0).all(-1) & (ends <= self.sizes.flip(1)[:, None]).all(-1)
        if (wrong := real & ~right).any():
            image, row = wrong.nonzero()[0].tolist()
            box, size = self.boxes[image, row].tolist(), self.sizes[image].tolist()
            return (
                f"has the box {box} in {self.names[image]}: allowed are x0 < x1, y0 < y1, inside its {size[1]}x{size[0]} pixels"
            )
        return ""

    def __len__(self) -> int:
        return len(self.images)

    def _repr_html_(self) -> str:
        shown = []
        for pixels, boxes, labels in zip(self.images[:10].cpu(), self.boxes[:10].cpu(), self.labels[:10].cpu(), strict=True):
            there = labels[labels != NO_BOX].tolist()
            colours = [palette_colour(label + 1) for label in there]
            drawn = draw_boxes(pixels, boxes[labels != NO_BOX], [self.classes[label] for label in there], colours)
            shown.append((as_picture(drawn), ""))
        return showing.gallery(self, shown)

    def digest(self) -> str:
        """SHA-256 over pixels and boxes: what a run folder records, to tell whether two runs saw the same data."""
        sha = hashlib.sha256()
        for part in (self.images, self.boxes, self.labels, self.ignored, self.sizes):
            sha.update(np.ascontiguousarray(part.cpu().numpy()).data)
        return sha.hexdigest()

    def to(self, device: torch.device) -> BoxSet:
        parts = {part: getattr(self, part).to(device) for part in ("images", "boxes", "labels", "ignored", "scales", "sizes")}
        return replace(self, **parts)

    def subset(self, index: Int64[Tensor, " k"], split: str) -> BoxSet:
        names = tuple(self.names[number] for number in index.tolist())
        parts = {part: getattr(self, part)[index] for part in ("images", "boxes", "labels", "ignored", "scales", "sizes")}
        return replace(self, split=split, names=names, **parts)

    def hold_out(self, share: float) -> tuple[BoxSet, BoxSet]:
        """(training part, validation part): `share` of the images, 0 to 1, spread evenly over them, the same for every seed."""
        count = round(share * len(self))
        if not 0 < count < len(self):
            raise ConfigError(f"holding out {share} of the {len(self):,} images of {self.name!r} leaves one side empty")
        held_out = torch.zeros(len(self), dtype=torch.bool)
        held_out[self._spread(count)] = True
        return self.subset((~held_out).nonzero()[:, 0], self.split), self.subset(held_out.nonzero()[:, 0], "validation")

    def limit(self, count: int) -> BoxSet:
        """`count` of the images, spread evenly over them, the same for every seed."""
        if not 0 < count <= len(self):
            raise ConfigError(f"data.limit {count:,} of {self.name!r}: allowed are 1 to {len(self):,}, or 0 for all")
        return self.subset(self._spread(count), self.split)

    def _spread(self, count: int) -> Int64[Tensor, " count"]:
        return torch.arange(count) * len(self) // count


def padded(
    boxes: Sequence[Float[Tensor, "_ 4"]], labels: Sequence[Int64[Tensor, " _"]], ignored: Sequence[Bool[Tensor, " _"]]
) -> tuple[Float[Tensor, "n m 4"], Int64[Tensor, "n m"], Bool[Tensor, "n m"]]:
    """Boxes, labels and flags of a BoxSet from those of each image."""
    one = torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.bool)  # m is 1 at least
    return (
        pad_sequence([*boxes, one[0]], batch_first=True)[:-1],
        pad_sequence([*labels, one[1]], batch_first=True, padding_value=NO_BOX)[:-1],
        pad_sequence([*ignored, one[2]], batch_first=True)[:-1],
    )
