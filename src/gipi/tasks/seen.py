"""A picture at the size at which a net looks at it."""

from __future__ import annotations

from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from gipi.ops.image import scale, scale_short
from gipi.tasks.captioner import Captioner
from gipi.tasks.classifier import Classifier
from gipi.tasks.detector import Detector
from gipi.tasks.segmenter import Segmenter

Reader = Captioner | Classifier | Detector | Segmenter  # models that are shown pictures


def seen(model: Reader, framed: Any) -> UInt8[Tensor, "c h w"]:
    """What `model.frame` gave of a picture as the net is to see it, before its sides are padded."""
    if isinstance(model, Captioner):
        return framed.seen
    if isinstance(model, Detector):
        return scale(framed, model.size(framed.shape[1], framed.shape[2]))
    return scale_short(framed, model.short) if isinstance(model, Segmenter) else framed
