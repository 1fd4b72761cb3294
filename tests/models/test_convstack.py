"""Stacks of convolutions: their layers are those asked for, their weights as many and as spread as the formulas say."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.errors import ConfigError
from gipi.models.convstack import ConvStack, convstack, digitnet, digitnet_tiny
from gipi.models.kinds import build_net

FACTORIES = {"convstack": convstack, "digitnet": digitnet, "digitnet_tiny": digitnet_tiny}
every = pytest.mark.parametrize("make", FACTORIES.values(), ids=FACTORIES)


def images(count: int, channels: int = 1, height: int = 28, width: int = 28) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


def stages(net: ConvStack) -> list[list[tuple[int, int]]]:
    """Channels and filter of each convolution, a list for each resolution."""
    found: list[list[tuple[int, int]]] = [[]]
    for layer in net.features:
        if isinstance(layer, nn.Conv2d):
            found[-1].append((layer.out_channels, layer.kernel_size[0]))
        elif isinstance(layer, nn.MaxPool2d):
            found.append([])
    return found


def parameters(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


# --- layers


def test_the_named_nets_have_the_layers_of_the_table():
    assert stages(convstack()) == [[(16, 3)], [(16, 3)], [(16, 3), (16, 3)]]
    assert stages(digitnet()) == [[(32, 5)], [(48, 3), (48, 3)], [(96, 3), (96, 3)]]
    assert stages(digitnet_tiny()) == [[(8, 5)], [(16, 3), (16, 3)], [(20, 3)]]
    assert [parameters(make()) for make in FACTORIES.values()] == [15_034, 161_386, 6_866]


@pytest.mark.parametrize(
    ("depth", "sizes"),
    [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (4, [1, 1, 2]), (5, [1, 2, 2]), (6, [2, 2, 2]), (13, [4, 4, 5])],
)
def test_stages_are_even_and_the_later_ones_take_what_is_left_over(depth: int, sizes: list[int]):
    assert [len(stage) for stage in stages(convstack(depth=depth))] == sizes


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_order_is_convolution_pool_batch_norm_relu(batch_norm: bool):
    kinds = [type(layer) for layer in convstack(depth=4, batch_norm=batch_norm).features]
    norm = [nn.BatchNorm2d] if batch_norm else []
    pooled, plain = [nn.Conv2d, nn.MaxPool2d, *norm, nn.ReLU], [nn.Conv2d, *norm, nn.ReLU]
    assert kinds == [*pooled, *pooled, *plain, *plain]


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize(
    ("depth", "width", "kernel", "classes", "channels"), [(1, 1, 1, 2, 1), (4, 16, 3, 10, 1), (7, 5, 5, 3, 3)]
)
def test_parameters_by_formula(depth: int, width: int, kernel: int, classes: int, channels: int, batch_norm: bool):
    net = convstack(depth=depth, width=width, kernel=kernel, classes=classes, channels=channels, batch_norm=batch_norm)
    convolutions = kernel**2 * width * (channels + (depth - 1) * width)
    per_channel = 2 if batch_norm else 1  # scale and shift, or the bias
    assert parameters(net) == convolutions + per_channel * depth * width + (49 * width + 1) * classes
    assert all((layer.bias is None) == batch_norm for layer in net.features if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_only_pooling_makes_pictures_smaller(kernel: int):
    out, sizes = images(2), []
    for layer in convstack(depth=5, width=4, kernel=kernel).features:
        out = layer(out)
        sizes.append((type(layer), tuple(out.shape)))
    assert [size for kind, size in sizes if kind is nn.Conv2d] == [(2, 4, side, side) for side in (28, 14, 14, 7, 7)]


@every
@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 9), (28, 28), (32, 48), (64, 33)])
@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (3, 7)])
def test_any_size_from_4_up_grey_or_colour(make: Any, height: int, width: int, channels: int, classes: int):
    net = make(channels=channels, classes=classes)
    logits = net(images(2, channels, height, width))
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


def test_it_is_the_net_written_out():
    net = convstack(depth=3, width=4, batch_norm=False).double()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.normal_(layer.bias)
    one, two, three = (layer for layer in net.features if isinstance(layer, nn.Conv2d))
    out = images(3).double()
    want = F.max_pool2d(F.conv2d(out, one.weight, one.bias, padding=1), 2).relu()
    want = F.max_pool2d(F.conv2d(want, two.weight, two.bias, padding=1), 2).relu()
    want = F.conv2d(want, three.weight, three.bias, padding=1).relu().flatten(1)
    last = net.classifier[3]
    assert isinstance(last, nn.Linear)
    assert torch.allclose(net(out), want @ last.weight.T + last.bias)


def test_dropout_is_that_of_the_argument_and_off_in_use():
    rates = [layer.p for layer in digitnet(dropout=0.3).modules() if isinstance(layer, nn.Dropout)]
    assert rates == [0.3]
    net = digitnet()
    assert not torch.equal(net(images(4)), net(images(4)))
    assert torch.equal(net.eval()(images(4)), net(images(4)))


@every
def test_rows_do_not_depend_on_each_other_in_use(make: Any):
    net = make().train()
    net(images(16))  # statistics that are not those of the start
    net = net.eval().double()
    batch = images(5).double()
    whole = net(batch)
    for row in range(5):
        assert torch.allclose(net(batch[row : row + 1]), whole[row : row + 1], atol=1e-12)


@every
def test_every_parameter_learns(make: Any):
    net = make()
    F.cross_entropy(net(images(8)), torch.arange(8)).backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


# --- initial weights


@pytest.mark.parametrize("init", ["he", "xavier", 0.01, 0.2])
def test_initial_weights_are_as_spread_as_they_should(init: str | float):
    torch.manual_seed(0)
    net = convstack(depth=4, width=48, kernel=5, classes=400, init=init, batch_norm=False)
    for layer in net.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        field = layer.weight[0, 0].numel()  # places of a filter; 1 of an affine layer
        into, out = layer.weight.shape[1] * field, layer.weight.shape[0] * field
        spread = {"he": math.sqrt(2 / into), "xavier": math.sqrt(2 / (into + out))}.get(str(init), init)
        few = 4 / math.sqrt(2 * layer.weight.numel())  # 4 standard errors of a standard deviation
        assert layer.weight.std().item() == pytest.approx(spread, rel=few)
        assert abs(layer.weight.mean().item()) < 4 * float(spread) / math.sqrt(layer.weight.numel())
        assert layer.bias is not None
        assert not layer.bias.any()


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("depth", [2, 8])
def test_the_seed_gives_the_weights(depth: int, kernel: int):
    nets = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        nets.append(convstack(depth=depth, kernel=kernel).state_dict())
    assert all(torch.equal(value, nets[1][key]) for key, value in nets[0].items())
    assert not torch.equal(nets[0]["features.0.weight"], nets[2]["features.0.weight"])


# --- what is refused


@pytest.mark.parametrize(
    "args", [{"depth": 0}, {"depth": -1}, {"width": 0}, {"kernel": 0}, {"kernel": 2}, {"kernel": -3}, {"init": "hee"}], ids=repr
)
def test_what_no_stack_can_be_is_refused_by_name(args: dict[str, Any]):
    [(name, value)] = args.items()
    with pytest.raises(ValueError, match=name) as caught:
        convstack(**args)
    assert str(value) in str(caught.value)
    with pytest.raises(ConfigError, match=name):
        build_net("convstack", args)


@pytest.mark.parametrize("name", ["convstack", "digitnet", "digitnet-tiny"])
def test_a_misspelt_argument_names_the_nearest(name: str):
    with pytest.raises(ConfigError, match="did you mean 'classes'"):
        build_net(name, {"clases": 3})


def test_words_and_switches_reach_the_net_by_name():
    net = build_net("convstack", {"depth": 2, "init": "xavier", "batch_norm": False})
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())
    with pytest.raises(ConfigError, match="init"):
        build_net("convstack", {"init": -0.1})
