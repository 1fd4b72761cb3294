"""Memory of a process: what is summed, what is shared out, and what fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gipi.config import NetConfig, OptimConfig
from gipi.plan.devices import DEVICES
from gipi.plan.memory import largest_batch, memory
from gipi.plan.trace import Net, trace

H100 = DEVICES["h100"]
ADAM = OptimConfig("adam", ema=0.99)


@pytest.fixture(scope="module")
def net() -> Net:
    return trace(NetConfig("digitnet"), (1, 28, 28), torch.float32)


@pytest.mark.parametrize(("rule", "states"), [("sgd", 0), ("momentum", 1), ("adamw", 2)])
def test_optimiser_keeps_so_many_numbers_a_weight(net, rule, states):
    found = memory(net, 8, OptimConfig(rule), H100)
    assert found.optimiser == states * 4 * net.parameters
    assert found.weights == 4 * net.parameters + net.buffers
    assert found.average == 0


def test_total_is_the_sum_and_the_fullest_moment(net):
    found = memory(net, 8, ADAM, H100)
    others, gradients = net.curves(8)
    step = H100.held * (others + gradients).max()
    assert found.gradients + found.activations == pytest.approx(step)
    assert found.total == pytest.approx(found.weights + found.optimiser + found.average + step + H100.base)


def test_replicas_keep_their_gradients(net):
    found = memory(net, 8, ADAM, H100, world=4)
    assert found.gradients == net.weights
    assert found.activations == pytest.approx(H100.held * net.curves(8)[0].max())


@pytest.mark.parametrize("world", [2, 8, 32])
def test_shares_of_all_processes_are_one_whole(net, world):
    whole, part = (memory(net, 8, ADAM, H100, world=world, shard=shard) for shard in (False, True))
    for name in ("weights", "gradients", "optimiser", "average"):
        buffers = net.buffers if name in ("weights", "average") else 0
        assert world * (getattr(part, name) - buffers) == pytest.approx(getattr(whole, name) - buffers)
    assert part.activations == whole.activations
    assert part.gathered == 2 * max(net.groups)
    assert sum(net.groups) == net.weights


def test_parts_need_the_activations_of_one(net):
    whole, parts = memory(net, 64, OptimConfig("sgd"), H100), memory(net, 64, OptimConfig("sgd", accumulate=8), H100)
    assert parts.activations < whole.activations / 6
    assert parts.activations == memory(net, 8, OptimConfig("sgd"), H100, world=2).activations


@pytest.mark.parametrize("gib", [1.2, 3.0, 17.0])
@pytest.mark.parametrize(("world", "shard"), [(1, False), (4, False), (4, True)])
def test_largest_batch_fits_and_one_more_does_not(net, gib, world, shard):
    device = replace(H100, memory=gib * 2**30)
    most = largest_batch(net, ADAM, device, world=world, shard=shard)
    assert most > 1
    fits, not_so = (memory(net, batch, ADAM, device, world=world, shard=shard).total for batch in (most, most + 1))
    assert fits <= device.memory < not_so


def test_no_batch_fits_where_the_weights_do_not(net):
    assert largest_batch(net, ADAM, replace(H100, memory=1.001e9)) == 0
