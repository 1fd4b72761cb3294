"""What every net that names the pixels of an image offers: logits of the image's own size, and a start from a classifier."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn


class Pixelwise(nn.Module):
    """images (n, channels, h, w) -> logits (n, classes, h, w); h and w are multiples of `stride`, from one of it up.

    backbone: the net of the catalogue whose trained weights `from_classifier` takes; "": there is none.
    FRESH, UNUSED: beginnings of names; of own weights that stay as they are if the classifier's have another shape, since its
    classes are others, and of the classifier's weights that have no place here.
    """

    FRESH: tuple[str, ...] = ()
    UNUSED: tuple[str, ...] = ()
    backbone: str = ""
    stride: int

    def segment(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Logits of images whose sides fit."""
        raise NotImplementedError

    def names(self) -> dict[str, str]:
        """What each weight that a classifier hands over is called: here, and there."""
        return {}

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

    def from_classifier(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This net's state dict with all that a trained `backbone` hands over; what that lacks is as it was.

        weights: the classifier's state dict. An affine layer becomes the convolution of the same weights. The last layer is taken
        over where this net scores the same number of classes. Raises ValueError naming the weights that do not fit.
        """
        if not self.backbone:
            raise ValueError("no classifier of the catalogue has weights for this net: train it from its initial ones")
        own, names = self.state_dict(), self.names()
        known = set(names.values())
        faults = [f"missing {old}" for old in names.values() if old not in weights]
        faults += [f"unexpected {old}" for old in weights if old not in known and not old.startswith(self.UNUSED)]
        for new, old in names.items():
            weight, place = weights.get(old, own[new]), own[new]
            if weight.ndim == 2 and weight.numel() == place.numel():
                weight = weight.reshape(place.shape)
            if weight.shape == place.shape:
                own[new] = weight
            elif not new.startswith(self.FRESH):
                faults.append(f"{old} has shape {tuple(weight.shape)}, here is place for {tuple(place.shape)}")
        if faults:
            more = f" and {len(faults) - 4} more" if len(faults) > 4 else ""
            raise ValueError(f"these are not the weights of a {self.backbone} as wide as this net: {'; '.join(faults[:4])}{more}")
        return own
