"""The pyramid against its equation, and what of a body stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gipi.models.fpn import FPN, FrozenNorm, Trunk
from gipi.models.mobilenetv2 import mobilenet_v2
from gipi.models.resnet import resnet10
from gipi.models.vgg import vgg11


def small(fixed: int, *, finest: int = 4, coarsest: int = 32, pyramid: int = 8) -> Trunk:
    return Trunk(resnet10(width=0.0625, classes=1), 3, finest=finest, coarsest=coarsest, pyramid=pyramid, fixed=fixed)


def test_a_level_is_its_own_map_and_all_coarser_ones_repeated():
    torch.manual_seed(0)
    net = FPN([3, 5, 7], 4).double()
    maps = {stride: torch.randn(2, count, 32 // stride, 64 // stride).double() for stride, count in ((4, 3), (8, 5), (16, 7))}
    got = net(maps)
    assert list(got) == [4, 8, 16, 32]
    for number, stride in enumerate(maps):
        total = torch.zeros_like(got[stride])
        for other, inner in [*zip(maps, net.inner_blocks, strict=True)][number:]:
            part = inner(maps[other])
            total += part.repeat_interleave(other // stride, 2).repeat_interleave(other // stride, 3)
        torch.testing.assert_close(got[stride], net.layer_blocks[number](total))
    assert torch.equal(got[32], got[16][:, :, ::2, ::2])


def test_a_frozen_norm_is_the_trained_one_at_rest():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(value, 0.5, 2)  # pyright: ignore[reportArgumentType]
    frozen, x = FrozenNorm(norm), torch.randn(2, 3, 4, 5)
    assert torch.equal(frozen.train()(x), norm.eval()(x))
    assert not [*frozen.parameters()]


@pytest.mark.parametrize(
    ("body", "stride", "held"),
    [
        (lambda: resnet10(width=0.0625), 4, ("conv1.", "layer1.")),
        (lambda: resnet10(width=0.0625), 2, ("conv1.",)),
        (lambda: mobilenet_v2(width=0.1), 4, tuple(f"features.{layer}." for layer in range(4))),
        (lambda: vgg11(width=0.03125), 2, ("features.0.", "features.3.")),
    ],
)
def test_layers_up_to_the_stride_are_held(body, stride: int, held: tuple[str, ...]):
    net = body()
    trunk = Trunk(net, 3, finest=16, coarsest=16, pyramid=0, fixed=stride)
    bodies = {name for name, weight in trunk.body.named_parameters() if not name.startswith(("fc.", "classifier."))}
    learns = {name for name, weight in trunk.body.named_parameters() if weight.requires_grad and name in bodies}
    assert bodies - learns == {name for name in bodies if name.startswith(held)}
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in trunk.modules())


def test_with_none_held_everything_learns():
    trunk = small(0)
    assert all(weight.requires_grad for weight in trunk.parameters())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in trunk.modules())


def test_the_maps_are_those_that_were_asked_for():
    trunk, images = small(0, finest=8, coarsest=16).eval(), torch.zeros(1, 3, 64, 96)
    assert {stride: tuple(map.shape) for stride, map in trunk(images).items()} == {
        8: (1, 8, 8, 12),
        16: (1, 8, 4, 6),
        32: (1, 8, 2, 3),
    }
    assert (trunk.stride, trunk.taken, trunk.strides) == (16, [8, 16], [8, 16, 32])
    bare = small(0, finest=16, coarsest=16, pyramid=0).eval()
    assert torch.equal(bare(images)[16], bare.body.pyramid(images)[16])
    assert bare.channels == 16


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_same_layers_are_held_where_gradients_are_off(mode):
    with mode():
        off = small(4)
    assert [weight.requires_grad for weight in off.parameters()] == [weight.requires_grad for weight in small(4).parameters()]


def test_strides_that_the_body_does_not_have_are_refused():
    with pytest.raises(ValueError, match="finest is 5, allowed are 2, 4, 8, 16, 32"):
        small(0, finest=5)
    with pytest.raises(ValueError, match="fixed is 3, allowed are 0 and 2, 4, 8, 16, 32"):
        small(3)


def test_bfloat16_keeps_its_format_through_frozen_norms():
    trunk = small(4)
    with torch.autocast("cpu", torch.bfloat16):
        maps = trunk(torch.randn(1, 3, 64, 64))
    assert {map.dtype for map in maps.values()} == {torch.bfloat16}
    assert F.relu(maps[4]).isfinite().all()
