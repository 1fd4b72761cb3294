"""1,797 real handwritten digits that come with scikit-learn, framed like MNIST: a data set that needs no network.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
(doi:10.24432/C50P49), its test part, 8x8 pixels of 0 to 16. Licence CC BY 4.0. Changed: enlarged and placed in 28x28.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from gipi.data.stream import ImageSet
from gipi.errors import ConfigError, DataError, nearest


def digits(split: str) -> ImageSet:
    """Handwritten digits, white on black, images (n, 1, 28, 28) in the source's order.

    split: 'test', 360 images, is every fifth image once they are sorted by class; 'train' is the other 1,437. So each
    class gives a fifth of its images to the test, for ever the same ones. The 13 writers are not told apart and write
    in both splits, so a score here says little of strangers' hands.
    Raises ConfigError for another split.
    """
    if split not in ("train", "test"):
        raise ConfigError(f"data set 'digits' has no split {split!r}{nearest(split, ('train', 'test'))}")
    table = torch.from_numpy(np.loadtxt(_source(), delimiter=",", dtype=np.uint8))
    labels = table[:, -1].long()
    in_test = torch.zeros(len(labels), dtype=torch.bool)
    in_test[labels.argsort(stable=True)[::5]] = True
    chosen = in_test if split == "test" else ~in_test
    images = _frame(table[chosen, :-1].view(-1, 1, 8, 8) / 16)
    return ImageSet("digits", split, tuple("0123456789"), images, labels[chosen], framing="digit")


def _source() -> Path:
    """scikit-learn's table, a row is 64 pixels and the label; found without the seconds that importing it takes."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("data set 'digits' needs scikit-learn: pip install scikit-learn")
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


def _frame(small: Float[Tensor, "n 1 8 8"]) -> UInt8[Tensor, "n 1 28 28"]:
    """Pixels of 0 to 1 enlarged smoothly to 20x20, then placed with their centre of mass on (14, 14), as in MNIST."""
    boxes = F.interpolate(small, size=(20, 20), mode="bicubic").clamp(0, 1).mul(255).round().to(torch.uint8)
    framed = torch.zeros(len(boxes), 1, 28, 28, dtype=torch.uint8)
    place = torch.arange(20.0)
    for box, frame in zip(boxes[:, 0], framed[:, 0], strict=True):
        top = round(float(14 - (box.sum(1) * place).sum() / box.sum()))
        left = round(float(14 - (box.sum(0) * place).sum() / box.sum()))
        frame[top : top + 20, left : left + 20] = box
    return framed
