"""The traced step against real ones: what autograd keeps, what the allocator holds, the catalogue's facts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gipi import catalog
from gipi.config import NetConfig
from gipi.errors import ConfigError
from gipi.models.kinds import build_net
from gipi.plan.trace import trace

SMALL = {
    "deepconvnet": (1, 28, 28),
    "digitnet-tiny": (1, 28, 28),
    "resnet18": (3, 64, 64),
    "squeezenet1-0": (3, 64, 64),
}


def real(name: str, batch: int, shape: tuple[int, int, int]) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    net = build_net(name, {}).train().to(memory_format=torch.channels_last)
    images = torch.rand(batch, *shape).contiguous(memory_format=torch.channels_last)
    return net, images, torch.zeros(batch, dtype=torch.long)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_kept_for_the_backward_pass_is_what_autograd_saves(name):
    batch = 3
    net, images, labels = real(name, batch, SMALL[name])
    own = {tensor.untyped_storage().data_ptr() for tensor in (*net.parameters(), *net.buffers(), labels)}
    saved = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        block = tensor.untyped_storage()
        if block.data_ptr() not in own:
            saved[block.data_ptr()] = block.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = F.cross_entropy(net(images), labels)
    saved[loss.untyped_storage().data_ptr()] = loss.nbytes
    kept = trace(NetConfig(name), SMALL[name], torch.float32).step(batch).kept
    assert kept == pytest.approx(sum(saved.values()), abs=200)  # a scalar here and there


def test_peak_is_that_of_the_real_allocator():
    """But for a copy or two in another layout, which a kernel makes for itself."""
    name, batch, shape = "squeezenet1-0", 4, (3, 128, 128)
    net, images, labels = real(name, batch, shape)
    F.cross_entropy(net(images), labels).backward()
    net.zero_grad(set_to_none=True)
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        F.cross_entropy(net(images), labels).backward()
    alive = peak = images.nbytes
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    others, gradients = trace(NetConfig(name), shape, torch.float32).curves(batch)
    assert (others + gradients).max() == pytest.approx(peak, rel=0.04)


@pytest.mark.parametrize("name", ["deepconvnet", "alexnet", "vgg11", "resnet18", "squeezenet1-0"])
def test_counts_are_the_catalogues(name):
    """A step computes the forward products, and twice as many backward, less those for the gradient of the images."""
    facts = catalog.NETS[name]
    net = trace(NetConfig(name), facts.input, torch.float32)
    assert net.parameters == facts.parameters
    assert net.weights == 4 * facts.parameters
    forward, backward = (sum(k.flops for k in net.step(5).kernels if k.backward == wanted) for wanted in (False, True))
    assert forward == pytest.approx(5 * 2 * facts.multiply_adds)
    first = sum(k.flops for k in net.step(5).kernels if k.kind == "first conv" and not k.backward)
    assert backward == pytest.approx(2 * forward - first)


def test_every_size_is_a_straight_line_in_the_batch(monkeypatch):
    by_line = trace(NetConfig("deepconvnet"), (1, 28, 28), torch.bfloat16).step(7)
    monkeypatch.setattr("gipi.plan.trace.BATCHES", (7, 9))
    traced = trace(NetConfig("deepconvnet"), (1, 28, 28), torch.bfloat16).first
    assert traced.batch == 7
    assert [k.kind for k in by_line.kernels] == [k.kind for k in traced.kernels]
    assert [k.flops for k in by_line.kernels] == pytest.approx([k.flops for k in traced.kernels])
    assert [k.moved for k in by_line.kernels] == pytest.approx([k.moved for k in traced.kernels])
    assert list(by_line.others) == pytest.approx(list(traced.others), rel=1e-3)
    assert by_line.kept == pytest.approx(traced.kept)


def test_gradients_come_in_the_backward_pass_and_the_rest_goes():
    """What is left is the gradients, the images and scalars: frees need no garbage collector."""
    net = trace(NetConfig("squeezenet1-0"), (3, 64, 64), torch.float32)
    step = net.step(4)
    assert step.gradients[0] == 0
    assert step.gradients[-1] == net.weights
    assert all(step.gradients[1:] >= step.gradients[:-1])
    assert step.others[-1] == pytest.approx(4 * 3 * 64 * 64 * 4, abs=200)


def test_a_later_part_adds_to_gradients_that_are_there():
    one = trace(NetConfig("deepconvnet"), (1, 28, 28), torch.float32).step(4)
    later = trace(NetConfig("deepconvnet"), (1, 28, 28), torch.float32, parts=3).step(4)
    assert later.gradients.max() == 0
    assert later.kept == one.kept
    assert later.flops == one.flops


def test_half_the_precision_keeps_less():
    full, half = (trace(NetConfig("deepconvnet"), (1, 28, 28), dtype).step(64).kept for dtype in (torch.float32, torch.bfloat16))
    assert 0.5 < half / full < 0.75


def test_an_image_that_the_net_does_not_take():
    with pytest.raises(ConfigError, match="net 'alexnet' does not take images of 1x64x64"):
        trace(NetConfig("alexnet"), (1, 64, 64), torch.float32)
