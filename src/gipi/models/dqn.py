"""DQN: the value of each action, from frames or numbers.

Source: Mnih et al., "Human-level control through deep reinforcement learning", Nature 518, 2015, Methods; duelling, Wang et al.,
arXiv 1511.06581, equation 9.

Deviations from the source: weights begin as He et al., arXiv 1502.01852, have it, at Pong twice as fast as torch's; those of the
last layer orthogonal and small, so that all values begin near zero. The duelling streams share out the hidden units, so that the
net does not grow. `dqn_small` and `dqn_mlp` are ours, for small pictures (after Young and Tian, arXiv 1903.03176) and for a few
numbers.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.errors import ConfigError

SMALLEST = 36  # pixels that the first net's convolutions leave one value of
LAST = 0.1  # scale of the last layer's first weights


class PixelConv2d(nn.Conv2d):
    """Convolution of pixels of 0 to 255 as if they were 0 to 1: the weights are divided, which are far fewer."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return self._conv_forward(input, self.weight * (1 / 255), self.bias)


class DQN(nn.Module):
    """What is seen, pixels of 0 to 255 or numbers, to the discounted return that each action promises.

    image: channels, height, width of what is seen.  convolutions: to maps of so many `inputs` of the layers after them; None: the
    frames' own values are these.  hidden: their units; duelling streams take half of the last one's each.
    Raises ConfigError for frames of another size.
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        convolutions: nn.Sequential | None,
        inputs: int,
        hidden: tuple[int, ...],
        actions: int,
        duel: bool,
    ) -> None:
        super().__init__()
        self.image = image
        self.convolutions = convolutions
        widths = (inputs, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.duel = duel
        last = widths[-1] // 2 if duel else widths[-1]
        self.advantage = nn.Linear(last, actions)
        self.value = nn.Linear(last, 1) if duel else None
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
        for layer in (self.advantage, self.value):
            if layer is not None:
                nn.init.orthogonal_(layer.weight, LAST)

    @property
    def body(self) -> nn.ModuleList:
        """All layers but the last, whose values want float32."""
        return nn.ModuleList([*([] if self.convolutions is None else [self.convolutions]), *self.hidden])

    def forward(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n actions"]:
        if frames.shape[1:] != self.image:
            raise ConfigError(f"the net takes frames of {self.image} (channels, height, width), got {tuple(frames.shape[1:])}")
        maps = frames if self.convolutions is None else self.convolutions(frames)
        x = maps.permute(0, 2, 3, 1).flatten(1)  # as it lies in memory
        for layer in self.hidden:
            x = F.relu(layer(x))
        with torch.autocast(
            "cuda" if x.is_cuda else "cpu", enabled=False
        ):  # actions differ by little: 8 bits would not tell them apart
            return self._values(x.float())

    def _values(self, features: Float[Tensor, "n k"]) -> Float[Tensor, "n actions"]:
        if self.value is None:
            return self.advantage(features)
        of_value, of_advantage = features.chunk(2, 1)
        advantage = self.advantage(of_advantage)
        return self.value(of_value) + advantage - advantage.mean(1, keepdim=True)


def dqn(*, actions: int = 6, channels: int = 4, height: int = 84, width: int = 84, duel: bool = False) -> DQN:
    """The source's net, for pictures of 36 pixels and more. Raises ValueError for smaller ones."""
    if min(height, width) < SMALLEST:
        raise ValueError(f"frames of {height}x{width} are too small for its convolutions: use dqn-small below {SMALLEST} pixels")
    convolutions = nn.Sequential(
        PixelConv2d(channels, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU()
    )
    rows, columns = (((side - 4) // 4 - 2) // 2 - 2 for side in (height, width))
    return DQN((channels, height, width), convolutions, 64 * rows * columns, (512,), actions, duel)


def dqn_small(*, actions: int = 3, channels: int = 4, height: int = 16, width: int = 16, duel: bool = False) -> DQN:
    """Two small convolutions, the second one with stride 2, padded so that edges are seen, for pictures of up to 48 pixels."""
    convolutions = nn.Sequential(PixelConv2d(channels, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())
    rows, columns = (-(-side // 2) for side in (height, width))
    return DQN((channels, height, width), convolutions, 32 * rows * columns, (128,), actions, duel)


def dqn_mlp(*, actions: int = 2, channels: int = 4, height: int = 1, width: int = 1, duel: bool = False) -> DQN:
    """Two layers of 128, for environments that tell numbers."""
    return DQN((channels, height, width), None, channels * height * width, (128, 128), actions, duel)
