"""A detector of two stages: regions of an image where things may be, then what each of them shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from jaxtyping import Float, Int64
from torch import Tensor

from gipi.models.box_head import RoIHeads
from gipi.models.fpn import Trunk
from gipi.models.region_net import Found, RegionNet, Truth
from gipi.models.rpn import RPN

EPS = 1e-5  # of batch norm


class FasterRCNN(RegionNet):
    """images (n, channels, h, w) -> boxes, in regions that an RPN proposes; without one, Fast R-CNN, in regions that are given.

    origin: name of the classifier whose body the trunk has.  handed: names here and there of the weights that a classifier hands
    over beside those of its body.
    """

    FRESH = ("roi_heads.box_predictor.",)
    UNUSED = ("fc.", "classifier.")

    def __init__(self, trunk: Trunk, rpn: RPN | None, roi_heads: RoIHeads, origin: str, handed: Mapping[str, str]) -> None:
        super().__init__()
        self.backbone, self.rpn, self.roi_heads = trunk, rpn, roi_heads
        self.GIVEN, self.origin, self.handed, self.stride = rpn is None, origin, handed, trunk.stride

    def names(self) -> dict[str, str]:
        return {f"backbone.body.{name}": name for name in self.backbone.body.state_dict()} | dict(self.handed)

    def losses(self, images: Float[Tensor, "n c h w"], truth: Truth) -> dict[str, Tensor]:
        maps = self.backbone(images)
        if self.rpn is None:
            return self.roi_heads.losses(maps, cast(Tensor, truth.regions), truth)
        scored = self.rpn(maps, tuple(images.shape[-2:]))
        sizes = images.new_tensor(images.shape[-2:]).long().expand(len(images), 2)
        regions, _ = self.rpn.proposals(scored, sizes)
        return {**self.rpn.losses(scored, truth), **self.roi_heads.losses(maps, regions, truth)}

    def detect(
        self, images: Float[Tensor, "n c h w"], sizes: Int64[Tensor, "n 2"], regions: Float[Tensor, "n r 4"] | None = None
    ) -> Found:
        maps = self.backbone(images)
        if self.rpn is not None:
            regions, _ = self.rpn.proposals(self.rpn(maps, tuple(images.shape[-2:])), sizes)
        limits = {"score": self.score, "overlap": self.overlap, "most": self.most}
        return self.roi_heads.detect(maps, cast(Tensor, regions), sizes, **limits)

    def proposals(
        self, images: Float[Tensor, "n c h w"], sizes: Int64[Tensor, "n 2"]
    ) -> tuple[Float[Tensor, "n r 4"], Float[Tensor, "n r"]]:
        """(regions, scores from 0 to 1): where things may be, by falling score; rows of zeros where there are fewer."""
        if self.rpn is None:
            raise ValueError("this net is told where things may be and proposes nothing")
        return self.rpn.proposals(self.rpn(self.backbone(images), tuple(images.shape[-2:])), sizes)


def published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of torchvision's first release for COCO, of 2019, as `faster_rcnn_resnet50_fpn` has them.

    It calls the convolutions of FPN and RPN by shorter names, and its norms add no epsilon to the variance. Weights by the names
    of today are left as they are.
    """
    if "rpn.head.conv.weight" not in weights:
        return dict(weights)
    new: dict[str, Tensor] = {}
    for name, value in weights.items():
        if "_blocks." in name:
            owner, _, part = name.rpartition(".")
            name = f"{owner}.0.{part}"
        elif name.startswith("rpn.head.conv."):
            name = name.replace("conv.", "conv.0.0.")
        elif (spread := weights.get(name.removesuffix("weight") + "running_var")) is not None and name.endswith("weight"):
            value = (value.double() * ((spread.double() + EPS) / spread.double()).sqrt()).to(value)
        new[name] = value
    return new
