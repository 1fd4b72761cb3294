"""What a training of a captioner feeds its net, and which changes of images it can do."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from gipi.config import AugmentConfig, Config
from gipi.errors import ConfigError, GipiWarning
from gipi.ops.text import SIDES, tokens

SIDED = 0.01  # share of the captions that may tell left from right


class CaptionBatch(NamedTuple):
    """seen: images as the net is fed them (n, 3, h, w), or their features (n, p, d).  words: int64 (n, c, t), PAD behind."""

    seen: Tensor
    words: Tensor


@dataclass(frozen=True)
class Worded:
    """Images with the words of their captions as labels: what a stream takes."""

    name: str
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)


def sided(captions: Sequence[str]) -> bool:
    """Whether captions tell left from right, which a mirror makes wrong: more than SIDED of them do."""
    return sum(not SIDES.isdisjoint(tokens(caption)) for caption in captions) > SIDED * len(captions)


def check_frozen(config: Config) -> None:
    """Raises ConfigError for changes of images that an encoder that is frozen to the end does not see."""
    if config.transfer.frozen == 1 and replace(config.data.augment, flip=0.0) != AugmentConfig():
        raise ConfigError(
            "transfer.frozen 1 lets the encoder see every image once, and mirrored once: of data.augment only flip is possible "
            "with it; leave the others 0, or give a lower transfer.frozen"
        )


def warn_of_mirror(config: Config, captions: Sequence[str]) -> None:
    """A GipiWarning if images are mirrored whose captions tell left from right."""
    flip = config.data.augment.flip
    if flip and sided(captions):
        warnings.warn(
            GipiWarning(
                f"data.augment.flip {flip} mirrors images, and more than {SIDED:.0%} of the captions have the words "
                f"{' or '.join(sorted(SIDES))}, which a mirror makes wrong: leave it 0 where sides matter"
            ),
            stacklevel=2,
        )
