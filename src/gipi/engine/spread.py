"""A net spread over the processes of a training: a replica each (DDP), or a part each (FSDP)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gipi.engine.place import Place
from gipi.errors import ConfigError


def replica(net: nn.Module, place: Place, *, partly: bool = False) -> nn.Module:
    """What a loss calls in place of `net`, so that the gradients are the mean over all processes.

    partly: some weights may take no part in a step.
    """
    if place.world == 1 or place.shard:
        return net
    devices = [place.device] if place.device.type == "cuda" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the new name of broadcast_buffers is unknown to older versions
        # Running statistics that differ hurt no training step; they are made the same where they matter, before an evaluation.
        return DistributedDataParallel(
            net, devices, broadcast_buffers=False, find_unused_parameters=partly, gradient_as_bucket_view=True
        )


def shard(net: nn.Module, place: Place) -> None:
    """Leave each process its part of the weights: the blocks of the net are gathered one at a time when they compute.

    Their number format is the place's; gradients are added up in float32.
    """
    if place.device.type == "cpu" and place.dtype != torch.float32:
        raise ConfigError(f"--shard on a CPU computes in fp32: give --precision fp32, got {place.precision}")
    if place.precision == "fp16":
        raise ConfigError("--shard does not scale losses as fp16 needs it: use --precision bf16")
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # seconds of importing, for those who need it

    policy = MixedPrecisionPolicy(param_dtype=None if place.dtype == torch.float32 else place.dtype, reduce_dtype=torch.float32)
    for block in _blocks(net):
        fully_shard(block, mp_policy=policy)
    fully_shard(net, mp_policy=policy)


def _blocks(net: nn.Module) -> Iterator[nn.Module]:
    """The outermost parts with weights that are no mere rows of layers, of which a net may call a slice."""
    for part in net.children():
        if isinstance(part, nn.Sequential):
            yield from _blocks(part)
        elif any(True for _ in part.parameters()):
            yield part


def unheard(net: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Of a batch in several parts only the `last` one's gradients are sent to the other processes, in sum."""
    if isinstance(net, DistributedDataParallel):
        return nullcontext() if last else net.no_sync()
    if hasattr(net, "set_requires_gradient_sync"):  # of FSDP
        net.set_requires_gradient_sync(last)  # pyright: ignore[reportCallIssue]
    return nullcontext()


def whole_weights(net: nn.Module) -> dict[str, Tensor]:
    """The weights of a sharded net, put together on the CPU of the first process, {} in the others, which must call it, too."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    return get_model_state_dict(net, options=StateDictOptions(full_state_dict=True, cpu_offload=True))  # pyright: ignore[reportReturnType]


def rule_state(net: nn.Module, rule: torch.optim.Optimizer) -> dict[str, Any]:
    """State of the rule of a sharded net, by the names of the weights, which any number of processes can take up."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    return get_optimizer_state_dict(net, rule)


def set_rule_state(net: nn.Module, rule: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict

    set_optimizer_state_dict(net, rule, state)
