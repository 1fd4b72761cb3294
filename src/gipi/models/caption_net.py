"""What every net that puts images into words offers: an encoder that sees, a decoder that says one word after another."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gipi.models.backbone import Backbone, Converted
from gipi.ops.text import START


class Seen(NamedTuple):
    """What is made of an image's features once, before any word.

    values: float (n, p, e), what is there at each place.  keys: float (n, p, a), what attention compares with; a is 0 without.
    hidden, cell: float (n, h), the decoder's state before `START`.
    """

    values: Tensor
    keys: Tensor
    hidden: Tensor
    cell: Tensor


class Step(NamedTuple):
    """After one more word of each of b sentences an image.

    logits: float (n, b, k), of the word that comes next.  hidden, cell: float (n, b, h).  map: float (n, b, p), how much each
    place of the image counts for it, 1 in sum.
    """

    logits: Tensor
    hidden: Tensor
    cell: Tensor
    map: Tensor


class Encoder(nn.Module):
    """images (n, channels, h, w) -> the coarsest feature map (n, `width`, i, j) of a classifier whose head is gone.

    origin: the classifier's name in the catalogue.
    """

    def __init__(self, body: Backbone, origin: str, channels: int) -> None:
        super().__init__()
        delattr(body, body.HEAD.partition(".")[0])
        self.body, self.origin, self._channels = body, origin, channels
        self._shapes = dict[tuple[int, int], tuple[int, int, int]]()
        self.width = self.shape(64, 64)[0]

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        *_, coarsest = self.body.pyramid(images).values()
        return coarsest

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Channels, rows and columns of the map of such an image."""
        if (height, width) not in self._shapes:
            modes = {layer: layer.training for layer in self.modules()}
            with torch.no_grad():  # on one image, since torch's shapes without numbers take a second to import
                image = next(self.parameters()).new_zeros(1, self._channels, height, width)
                _, *shape = self.eval()(image).shape
            for layer, mode in modes.items():
                layer.training = mode
            self._shapes[height, width] = (shape[0], shape[1], shape[2])
        return self._shapes[height, width]


class CaptionNet(Converted):
    """images -> words. `classes`: size of the vocabulary, whose first numbers are those of `gipi.ops.text`.

    ATTENDS: the decoder looks at each place of the image anew for every word; if not, at their mean, once.
    """

    ATTENDS: bool
    FRESH = ("embedding.", "answer.")
    UNUSED = ("fc.", "classifier.", "aux")

    def __init__(self, encoder: Encoder, *, classes: int, embedding: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.origin, self.classes = encoder, encoder.origin, classes
        self.embedding = nn.Embedding(classes, embedding)
        self.dropout = nn.Dropout(dropout)
        self.answer = nn.Linear(hidden, classes)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def names(self) -> dict[str, str]:
        prefix = "encoder.body."
        own = (name for name in self.state_dict() if name.startswith(prefix))
        return {name: name.removeprefix(prefix) for name in own}

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the places that are seen of such an image."""
        return self.encoder.shape(height, width)[1:] if self.ATTENDS else (1, 1)

    def encode(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n p d"]:
        """The features of each place, row by row; of a net that does not attend, their mean alone, p being 1."""
        raise NotImplementedError

    def look(self, features: Float[Tensor, "n p d"]) -> Seen:
        raise NotImplementedError

    def step(self, words: Int64[Tensor, "n b"], hidden: Float[Tensor, "n b h"], cell: Float[Tensor, "n b h"], seen: Seen) -> Step:
        """Say one more word in each of b sentences an image."""
        raise NotImplementedError

    def unroll(
        self, features: Float[Tensor, "n p d"], words: Int64[Tensor, "n c t"]
    ) -> tuple[Float[Tensor, "m k"], Float[Tensor, "n c t p"]]:
        """Each word of c captions an image from those before it: (logits, maps).

        words: without `START`; behind the end `PAD`, which are all below 0.  logits: of the m others, row by row: how likely each
        was to come.  maps: 0 where there is no word.
        """
        raise NotImplementedError

    def forward(
        self, seen: Float[Tensor, "n c h w"] | Float[Tensor, "n p d"], words: Int64[Tensor, "n s t"] | None = None
    ) -> tuple[Tensor, Tensor] | Float[Tensor, "n k"]:
        """`unroll` of images, or of their features; without words the logits of the first one (n, k)."""
        features = self.encode(seen) if seen.ndim == 4 else seen
        if words is not None:
            return self.unroll(features, words)
        looked = self.look(features)
        start = torch.full((len(features), 1), START, device=features.device)
        return self.step(start, looked.hidden[:, None], looked.cell[:, None], looked).logits[:, 0]


def before(words: Int64[Tensor, "m t"]) -> Int64[Tensor, "m t"]:
    """The word before each, `START` before the first."""
    return torch.cat([torch.full_like(words[:, :1], START), words[:, :-1]], 1).clamp(min=0)
