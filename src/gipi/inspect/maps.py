"""What a layer makes of an image, in colours: those of the figures and of the page, each layer with a contrast of its own."""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.colors import Normalize
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

CHANNELS = 16  # that are shown of each layer
RED_BLUE = matplotlib.colormaps["RdBu"].with_extremes(bad="white")
LARGEST = 56  # pixels of a channel's longer side in a strip


def shown(values: Float[Tensor, "d i j"]) -> Float[np.ndarray, "d i j"]:
    """The first 16 channels of a layer's output."""
    return values[:CHANNELS].float().cpu().numpy()


def scale(channels: Float[np.ndarray, "d i j"]) -> Normalize:
    """White is zero, blue positive, red negative: symmetric, cut at the 99th percentile of the finite values' sizes."""
    sizes = np.abs(channels[np.isfinite(channels)])
    limit = float(np.percentile(sizes, 99) or sizes.max() or 1.0) if sizes.size else 1.0
    return Normalize(-limit, limit)


def coloured(channels: Float[np.ndarray, "d i j"], norm: Normalize) -> UInt8[np.ndarray, "d i j 3"]:
    """Channels in the colours of a scale."""
    return RED_BLUE(norm(channels), bytes=True)[..., :3]


def strip(values: Float[Tensor, "d i j"]) -> Image.Image:
    """The first 16 channels of a layer's output side by side, no gaps: a pixel a value; large ones reduced by a whole number."""
    channels = shown(values)
    norm, times = scale(channels), -(-max(channels.shape[1:]) // LARGEST)
    if times > 1:
        channels = avg_pool2d(torch.from_numpy(channels), times, ceil_mode=True).numpy()
    return Image.fromarray(np.concatenate(coloured(channels, norm), 1))
