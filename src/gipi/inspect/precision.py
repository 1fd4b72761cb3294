"""How few bits a trained net needs: its accuracy in each format, and how far each layer is then from float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.inspect.formats import FORMATS, REFERENCE, WEIGHTED, Format, computing_in, values_read, weight_bytes

BATCH = 250  # images at once: those that share a scale, where a format has one for activations; of the first, layers are compared
SURE = 0.01  # a difference that chance alone makes in fewer than 1 of 100 tests counts
BOUND = 0.95  # how sure it is that a loss is at most `loses`


@dataclass(frozen=True)
class Precision:
    """A net in one format.

    accuracy: 0 to 1, of so many `images`.  differ: answers other than in float64; `worse` of them were right, `better` are now.
    logits: largest difference to float64's.  layers: what each layer with weights puts out, root mean square of its difference to
    float64's over that of float64's, for the first BATCH images.  weights, values: bytes of all weights, and of what the layers
    with weights read for one image.
    """

    format: str
    bits: int
    images: int
    accuracy: float
    loss: float
    differ: int
    worse: int
    better: int
    logits: float
    layers: dict[str, float]
    weights: int
    values: int

    @property
    def chance(self) -> float:
        """How likely a difference of the two accuracies as large as this is if there is none: `mcnemar`."""
        return mcnemar(self.worse, self.better)

    @property
    def lower(self) -> bool:
        """Whether the accuracy is lower than in float64, beyond chance."""
        return self.worse > self.better and self.chance < SURE

    @property
    def loses(self) -> float:
        """At most this much accuracy, 0 to 1, is lost to float64, with the confidence BOUND: no more than newly wrong answers.

        The upper end of their share's interval after Clopper and Pearson, Biometrika 26, 1934.
        """
        from scipy.special import betaincinv  # slow to import

        return 1.0 if self.worse == self.images else float(betaincinv(self.worse + 1, self.images - self.worse, BOUND))

    def json(self) -> dict[str, Any]:
        tests = {"chance": self.chance, "lower": self.lower, "loses": self.loses}
        return {name: _plain(value) for name, value in {**asdict(self), **tests}.items()}


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity, which a net that overflows has."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def mcnemar(worse: int, better: int) -> float:
    """How likely it is that changes which are as likely one way as the other split as unevenly as `worse` to `better`: 0 to 1.

    The exact test on the answers that only one of two readers got right, two-sided: McNemar, Psychometrika 12, 1947.
    """
    changes, fewer = worse + better, min(worse, better)
    term, ways = 1, 0
    for k in range(fewer + 1):
        ways += term
        term = term * (changes - k) // (k + 1)
    return min(1.0, 2 * ways / 2**changes)


def measure(
    net: nn.Module,
    inputs: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    *,
    formats: Sequence[Format] = FORMATS,
    say: Callable[[Precision], None] | None = None,
) -> list[Precision]:
    """`net` in float64, then in each of the formats; `say` hears of each. `net` itself is left as it is.

    inputs: float32, as the net is fed them; all formats get the same.  labels: 0 to classes - 1.
    """
    layers: dict[str, Tensor] = {}
    truth = _logits(deepcopy(net).double().eval(), inputs.double(), layers.__setitem__)
    net = deepcopy(net).float().eval()
    read = values_read(net, inputs[:1])
    rows: list[Precision] = []
    for form in (REFERENCE, *formats):
        errors = dict.fromkeys(layers, 0.0)
        if form is REFERENCE:
            logits = truth
        else:
            with computing_in(form, net):
                logits = _logits(net, inputs, partial(_compare, layers, errors)).double()
        answers, before = logits.argmax(1), truth.argmax(1)
        right, was_right = answers == labels, before == labels
        row = Precision(
            *(form.name, form.bits, len(labels)),
            accuracy=float(right.double().mean()),
            loss=float(F.cross_entropy(logits, labels)),
            differ=int((answers != before).sum()),
            worse=int((was_right & ~right).sum()),
            better=int((right & ~was_right).sum()),
            logits=float((logits - truth).abs().max()),
            layers=errors,
            weights=weight_bytes(form, net),
            values=read * form.value_bits // 8,
        )
        rows.append(row)
        if say:
            say(row)
    return rows


def _compare(truth: dict[str, Tensor], errors: dict[str, float], name: str, found: Tensor) -> None:
    errors[name] = float((found.double() - truth[name]).norm() / truth[name].norm())


@torch.inference_mode()
def _logits(net: nn.Module, inputs: Tensor, visit: Callable[[str, Tensor], None]) -> Tensor:
    """Logits of all inputs; of the first batch, visit(name, output) of each layer with weights."""
    first, *others = inputs.split(BATCH)
    layers = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, WEIGHTED)]
    hooks = [layer.register_forward_hook(partial(_shown, visit, name)) for name, layer in layers]
    try:
        logits = [net(first)]
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat([*logits, *map(net, others)])


def _shown(visit: Callable[[str, Tensor], None], name: str, _layer: nn.Module, _read: Any, put_out: Tensor) -> None:
    visit(name, put_out.clone())  # the next layer may write in place
