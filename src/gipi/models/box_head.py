"""Fast R-CNN's head: of each region, what it shows, and where exactly.

Source: Girshick, "Fast R-CNN", ICCV 2015, arXiv 1504.08083: section 2.1 (one size for all regions), section 2.2 (two sibling
layers), section 2.3 (the loss, the regions drawn); Lin et al., arXiv 1612.03144, section 4.2, equation 1 (which level a region is
read from) and the two affine layers of 1024. State-dict names are torchvision's, and so are the numbers.

Deviations: regions are read by RoIAlign (He et al., arXiv 1703.06870), which came after both papers; true boxes join the regions
in training, and the smooth L1 turns at 1/9, as in torchvision; regions that overlap no thing at all are negative, too.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.models.anchors import draw, match
from gipi.models.region_net import Found, Truth
from gipi.ops.boxes import areas, clip, decode, encode, nms_by_class
from gipi.ops.roi import roi_align

SIZE = 7  # places of a region, each way
POSITIVE, HIT = 0.25, 0.5  # share of the regions drawn that are positive at most; IoU with a true box from which on they are
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the offsets, which have about that many times less than unit variance
BETA = 1 / 9
LEAST = 1e-2  # pixels of a found box's sides
ADDRESS = 1 << 41  # see `rpn.ADDRESS`


class TwoAffine(nn.Module):
    """Regions (r, c, 7, 7) -> (r, hidden), through two affine layers."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc6, self.fc7 = nn.Linear(channels * SIZE**2, hidden), nn.Linear(hidden, hidden)
        self.drop6, self.drop7 = nn.Dropout(dropout), nn.Dropout(dropout)
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "r c 7 7"]) -> Float[Tensor, "r d"]:
        return self.drop7(F.relu(self.fc7(self.drop6(F.relu(self.fc6(x.flatten(1)))))))


class BoxPredictor(nn.Module):
    """(r, hidden) -> logits of background and each class (r, 1 + classes), offsets for each of them (r, 1 + classes, 4)."""

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.cls_score, self.bbox_pred = nn.Linear(hidden, classes + 1), nn.Linear(hidden, 4 * (classes + 1))
        for layer, spread in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):
            nn.init.normal_(layer.weight, std=spread)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "r d"]) -> tuple[Float[Tensor, "r k"], Float[Tensor, "r k 4"]]:
        return self.cls_score(x), self.bbox_pred(x).unflatten(1, (-1, 4))


class RoIHeads(nn.Module):
    """strides: of the maps that regions are read from, fine to coarse, `channels` each.  drawn: of an image, to learn from."""

    def __init__(self, strides: list[int], channels: int, *, hidden: int, classes: int, drawn: int, dropout: float) -> None:
        super().__init__()
        self.strides, self.drawn = strides, drawn
        self.box_head = TwoAffine(channels, hidden, dropout)
        self.box_predictor = BoxPredictor(hidden, classes)

    def forward(
        self, maps: dict[int, Tensor], regions: Float[Tensor, "r 4"], image: Int64[Tensor, " r"]
    ) -> tuple[Float[Tensor, "r k"], Float[Tensor, "r k 4"]]:
        """Logits and offsets, in float32. image: which one each region is of."""
        logits, deltas = self.box_predictor(self.box_head(self.read(maps, regions, image)))
        return logits.float(), deltas.float()

    def read(
        self, maps: dict[int, Tensor], regions: Float[Tensor, "r 4"], image: Int64[Tensor, " r"]
    ) -> Float[Tensor, "r c 7 7"]:
        """The maps below the regions: a region of 224x224 pixels is read at stride 16, one half as high and wide at stride 8."""
        wanted = (4 + torch.log2(areas(regions).sqrt() / 224) + 1e-6).floor()
        wanted = wanted.clamp(math.log2(self.strides[0]), math.log2(self.strides[-1]))
        parts, order = [], []
        for stride in self.strides:
            here = (wanted == math.log2(stride)).nonzero()[:, 0]
            parts.append(roi_align(maps[stride], regions[here], image[here], SIZE, 1 / stride))
            order.append(here)
        return torch.cat(parts)[torch.cat(order).argsort()]

    def losses(self, maps: dict[int, Tensor], regions: Float[Tensor, "n r 4"], truth: Truth) -> dict[str, Tensor]:
        """classes: cross-entropy of the regions drawn.  boxes: smooth L1 of the offsets of the positive ones, for their class."""
        taken, images, targets, wanted, shares = [], [], [], [], []
        for number, own in enumerate(regions):
            boxes, labels, ignored = truth.boxes[number], truth.labels[number], truth.ignored[number]
            known = (labels >= 0) & ~ignored
            candidates = torch.cat([own[areas(own) > 0], boxes[known]])
            index, state = match(candidates, boxes[known], boxes[(labels >= 0) & ignored], high=HIT, low=HIT)
            state[len(candidates) - int(known.sum()) :] = 1  # the true boxes themselves, also amid a crowd
            chosen = draw(state, self.drawn, POSITIVE, truth.seed ^ ADDRESS, truth.epoch, truth.number[number])
            taken.append(candidates[chosen])
            images.append(torch.full_like(index[chosen], number))
            right = state[chosen] == 1
            nearest = index[chosen][right]
            targets.append(right.long().masked_scatter(right, labels[known][nearest] + 1))
            wanted.append(encode(boxes[known][nearest], candidates[chosen][right], WEIGHTS))
            shares.append(torch.full_like(taken[-1][:, 0], 1 / max(len(taken[-1]), 1) / len(regions)))
        target, share = torch.cat(targets), torch.cat(shares)
        logits, deltas = self(maps, torch.cat(taken), torch.cat(images))
        right = target > 0
        crossed = F.cross_entropy(logits, target, reduction="none")
        missed = F.smooth_l1_loss(deltas[right, target[right]], torch.cat(wanted), reduction="none", beta=BETA).sum(1)
        return {"classes": (crossed * share).sum(), "boxes": (missed * share[right]).sum()}

    def detect(
        self,
        maps: dict[int, Tensor],
        regions: Float[Tensor, "n r 4"],
        sizes: Int64[Tensor, "n 2"],
        *,
        score: float,
        overlap: float,
        most: int,
    ) -> Found:
        """See RegionNet."""
        real = areas(regions) > 0
        image = real.nonzero()[:, 0]
        logits, deltas = self(maps, regions[real], image)
        scores = logits.softmax(1)[:, 1:]
        boxes = clip(decode(deltas[:, 1:], regions[real].unsqueeze(1), WEIGHTS), sizes[image])
        fits = (scores > score) & ((boxes[..., 2:] - boxes[..., :2]).amin(2) >= LEAST)
        count = regions.shape[0]
        found = Found(boxes.new_zeros(count, most, 4), scores.new_zeros(count, most), image.new_full((count, most), -1))
        for number in range(count):
            row, label = (fits & (image == number)[:, None]).nonzero(as_tuple=True)
            kept = nms_by_class(boxes[row, label], scores[row, label], label, overlap)[:most]
            row, label = row[kept], label[kept]
            for place, values in zip(found, (boxes[row, label], scores[row, label], label), strict=True):
                place[number, : kept.shape[0]] = values
        return found
