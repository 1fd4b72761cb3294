"""SegNet and SegNet-Basic: the paper's counts, the encoder of a trained VGG-16, and what unpooling must do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.inspect.layers import layer_table
from gipi.models.segnet import EncoderDecoder, Unpool, segnet, segnet_basic
from gipi.models.vgg import vgg16, vgg16_bn

both = pytest.mark.parametrize("make", [segnet, segnet_basic])
VGG = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]  # channels from convolution to convolution


def images(count: int, height: int, width: int, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(0))


def narrow(make: Callable[..., EncoderDecoder], **args: int) -> EncoderDecoder:
    torch.manual_seed(0)
    return make(width=0.125, **args)


# --- counts


def test_segnet_has_the_parameters_and_multiply_adds_of_its_layers_counted_by_hand():
    pairs = list(pairwise(VGG))
    sizes = [480 * 352 // 4**stage for stage, count in enumerate((2, 2, 3, 3, 3)) for _ in range(count)]
    encoder = sum(9 * i * o + o + 2 * o for i, o in pairs)  # weights, biases, scales and shifts of batch norm
    decoder = sum(9 * i * o + i + 2 * i for i, o in pairs[1:]) + 9 * 64 * 11 + 11
    products = sum(9 * i * o * size for (i, o), size in zip(pairs, sizes, strict=True))
    products += sum(9 * i * o * size for (i, o), size in zip(pairs[1:], sizes[1:], strict=True)) + 9 * 64 * 11 * sizes[0]
    with torch.device("meta"):
        table = layer_table(segnet(), (3, 352, 480))
    assert (table.parameters, table.multiply_adds) == (encoder + decoder, products)
    assert f"{(encoder + decoder) / 1e6:.2f}" == "29.45"  # the paper's, table 6


def test_segnet_basic_has_the_parameters_that_the_papers_text_adds_up_to():
    filters = 49 * 3 * 64 + 7 * 49 * 64 * 64
    with torch.device("meta"):
        net = segnet_basic()
    count = sum(weight.numel() for weight in net.parameters())
    assert count == filters + 8 * 2 * 64 + 64 * 11 + 11
    assert count == pytest.approx(1.425e6, rel=0.007)  # table 1


def test_segnet_basic_sees_the_papers_106_pixels():
    with torch.device("meta"):
        layers = layer_table(segnet_basic(), (3, 352, 480)).layers
    last = [layer for layer in layers if layer.kind == "max-pool 2x2"][-1]
    assert last.reach is not None
    assert last.reach.field == (106, 106)
    assert last.shape == (64, 22, 30)


@both
def test_a_pixel_is_named_by_what_lies_around_it(make):
    """Pools shift what a value sees to the lower right, unpools shift it back."""
    with torch.device("meta"):
        reach = layer_table(make(), (3, 352, 480)).layers[-1].reach
    assert reach is not None
    assert reach.jump == (1, 1)
    assert [start + (field - 1) / 2 for start, field in zip(reach.start, reach.field, strict=True)] == [0, 0]


def test_the_decoder_is_the_encoder_in_a_mirror():
    with torch.device("meta"):
        net = segnet()
    shapes = {
        name: [tuple(layer.weight.shape[:2]) for layer in net.get_submodule(name).modules() if isinstance(layer, nn.Conv2d)]
        for name in ("features", "decoder")
    }
    assert [*map(tuple, pairwise(VGG))] == [(i, o) for o, i in shapes["features"]]
    assert shapes["decoder"][:-1] == [(i, o) for o, i in reversed(shapes["features"][1:])]
    assert shapes["decoder"][-1] == (11, 64)


def test_the_decoder_of_segnet_basic_is_linear_but_for_batch_norm():
    net = segnet_basic(width=0.1, kernel=5)
    assert [type(layer).__name__ for layer in net.decoder] == ["Unpool", "Conv2d", "BatchNorm2d"] * 4 + ["Conv2d"]
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.bias is None for layer in convolutions] == [True] * 8 + [False]
    assert [layer.kernel_size for layer in convolutions] == [(5, 5)] * 8 + [(1, 1)]
    for kernel in (4, 0, -1):
        with pytest.raises(ValueError, match=f"kernel is {kernel}: allowed are 1, 3, 5"):
            segnet_basic(kernel=kernel)


# --- unpooling


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16])
def test_a_value_goes_back_to_where_the_pool_took_it_from(deterministic: bool, layout: torch.memory_format, number: torch.dtype):
    x = images(2, 6, 8).to(number).contiguous(memory_format=layout)  # below zero too
    values, places = F.max_pool2d(x, 2, return_indices=True)
    given = torch.arange(1, values.numel() + 1).reshape(values.shape).to(number)
    torch.use_deterministic_algorithms(deterministic)
    try:
        up = Unpool()(given, places)
    finally:
        torch.use_deterministic_algorithms(False)
    assert up.shape == x.shape
    for n, c, i, j in torch.cartesian_prod(*map(torch.arange, values.shape)).tolist():
        window = x[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten()
        wanted = torch.zeros(4, dtype=number)
        wanted[window.argmax()] = given[n, c, i, j]
        assert torch.equal(up[n, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten(), wanted)


def test_both_ways_to_unpool_have_the_gradient_of_the_places():
    values, places = F.max_pool2d(images(2, 6, 8), 2, return_indices=True)
    weight = images(2, 6, 8) + 3
    for deterministic in (False, True):
        given = values.clone().requires_grad_()
        torch.use_deterministic_algorithms(deterministic)
        try:
            (Unpool()(given, places) * weight).sum().backward()
        finally:
            torch.use_deterministic_algorithms(False)
        assert given.grad is not None
        assert torch.equal(given.grad.flatten(2), weight.flatten(2).gather(2, places.flatten(2)))


@both
def test_each_unpool_is_told_by_the_pool_of_its_own_size(make):
    """The twins are the outermost two, and so on: what an unpool puts out is zero where its twin's pool took nothing."""
    net = narrow(make).eval()
    pools, unpools = ([layer for layer in net.modules() if isinstance(layer, kind)] for kind in (nn.MaxPool2d, Unpool))
    taken: list[Tensor] = []
    for pool in pools:
        pool.register_forward_hook(
            lambda _, inputs, output: taken.append(F.max_unpool2d(torch.ones_like(output[0]), output[1], 2) > 0)
        )
    put: list[Tensor] = []
    for unpool in unpools:
        unpool.register_forward_hook(lambda _, inputs, output: put.append(output != 0))
    net(images(2, 64, 96))
    assert len(put) == len(taken) == (5 if make is segnet else 4)
    for wrote, took in zip(put, reversed(taken), strict=True):
        assert wrote.any()
        assert not (wrote & ~took).any()


