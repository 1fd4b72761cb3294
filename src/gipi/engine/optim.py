"""Everything between a loss and a changed weight: number format, accumulation, clipping, schedule, update and average."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gipi.config import OptimConfig
from gipi.engine.agree import Total
from gipi.engine.place import Place
from gipi.engine.schedule import by_depth, share
from gipi.engine.spread import replica, rule_state, set_rule_state, shard, unheard
from gipi.ops.metrics import Mean, Metrics, merge

LossFn = Callable[[Any], tuple[Tensor, int, Metrics]]
RULES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, fused=True),
    "momentum": partial(torch.optim.SGD, momentum=0.9, fused=True),
    "nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True, fused=True),
    "adagrad": partial(torch.optim.Adagrad, fused=True),
    "rmsprop": torch.optim.RMSprop,
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
}


class Optim:
    """Changes the weights of one net; a task may hold several.

    steps: how often `minimize` will be called, which a schedule needs to know.
    first_rate: share of the learning rate that the net's first layer takes; it grows by depth to the whole rate of the last.
    called: the module that a loss calls, if it is not `net` itself.  partly: some weights may take no part in a step.
    averaged: the net to evaluate and to save: a copy whose weights and floating-point buffers are the exponential running average
    of those of `net` if `config.ema` is set, else `net` itself.
    replica: what a loss must call, so that several processes train one net.
    """

    def __init__(
        self,
        net: nn.Module,
        config: OptimConfig,
        place: Place,
        steps: int,
        *,
        first_rate: float = 1.0,
        called: nn.Module | None = None,
        partly: bool = False,
    ) -> None:
        self._config, self._place, self._steps = config, place, steps
        self.averaged = deepcopy(net).requires_grad_(False).eval() if config.ema else net
        if place.shard:
            shard(net, place)
            if config.ema:
                shard(self.averaged, place)
        self.replica = replica(called or net, place, partly=partly)
        self._weights = [weight for weight in net.parameters() if weight.requires_grad]
        groups = by_depth(self._weights, first_rate)
        betas = {"betas": (config.beta1, 0.999)} if config.name in ("adam", "adamw") else {}
        self._rule = RULES[config.name](groups, lr=config.lr, weight_decay=config.weight_decay, **betas)
        self._scaler = torch.amp.GradScaler(place.device.type, enabled=place.precision == "fp16")  # pyright: ignore[reportPrivateImportUsage]
        self._net = net
        self._step = 0

    @property
    def progress(self) -> float:
        """Share of the steps that are done."""
        return self._step / self._steps

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        config = self._config
        return config.lr * share(config.schedule, self._step, self._steps, warmup=config.warmup, final=config.final)

    def minimize(self, loss_fn: LossFn, batch: Any) -> Metrics:
        """One update. Returns the metrics of `loss_fn` and the loss itself, over this process's part of the batch.

        loss_fn(part) -> (mean loss, the count it is the mean of, metrics); a part is the batch or, with `accumulate`, a slice.
        Counts weigh the parts and the processes, so ragged ones (captions of different length) give the gradient of the whole
        batch's mean.
        """
        self._rule.zero_grad(set_to_none=True)
        metrics: Metrics = {"loss": Mean(0.0, 0)}
        parts = [*_parts(batch, self._config.accumulate)]
        alone = self._place.world == 1
        whole = len(parts) == 1 and alone
        total, everywhere = 0, None
        for part in parts:
            last = part is parts[-1]
            with unheard(self.replica, last):
                with self._place.autocast():
                    loss, count, part_metrics = loss_fn(part)
                total += count
                everywhere = Total(total, self._place) if last else None  # on its way during the backward pass
                if count:
                    metrics = merge(metrics, {"loss": Mean(loss.detach() * count, count), **part_metrics})
                elif alone:  # the mean of nothing is not a number
                    continue
                self._scaler.scale(loss if whole else loss.nan_to_num() * count).backward()
        self._update(1.0 if whole or not everywhere else self._place.world / max(1.0, everywhere.wait()))
        return metrics

    def _update(self, factor: float) -> None:
        """One step of the rule, by the gradients times `factor`, which makes means over the whole batch of them."""
        grads = [weight.grad for weight in self._weights if weight.grad is not None]
        if factor != 1 and grads:
            torch._foreach_mul_(grads, factor)  # pyright: ignore[reportPrivateImportUsage]
        if self._config.clip:
            self._scaler.unscale_(self._rule)
            nn.utils.clip_grad_norm_(self._weights, self._config.clip)
        for group in self._rule.param_groups:
            group["lr"] = self.lr * group["share"]
        self._scaler.step(self._rule)
        self._scaler.update()
        self._step += 1
        if self._config.ema:
            self._average()

    @torch.no_grad()
    def _average(self) -> None:
        """The decay is smaller in the first steps, (1 + step) / (10 + step), so that the start is soon forgotten."""
        weight = 1 - min(self._config.ema, (1 + self._step) / (10 + self._step))
        for mean, now in zip(self.averaged.state_dict().values(), self._net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, weight)
            else:  # the count of batches that batch norm has seen
                mean.copy_(now)

    def state_dict(self) -> dict[str, Any]:
        average = {"average": self.averaged.state_dict()} if self._config.ema else {}
        rule = rule_state(self._net, self._rule) if self._place.shard else self._rule.state_dict()
        return {"rule": rule, "step": self._step, "scaler": self._scaler.state_dict(), **average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self._place.shard:
            set_rule_state(self._net, self._rule, state_dict["rule"])
        else:
            self._rule.load_state_dict(state_dict["rule"])
        self._scaler.load_state_dict(state_dict["scaler"])
        if self._config.ema:
            self.averaged.load_state_dict(state_dict["average"])
        self._step = state_dict["step"]


def _parts(batch: Any, count: int) -> Iterator[Any]:
    """The batch, a NamedTuple of tensors with one first dimension and of plain values, in up to `count` slices."""
    if count == 1:
        yield batch
        return
    size = -(-max(len(field) for field in batch if isinstance(field, Tensor)) // count)
    split = [field.split(size) if isinstance(field, Tensor) else None for field in batch]
    for number in range(max(len(slices) for slices in split if slices)):
        yield type(batch)(*(field if slices is None else slices[number] for field, slices in zip(batch, split, strict=True)))
