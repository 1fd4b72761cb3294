"""R-CNN: a convolutional net reads every region of an image by itself, linear SVMs say what it shows, ridge regression where.

Source: Girshick, Donahue, Darrell and Malik, "Rich feature hierarchies for accurate object detection and semantic segmentation",
CVPR 2014, arXiv 1311.2524: section 2.1 (regions, features), section 2.2 (detection), section 2.3 (which regions teach what),
appendix A (warping with context), appendix B (why SVMs), appendix C (box regression).

| factory           | classifier inside | parameters | multiply-adds of a region, 224x224 |
|-------------------|-------------------|------------|------------------------------------|
| rcnn_alexnet      | AlexNet           | 57,089,877 | 710,178,496                        |
| rcnn_resnet18     | ResNet-18         | 11,187,285 | 1,813,572,096                      |
| rcnn_mobilenet_v2 | MobileNetV2       | 2,250,773  | 299,521,152                        |

All are for 20 classes. `tasks/rcnn.py` trains them, stage by stage.

Deviations: scores are made probabilities (Platt, 1999), so that one threshold serves all classes, which leaves their order as it
is; boxes are regressed from what the last layer sees, not from the last pool; 224 pixels with 16 of context and not 227.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from gipi.models.alexnet import alexnet
from gipi.models.anchors import draw, match
from gipi.models.backbone import Backbone
from gipi.models.fpn import freeze
from gipi.models.mobilenetv2 import mobilenet_v2
from gipi.models.region_net import Found, RegionNet, Truth
from gipi.models.resnet import resnet18
from gipi.ops.boxes import areas, clip, decode, nms_by_class

POSITIVE, HIT = 0.25, 0.5  # share of the regions drawn that are positive at most; IoU with a true box from which on they are
CONTEXT = 16 / 227  # of the side of a warped region, on every side
AT_ONCE = 128  # regions read in one pass
ADDRESS = 1 << 41  # see `rpn.ADDRESS`
LEAST = 1e-2  # pixels of a found box's sides


class RCNN(RegionNet):
    """images (n, channels, h, w), regions (n, r, 4) -> boxes.

    body: a classifier of the background, which is 0, and each class.  side: pixels of a region as the body is fed it.
    drawn: regions of an image that a step of fine-tuning reads.  fixed: see `fpn.freeze`; a batch of few images is too little for
    the body's norms; 0: all of it is trained.
    weight, bias: of the SVMs; their scores of a region are margins, which `slope` and `shift` make probabilities: sigmoid(slope *
    margin + shift). deltas, offset: of the ridge regression of dx, dy, dw and dh. While weight is 0, before the SVMs are trained,
    the body's own probabilities are the scores.
    """

    GIVEN = True
    stride = 1
    overlap = 0.3

    def __init__(self, body: Backbone, origin: str, *, classes: int, channels: int, side: int, drawn: int, fixed: int) -> None:
        super().__init__()
        if fixed:
            freeze(body, channels, fixed)
        features = body.head.weight.shape[1]
        self.body, self.origin, self.side, self.drawn = body, origin, side, drawn
        self.FRESH = self.UNUSED = (f"body.{body.HEAD}.", f"{body.HEAD}.")
        self.weight: Tensor
        self.bias: Tensor
        self.slope: Tensor
        self.shift: Tensor
        self.deltas: Tensor
        self.offset: Tensor
        self.register_buffer("weight", torch.zeros(classes, features))
        for name in ("bias", "slope", "shift"):
            self.register_buffer(name, torch.zeros(classes))
        self.register_buffer("deltas", torch.zeros(classes, 4, features))
        self.register_buffer("offset", torch.zeros(classes, 4))

    def names(self) -> dict[str, str]:
        """All of the classifier but its last layer."""
        return {f"body.{name}": name for name in self.body.state_dict() if not name.startswith(self.UNUSED)}

    def losses(self, images: Float[Tensor, "n c h w"], truth: Truth) -> dict[str, Tensor]:
        """Of fine-tuning, classes: cross-entropy of the regions drawn, a quarter of them positive."""
        crops, targets, shares = [], [], []
        for number, own in enumerate(cast(Tensor, truth.regions)):
            boxes, labels, ignored = truth.boxes[number], truth.labels[number], truth.ignored[number]
            known = (labels >= 0) & ~ignored
            candidates = torch.cat([own[areas(own) > 0], boxes[known]])
            index, state = match(candidates, boxes[known], boxes[(labels >= 0) & ignored], high=HIT, low=HIT)
            state[len(candidates) - int(known.sum()) :] = 1
            chosen = draw(state, self.drawn, POSITIVE, truth.seed ^ ADDRESS, truth.epoch, truth.number[number])
            right = state[chosen] == 1
            target = torch.zeros_like(index[chosen])
            target[right] = labels[known][index[chosen][right]] + 1
            crops.append(warp(images[number], candidates[chosen], self.side))
            targets.append(target)
            shares.append(torch.full_like(crops[-1][:, 0, 0, 0], 1 / max(len(target), 1) / len(images)))
        logits = self.body(_laid(torch.cat(crops), images)).float()
        return {"classes": (F.cross_entropy(logits, torch.cat(targets), reduction="none") * torch.cat(shares)).sum()}

    def features(self, image: Float[Tensor, "c h w"], regions: Float[Tensor, "r 4"]) -> Float[Tensor, "r d"]:
        """What the body's last layer sees of each region, float32."""
        parts = [
            self.body.embed(_laid(warp(image, part, self.side), image[None])).float().flatten(1)
            for part in regions.split(AT_ONCE)
        ]
        return torch.cat(parts) if parts else self.weight.new_zeros(0, self.weight.shape[1])

    def margins(self, features: Float[Tensor, "r d"]) -> Float[Tensor, "r k"]:
        """How far on a class's side of its SVM's plane each region is; beyond 1 it is sure."""
        with torch.autocast(features.device.type, enabled=False):  # bf16 would make equals of most
            return F.linear(features.float(), self.weight, self.bias)

    def scores(self, features: Float[Tensor, "r d"]) -> Float[Tensor, "r k"]:
        """How likely each region shows each class, 0 to 1."""
        if not self.weight.any():
            return self.body.answer(features).float().softmax(1)[:, 1:]
        return (self.margins(features) * self.slope + self.shift).sigmoid()

    def moved(self, features: Float[Tensor, "r d"], regions: Float[Tensor, "r 4"]) -> Float[Tensor, "r k 4"]:
        """The regions, moved to where the thing that they show would be if it is of each class."""
        with torch.autocast(features.device.type, enabled=False):
            moves = torch.einsum("rd,ked->rke", features.float(), self.deltas) + self.offset
        return decode(moves, regions.unsqueeze(1))

    def detect(
        self, images: Float[Tensor, "n c h w"], sizes: Int64[Tensor, "n 2"], regions: Float[Tensor, "n r 4"] | None = None
    ) -> Found:
        count, most, like = len(images), self.most, sizes
        found = Found(self.weight.new_zeros(count, most, 4), self.weight.new_zeros(count, most), like.new_full((count, most), -1))
        for number, (image, own) in enumerate(zip(images, cast(Tensor, regions), strict=True)):
            height, width = sizes[number].tolist()
            own = own[areas(own) > 0]
            features = self.features(image[:, :height, :width], own)
            scores = self.scores(features)
            boxes = clip(self.moved(features, own), sizes[number].expand(len(own), 2))
            row, label = ((scores > self.score) & ((boxes[..., 2:] - boxes[..., :2]).amin(2) >= LEAST)).nonzero(as_tuple=True)
            kept = nms_by_class(boxes[row, label], scores[row, label], label, self.overlap)[:most]
            row, label = row[kept], label[kept]
            for place, values in zip(found, (boxes[row, label], scores[row, label], label), strict=True):
                place[number, : len(kept)] = values
        return found


