"""What every net that finds things in images offers: losses of a batch whose boxes are known, and boxes of one whose are not."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

from gipi.models.backbone import Converted


class Truth(NamedTuple):
    """What is known of a batch of images; a tensor has a row for each of them.

    boxes: float (n, m, 4), x0, y0, x1, y1 in pixels.  labels: int64 (n, m), -1 where there is no box.  ignored: bool (n, m),
    boxes that are neither to be found nor to be missed.  number: int64 (n), of each image in its data set.
    regions: float (n, r, 4), where things may be, for nets that are told; rows without area are none.
    seed, epoch: with `number` the address of every random choice.
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor
    number: Tensor
    regions: Tensor | None
    seed: int
    epoch: int


class Found(NamedTuple):
    """What was found, by falling score.

    boxes: float (n, k, 4), x0, y0, x1, y1 in pixels of the images as they were fed.  scores: float (n, k), 0 where there is no
    box.  labels: int64 (n, k), -1 there.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class RegionNet(Converted):
    """images (n, channels, h, w) -> boxes with labels; h and w are multiples of `stride`, filled up below and at the right.

    GIVEN: regions where things may be come from outside.
    score, overlap, most: of the boxes that are found, the least score, the largest IoU of two of one label, and how many there
    are at most in an image.
    """

    GIVEN: bool
    stride: int
    score: float = 0.05
    overlap: float = 0.5
    most: int = 100

    def losses(self, images: Float[Tensor, "n c h w"], truth: Truth) -> dict[str, Tensor]:
        """Each a mean over the images: of classes and boxes; of objectness and anchors, where regions are not given."""
        raise NotImplementedError

    def detect(
        self, images: Float[Tensor, "n c h w"], sizes: Int64[Tensor, "n 2"], regions: Float[Tensor, "n r 4"] | None = None
    ) -> Found:
        """sizes: height and width of what is picture; the rest is filling, where nothing is found."""
        raise NotImplementedError

    def forward(
        self,
        images: Float[Tensor, "n c h w"],
        truth: Truth | None = None,
        sizes: Int64[Tensor, "n 2"] | None = None,
        regions: Float[Tensor, "n r 4"] | None = None,
    ) -> dict[str, Tensor] | Found:
        """Losses if the truth is told, else what is found. sizes: see `detect`; None: all is picture.

        Raises ValueError for images whose sides are no multiples of `stride`, for regions that are missing or not asked for, and
        for those or sizes beside a truth.
        """
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride or not height * width:
            down, right = (max(-(-size // self.stride), 1) * self.stride for size in (height, width))
            raise ValueError(
                f"the net takes images whose height and width are multiples of {self.stride}, got {height}x{width}: "
                f"pad them to {down}x{right} and say by `sizes` what of them is picture"
            )
        if truth and (sizes is not None or regions is not None):
            raise ValueError("losses need no sizes, and regions as part of the truth: give either a truth or sizes and regions")
        given = truth.regions if truth else regions
        if self.GIVEN and given is None:
            raise ValueError("this net is told where things may be: give it regions, of each image as many rows x0, y0, x1, y1")
        if not self.GIVEN and given is not None:
            raise ValueError("this net proposes its regions itself: give it none")
        if truth:
            return self.losses(images, truth)
        if sizes is None:
            sizes = images.new_tensor([[height, width]]).long().expand(len(images), 2)
        return self.detect(images, sizes, regions)
