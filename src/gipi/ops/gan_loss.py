"""What the two nets of a GAN are trained by: means over a batch of logits, of which a discriminator wants real ones high.

Sources: Goodfellow et al., arXiv 1406.2661, section 3 (the generator's loss is the non-saturating one); the hinge as in Miyato et
al., arXiv 1802.05957, equations 17 and 18; one-sided label smoothing, Salimans et al., arXiv 1606.03498, section 3.4.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from gipi.config import GanLoss


def discriminator_loss(
    real: Float[Tensor, " n"], made: Float[Tensor, " m"], kind: GanLoss, smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """smoothing: how far below 1 real images are to be believed; made ones stay at 0. The hinge has no use for it."""
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + made).mean()
    return F.binary_cross_entropy_with_logits(real, torch.full_like(real, 1 - smoothing)) + F.softplus(made).mean()


def generator_loss(made: Float[Tensor, " n"], kind: GanLoss) -> Float[Tensor, ""]:
    return -made.mean() if kind == "hinge" else F.softplus(-made).mean()
