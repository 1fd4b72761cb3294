"""Several nets as one: an ensemble that answers with the mean of their probabilities, and a stack that trains them together.

Averaging the probabilities of nets that differ in their random start: Lakshminarayanan et al., "Simple and Scalable Predictive
Uncertainty Estimation using Deep Ensembles", arXiv 1612.01474.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap


class Ensemble(nn.Module):
    """images (n, c, h, w) -> log of the mean of the members' probabilities (n, classes): its softmax is that mean."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return mean_probability(torch.stack([net(images).float() for net in self.nets]))


def mean_probability(logits: Float[Tensor, "m n k"]) -> Float[Tensor, "n k"]:
    """Log of the mean over m of softmax(logits), finite however sure the m are."""
    return logits.log_softmax(2).logsumexp(0) - math.log(len(logits))


class StackedNets(nn.Module):
    """m nets of one architecture as one module: images (m, n, c, h, w), a batch for each net -> logits (m, n, classes).

    Every parameter and buffer is that of the nets, stacked along a first dimension; dropout draws for each net by itself.
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        weights, buffers = stack_module_state(list(nets))
        self.net = deepcopy(nets[0])  # the architecture, which now holds the weights of all
        # Not in channels_last: an average over all places would then have no rule for stacks, and become a slow loop.
        plain = {name: nn.Parameter(weight.contiguous()) for name, weight in weights.items()}
        for name, value in {**plain, **buffers}.items():
            owner, _, own_name = name.rpartition(".")
            setattr(self.net.get_submodule(owner), own_name, value)

    def forward(self, images: Float[Tensor, "m n c h w"]) -> Float[Tensor, "m n k"]:
        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: Tensor) -> Tensor:
            return functional_call(self.net, (weights, buffers), (batch,))

        return vmap(one, randomness="different")(dict(self.net.named_parameters()), dict(self.net.named_buffers()), images)

    def weights(self) -> list[dict[str, Tensor]]:
        """The state dict of each net, as views of the stack."""
        state = self.net.state_dict()
        count = len(next(iter(state.values())))
        return [{name: value[number] for name, value in state.items()} for number in range(count)]