def warp(image: Float[Tensor, "c h w"], regions: Float[Tensor, "r 4"], side: int) -> Float[Tensor, "r c side side"]:
    """Each region of an image, with context around, as a square of `side` pixels, bilinear; outside the image is 0, the mean.

    On each side, CONTEXT of the square is what lies around the region (appendix A).
    """
    height, width = image.shape[1:]
    around = CONTEXT / (1 - 2 * CONTEXT) * (regions[:, 2:] - regions[:, :2])
    low, high = regions[:, :2] - around, regions[:, 2:] + around
    place = (torch.arange(side, device=image.device) + 0.5) / side
    x, y = (
        (low[:, None, axis] + place * (high - low)[:, None, axis]) * (2 / size) - 1 for axis, size in ((0, width), (1, height))
    )
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), 3)
    return F.grid_sample(image.float().expand(len(regions), -1, -1, -1), grid, padding_mode="zeros", align_corners=False)


def _laid(crops: Float[Tensor, "r c i j"], like: Float[Tensor, "n c h w"]) -> Float[Tensor, "r c i j"]:
    """The crops in the memory format of the images that they are from."""
    last = like.stride(1) == 1 and like.shape[1] > 1
    return crops.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def rcnn_alexnet(
    *, classes: int = 20, channels: int = 3, width: float = 1.0, dropout: float = 0.5, side: int = 224, drawn: int = 128
) -> RCNN:
    body = alexnet(classes=classes + 1, channels=channels, width=width, dropout=dropout)
    return RCNN(body, "alexnet", classes=classes, channels=channels, side=side, drawn=drawn, fixed=0)


def rcnn_resnet18(
    *,
    classes: int = 20,
    channels: int = 3,
    width: float = 1.0,
    stem: str = "imagenet",
    side: int = 224,
    drawn: int = 128,
    fixed: int = 0,
) -> RCNN:
    body = resnet18(classes=classes + 1, channels=channels, width=width, stem=stem)
    return RCNN(body, "resnet18", classes=classes, channels=channels, side=side, drawn=drawn, fixed=fixed)


def rcnn_mobilenet_v2(
    *,
    classes: int = 20,
    channels: int = 3,
    width: float = 1.0,
    stem: str = "imagenet",
    padding: str = "torch",
    side: int = 224,
    drawn: int = 128,
    fixed: int = 0,
) -> RCNN:
    body = mobilenet_v2(classes=classes + 1, channels=channels, width=width, stem=stem, padding=padding)
    return RCNN(body, "mobilenet-v2", classes=classes, channels=channels, side=side, drawn=drawn, fixed=fixed)
