"""Region proposal network: of every place of the maps and every anchor there, whether it holds a thing, and the box around it.

Source: Ren, He, Girshick and Sun, NIPS 2015, arXiv 1506.01497: section 3.1 (the net), equations 1 and 2 (its loss); Lin et al.,
arXiv 1612.03144, section 4.1 (one head for all levels of a pyramid). State-dict names are torchvision's, and so are the numbers.

Deviations, all of them torchvision's: anchors that cross the border of the image are trained, too; objectness is one sigmoid, no
softmax over two; both losses are divided by the anchors drawn, so they weigh alike; the smooth L1 turns at 1/9.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.models.anchors import RATIOS, anchor_boxes, draw, match
from gipi.models.region_net import Truth
from gipi.ops.boxes import clip, decode, encode, nms_by_class

DRAWN, POSITIVE = 256, 0.5  # anchors of an image that are learned from, and the share of positive ones at most
HIGH, LOW = 0.7, 0.3  # IoUs with a true box: positive from, negative below
OVERLAP = 0.7  # of two proposals, at most
LEAST = 1e-3  # pixels of a proposal's sides
BETA = 1 / 9  # where smooth L1 turns from a parabola into a line
ADDRESS = 1 << 40  # keeps the random numbers of its choice apart from those of others of the same image


class Scored(NamedTuple):
    """Of the anchors of all levels, fine to coarse: logits (n, a), offsets (n, a, 4), the anchors (a, 4), counts by level."""

    logits: Float[Tensor, "n a"]
    deltas: Float[Tensor, "n a 4"]
    anchors: Float[Tensor, "a 4"]
    counts: list[int]


class RPNHead(nn.Module):
    """A 3x3 convolution, then for each anchor of a place one logit and four offsets."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        convolution = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True))
        self.conv = nn.Sequential(convolution)
        self.cls_logits = nn.Conv2d(channels, anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n a"], Float[Tensor, "n a 4"]]:
        x = self.conv(x)
        return self.cls_logits(x).permute(0, 2, 3, 1).flatten(1), self.bbox_pred(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4)


class RPN(nn.Module):
    """sides: of the anchors, for each level of the maps.  proposals: how many are kept of each level and then of all, twice as
    many in training mode."""

    def __init__(self, channels: int, sides: list[tuple[int, ...]], proposals: int) -> None:
        super().__init__()
        self.sides, self.kept = sides, proposals
        self.head = RPNHead(channels, len(sides[0]) * len(RATIOS))

    def forward(self, maps: dict[int, Tensor], image: tuple[int, int]) -> Scored:
        """image: height and width of the images."""
        logits, deltas = zip(*(self.head(map) for map in maps.values()), strict=True)
        anchors = [
            anchor_boxes(image, (map.shape[2], map.shape[3]), sides, map)
            for map, sides in zip(maps.values(), self.sides, strict=True)
        ]
        return Scored(
            torch.cat(logits, 1).float(), torch.cat(deltas, 1).float(), torch.cat(anchors), [level.shape[0] for level in anchors]
        )

    def losses(self, scored: Scored, truth: Truth) -> dict[str, Tensor]:
        """objectness: cross-entropy of the anchors drawn.  anchors: smooth L1 of the positive ones' offsets."""
        logits, deltas, anchors, _ = scored
        shares, positive, wanted = [], [], []
        for boxes, labels, ignored, number in zip(truth.boxes, truth.labels, truth.ignored, truth.number, strict=True):
            known = boxes[(labels >= 0) & ~ignored]
            index, state = match(anchors, known, boxes[(labels >= 0) & ignored], high=HIGH, low=LOW, best=True)
            chosen = draw(state, DRAWN, POSITIVE, truth.seed ^ ADDRESS, truth.epoch, number)
            shares.append(chosen.float() / chosen.sum().clamp(min=1))
            positive.append(chosen & (state == 1))
            wanted.append(encode(known[index[positive[-1]]], anchors[positive[-1]]))
        share, right = torch.stack(shares) / len(logits), torch.stack(positive)
        crossed = F.binary_cross_entropy_with_logits(logits, right.float(), share, reduction="sum")
        missed = F.smooth_l1_loss(deltas[right], torch.cat(wanted), reduction="none", beta=BETA).sum(1)
        return {"objectness": crossed, "anchors": (missed * share[right]).sum()}

    @torch.no_grad()
    def proposals(self, scored: Scored, sizes: Int64[Tensor, "n 2"]) -> tuple[Float[Tensor, "n r 4"], Float[Tensor, "n r"]]:
        """(regions, scores from 0 to 1) by falling score, rows of zeros where there are fewer.  sizes: what is picture."""
        most = self.kept * (2 if self.training else 1)
        parts, levels, first = [], [], 0
        for level, count in enumerate(scored.counts):
            best = scored.logits[:, first : first + count].topk(smaller(most, count)).indices + first
            parts.append(best)
            levels.append(torch.full_like(best[0], level))
            first += count
        best, level = torch.cat(parts, 1), torch.cat(levels)
        boxes = decode(scored.deltas.gather(1, best[:, :, None].expand(-1, -1, 4)), scored.anchors[best])
        boxes, scores = clip(boxes, sizes), scored.logits.gather(1, best).sigmoid()
        room = smaller(most, boxes.shape[1])
        regions, certain = boxes.new_zeros(boxes.shape[0], room, 4), scores.new_zeros(boxes.shape[0], room)
        for image, (own, own_scores) in enumerate(zip(boxes, scores, strict=True)):
            large = (own[:, 2:] - own[:, :2]).amin(1) >= LEAST
            kept = nms_by_class(own[large], own_scores[large], level[large], OVERLAP)[:room]
            regions[image, : kept.shape[0]], certain[image, : kept.shape[0]] = own[large][kept], own_scores[large][kept]
        return regions, certain


def smaller(a: int, b: int) -> int:
    """The smaller one, also of lengths that an exported graph leaves open."""
    return cast(int, torch.sym_min(a, b))
