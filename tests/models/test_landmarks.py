"""The landmark nets: published counts, and laws for images of any size, wide and narrow, with either stem."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi import catalog
from gipi.errors import ConfigError
from gipi.models.backbone import Backbone
from gipi.models.kinds import build_net

LANDMARKS = [name for name, net in catalog.NETS.items() if net.kind == "classify" and net.input == (3, 224, 224)]
# One of each kind; what they share with their sisters needs no second look.
KINDS = ["alexnet", "vgg11", "vgg16-bn", "googlenet", "resnet18", "resnet50", "squeezenet1-0", "mobilenet-v2"]
of_each_kind = pytest.mark.parametrize("name", KINDS)
stems = pytest.mark.parametrize("stem", ["imagenet", "small"])

# Billions of multiply-adds that torchvision states of its nets.
BILLIONS = {
    "vgg11": 7.609, "vgg13": 11.308, "vgg16": 15.47, "vgg19": 19.632,
    "vgg11-bn": 7.609, "vgg13-bn": 11.308, "vgg16-bn": 15.47, "vgg19-bn": 19.632,
    "resnet18": 1.814, "resnet34": 3.664, "resnet50": 4.089, "resnet101": 7.801, "resnet152": 11.514,
    "alexnet": 0.714, "googlenet": 1.498, "squeezenet1-0": 0.819, "mobilenet-v2": 0.301,
}  # fmt: skip
# The smallest image that torchvision states for its nets.
SMALLEST = {"alexnet": 63, "vgg11": 32, "vgg16-bn": 32, "googlenet": 15, "squeezenet1-0": 21, "resnet18": 1, "mobilenet-v2": 1}


def narrow(name: str, **args: Any) -> Backbone:
    """An eighth as wide as published, in eval mode and float64; batch norm has the statistics of images such as ours."""
    torch.manual_seed(0)
    net = build_net(name, {"width": 0.125, "classes": 5, **args}).double()
    assert isinstance(net, Backbone)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    net(images(4, args.get("channels", 3), 32 if args.get("stem") == "small" else 64))
    return net.eval()


def images(count: int, channels: int = 3, height: int = 32, width: int | None = None) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, channels, height, width or height, generator=random, dtype=torch.float64)


# --- published facts; that each net has the counts of the catalogue is tested there


@pytest.mark.parametrize("name", BILLIONS)
def test_multiply_adds_are_those_that_torchvision_states(name: str):
    assert round(catalog.NETS[name].multiply_adds / 1e9, 3) == BILLIONS[name]


def test_no_landmark_is_left_out():
    assert set(BILLIONS) == set(LANDMARKS) - {"resnet10"}


@pytest.mark.parametrize(("name", "smallest"), SMALLEST.items())
def test_any_image_from_the_smallest_on(name: str, smallest: int):
    net = narrow(name)
    for height, width in ((smallest, smallest), (smallest, smallest + 30), (smallest + 41, smallest + 7)):
        logits = net(images(1, 3, height, width))
        assert logits.shape == (1, 5)
        assert logits.isfinite().all()
    if smallest > 1:
        with pytest.raises((RuntimeError, ValueError)):
            net(images(1, 3, smallest - 1))


# --- the small stem


@of_each_kind
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [28, 32])
def test_a_small_stem_leaves_a_map_of_3_to_7_places(name: str, side: int, channels: int):
    net = narrow(name, stem="small", channels=channels)
    assert net(images(2, channels, side)).shape == (2, 5)
    *_, last = net.pyramid(images(2, channels, side)).values()
    assert 3 <= last.shape[2] <= 7
    assert last.shape[2] == last.shape[3]


@pytest.mark.parametrize("name", LANDMARKS)
def test_a_small_stem_changes_the_first_convolution_only(name: str):
    with torch.device("meta"):
        large, small = (build_net(name, {"stem": stem}).state_dict() for stem in ("imagenet", "small"))
    assert list(small) == list(large)
    first = next(iter(large))
    assert [key for key in large if small[key].shape != large[key].shape] in ([first], [])


# --- laws


@of_each_kind
def test_rows_do_not_depend_on_each_other_in_use(name: str):
    net, batch = narrow(name, stem="small"), images(3)
    whole = net(batch)
    for row in range(3):
        torch.testing.assert_close(net(batch[row : row + 1]), whole[row : row + 1], rtol=1e-9, atol=1e-12)


@of_each_kind
def test_every_parameter_learns(name: str):
    net = narrow(name, stem="small", channels=1).train()
    F.cross_entropy(net(images(8, 1, 28)), torch.arange(8) % 5).backward()
    for key, weight in net.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.isfinite().all(), key
        assert weight.grad.abs().sum() > 0, key


@of_each_kind
def test_the_first_steps_learn(name: str):
    """From the initial weights, narrow and with a small stem, dark from bright; SqueezeNet's last ReLU may stop at ln(2) / 2."""
    args = {} if name.startswith("resnet") else {"dropout": 0.0}
    width = 0.25 if name == "squeezenet1-0" else 0.125
    torch.manual_seed(0)
    net = build_net(name, {"width": width, "classes": 2, "stem": "small", "channels": 1, **args})
    batch, labels = images(8, 1, 28).float(), torch.arange(8) % 2
    batch[labels == 1] += 2
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = [math.inf]
    while losses[-1] > 0.6 * math.log(2) and len(losses) < 50:
        loss = F.cross_entropy(net(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] <= 0.6 * math.log(2), losses


@of_each_kind
@stems
def test_strides_are_true(name: str, stem: str):
    """An image moved by the coarsest stride moves every map by whole places, each by its own number."""
    net = narrow(name, stem=stem)
    tall = images(1, 3, 1024, 64) if stem == "imagenet" else images(1, 3, 256, 32)
    maps = net.pyramid(tall)
    coarsest = max(maps)
    moved = net.pyramid(tall[:, :, coarsest:])
    assert list(moved) == list(maps)
    for stride, value in maps.items():
        row, step = tall.shape[2] // 2 // stride, coarsest // stride  # the middle, which sees no margin
        torch.testing.assert_close(moved[stride][:, :, row - step], value[:, :, row], rtol=1e-9, atol=1e-12)
        assert not torch.allclose(moved[stride][:, :, row], value[:, :, row], rtol=1e-3)


@of_each_kind
@stems
def test_strides_are_the_powers_of_two_of_the_docstring(name: str, stem: str):
    family = name.rstrip("0123456789").split("-")[0]
    first, last = {
        ("alexnet", "imagenet"): (4, 32),
        ("alexnet", "small"): (1, 4),
        ("vgg", "imagenet"): (1, 32),
        ("vgg16", "imagenet"): (1, 32),
        ("squeezenet1", "imagenet"): (2, 16),
    }.get((family, stem), (2, 32) if stem == "imagenet" else (1, 8))
    assert list(narrow(name, stem=stem).pyramid(images(1, 3, 64))) == [2**k for k in range(20) if first <= 2**k <= last]


PADDED = [name for name in KINDS if name not in ("alexnet", "squeezenet1-0")]


@pytest.mark.parametrize("name", PADDED)
@stems
def test_maps_have_height_over_stride_places(name: str, stem: str):
    sides = [(64, 96)] if name.startswith(("vgg", "googlenet")) else [(64, 96), (65, 63), (33, 50), (7, 1)]
    for height, width in sides:
        for stride, value in narrow(name, stem=stem).pyramid(images(1, 3, height, width)).items():
            assert value.shape[2:] == (math.ceil(height / stride), math.ceil(width / stride)), stride


def test_maps_of_what_is_not_padded_have_the_published_places():
    def sides(name: str) -> list[int]:
        return [value.shape[2] for value in narrow(name).pyramid(images(1, 3, 224)).values()]

    assert sides("alexnet") == [55, 27, 13, 6]
    assert sides("squeezenet1-0") == [109, 54, 27, 13]


@of_each_kind
def test_the_coarsest_map_is_what_the_head_sees(name: str):
    net = narrow(name)
    *_, last = net.pyramid(images(2, 3, 64)).values()
    if name == "squeezenet1-0":
        embedded = last
    elif name.startswith(("alexnet", "vgg")):
        hidden = net.get_submodule("classifier")
        assert isinstance(hidden, nn.Sequential)
        embedded = hidden[:-1](F.adaptive_avg_pool2d(last, 6 if name == "alexnet" else 7).flatten(1))
    else:
        embedded = last.mean((2, 3))
    torch.testing.assert_close(net.embed(images(2, 3, 64)), embedded, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(net(images(2, 3, 64)), net.answer(embedded), rtol=1e-9, atol=1e-12)


@of_each_kind
def test_width_is_a_share_of_the_channels(name: str):
    with torch.device("meta"):
        whole, half = (build_net(name, {"width": width}) for width in (1.0, 0.5))
    ratio = [sum(weight.numel() for weight in net.parameters() if weight.ndim == 4) for net in (half, whole)]
    assert 0.2 < ratio[0] / ratio[1] < (0.45 if name in ("mobilenet-v2", "squeezenet1-0") else 0.27)
    for key, weight in half.state_dict().items():
        if name != "mobilenet-v2":  # whose channels are multiples of 8
            assert all(
                few in (many, math.ceil(many / 2)) for few, many in zip(weight.shape, whole.state_dict()[key].shape, strict=True)
            )


@pytest.mark.parametrize("name", [name for name in KINDS if not name.startswith("resnet")])
def test_dropout_is_that_of_the_argument_and_off_in_use(name: str):
    net = narrow(name, stem="small", dropout=0.3)
    assert {layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)} == {0.3}
    assert torch.equal(net(images(2)), net(images(2)))
    embedded = net.embed(images(2))
    net.train()
    if name in ("alexnet", "vgg11", "vgg16-bn"):  # between the affine layers
        assert not torch.equal(net.embed(images(2)), net.embed(images(2)))
    else:  # in front of the head
        assert not torch.equal(net.answer(embedded), net.answer(embedded))


@of_each_kind
def test_the_seed_gives_the_weights(name: str):
    same, again = narrow(name).state_dict(), narrow(name).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in same.items())
    torch.manual_seed(1)
    other = build_net(name, {"width": 0.125, "classes": 5}).state_dict()
    first = next(iter(same))
    assert not torch.equal(same[first].float(), other[first])


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "vgg16-bn", "resnet18", "mobilenet-v2"])
def test_initial_weights_of_he(name: str):
    """Spread of each convolution by its inputs (alexnet) or its outputs, of affine layers 0.01; biases 0."""
    torch.manual_seed(0)
    net = build_net(name, {"width": 0.25, "classes": 100})
    for key, layer in net.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear) or (name == "resnet18" and key == "fc"):
            continue
        places = layer.weight[0, 0].numel()
        spread = math.sqrt(2 / (layer.weight.shape[1 if name == "alexnet" else 0] * places)) if layer.weight.ndim == 4 else 0.01
        assert layer.weight.std().item() == pytest.approx(spread, rel=5 / math.sqrt(2 * layer.weight.numel())), key
        assert layer.bias is None or not layer.bias.any(), key


# --- what is refused


@pytest.mark.parametrize("name", LANDMARKS)
def test_what_no_net_can_be_is_refused_by_name(name: str):
    for args in ({"stem": "large"}, {"width": 0.0}, {"width": -1.0}, {"width": math.nan}):
        with torch.device("meta"), pytest.raises(ConfigError, match=f"cannot be built with {{'{next(iter(args))}'"):
            build_net(name, args)
