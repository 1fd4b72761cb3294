"""What every net that names the pixels of an image offers: logits of the image's own size, and a start from a classifier."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from gipi.models.backbone import Converted


class Pixelwise(Converted):
    """images (n, channels, h, w) -> logits (n, classes, h, w); h and w are multiples of `stride`, from one of it up."""

    stride: int

    def segment(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Logits of images whose sides fit."""
        raise NotImplementedError

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Raises ValueError for images whose sides are no multiples of `stride`."""
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride or not height * width:
            up, right = (max(-(-size // self.stride), 1) * self.stride for size in (height, width))
            raise ValueError(
                f"the net takes images whose height and width are multiples of {self.stride}, got {height}x{width}: "
                f"pad them to {up}x{right} and cut the logits back"
            )
        return self.segment(images)
