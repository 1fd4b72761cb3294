"""What each kind of net offers, and how one is built from its name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from torch import nn

from gipi import catalog
from gipi.errors import ConfigError, nearest


def build_net(name: str, args: Mapping[str, bool | int | float | str]) -> nn.Module:
    """The net of that name in the catalogue, freshly initialised from torch's random numbers.

    A classifier is a `Backbone`: it maps images (n, channels, height, width), scaled as its card says, to logits (n, classes),
    and offers its embedding, its feature maps and a new head. In training mode a net with auxiliary heads gives a tuple, its own
    logits first, then those of each head, whose losses count by the net's AUXILIARY_WEIGHT.
    A net that finds boxes is a `RegionNet`: it maps images whose sides are multiples of its stride to `Found`, or, given a
    `Truth`, to losses by name.
    A net that names pixels is a `Pixelwise`: it maps images whose sides are multiples of its stride to logits (n, classes, h, w).
    A net that puts images into words is a `CaptionNet`: it maps images to features, and those, word by word, to logits.
    Raises ConfigError for an unknown name or argument, naming the nearest.
    """
    factory = catalog.resolve(catalog.entry(catalog.NETS, name, "net").factory)
    allowed = inspect.signature(factory).parameters
    for key in args:
        if key not in allowed:
            raise ConfigError(f"net {name!r} takes no argument {key!r}{nearest(key, allowed)}")
    try:
        return factory(**args)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ConfigError(f"net {name!r} cannot be built with {dict(args)}: {error}") from error