# --- the whole net


@both
def test_sizes(make):
    net = narrow(make, classes=4, channels=1).eval()
    for height, width in ((net.stride, net.stride), (64, 96), (96, 32)):
        assert net(images(2, height, width, 1)).shape == (2, 4, height, width)
    for height, width in ((net.stride, net.stride + 1), (net.stride // 2, net.stride), (0, net.stride)):
        with pytest.raises(ValueError, match=f"multiples of {net.stride}, got {height}x{width}: pad"):
            net(images(1, height, width, 1))


@both
def test_every_weight_learns(make):
    net = narrow(make, classes=3)
    labels = torch.randint(3, (2, 64, 64), generator=torch.Generator().manual_seed(0))
    F.cross_entropy(net(images(2, 64, 64)), labels).backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        # Biases in front of batch norm are without effect: their gradients are zero, but for rounding.
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


@both
@pytest.mark.parametrize("width", [0.05, 0.11])
def test_memory_layout_and_bfloat16_do_not_change_the_answer(make, width: float):
    torch.manual_seed(0)
    net, batch = make(width=width, classes=3), images(2, 64, 64)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    net(batch)
    wanted = net.eval()(batch)
    last = net.to(memory_format=torch.channels_last)(batch.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, wanted, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(batch)
    # Of two values that are the same in bfloat16 a pool may take the other; ten pools and unpools of noise add to that.
    assert torch.corrcoef(torch.stack([half.float().flatten(), wanted.flatten()]))[0, 1] > 0.6


@both
def test_the_first_steps_learn(make):
    net = narrow(make, classes=2)
    batch = images(4, 32, 32)
    labels = (batch.mean(1) > 0).long()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(net(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


# --- from a classifier


@pytest.mark.parametrize("channels", [1, 3])
def test_the_encoder_of_a_trained_vgg16_does_what_it_did(channels: int):
    torch.manual_seed(0)
    classifier = vgg16_bn(width=0.125, channels=channels, classes=7)
    classifier(images(2, 64, 64, channels))  # batch norm has seen images
    net = narrow(segnet, channels=channels)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(net.from_classifier(classifier.state_dict()))
    x = batch = images(2, 96, 64, channels)
    for layer in net.eval().features:
        x = layer(x)[0] if isinstance(layer, nn.MaxPool2d) else layer(x)
    assert torch.equal(x, classifier.eval().features(batch))
    after = net.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("decoder."))


def test_other_weights_are_refused_by_name():
    net = narrow(segnet)
    with pytest.raises(ValueError, match=r"vgg16-bn as wide as this net: features.0.weight has shape \(16, 3, 3, 3\), .* more"):
        net.from_classifier(vgg16_bn(width=0.25).state_dict())
    with pytest.raises(ValueError, match=r"missing features\.1\.weight"):
        net.from_classifier(vgg16(width=0.125).state_dict())
    with pytest.raises(ValueError, match="no classifier of the catalogue"):
        narrow(segnet_basic).from_classifier({})
