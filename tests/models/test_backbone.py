"""What every net of the catalogue that classifies offers beside its logits, held to laws that no net may break."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gipi import catalog
from gipi.models.backbone import Backbone, large_stem, share, walk
from gipi.models.kinds import build_net

NETS = {name: net for name, net in catalog.NETS.items() if net.kind == "classify"}
every = pytest.mark.parametrize("name", NETS)


def small(name: str, **args: Any) -> Backbone:
    """A net of the catalogue for images of 28 pixels, the landmarks narrow, in eval mode and float64; batch norm knows the images."""
    if NETS[name].input == (3, 224, 224):
        args = {"width": 0.125, "stem": "small", **args}
    torch.manual_seed(0)
    net = build_net(name, {"classes": 5, "channels": 1, **args}).double()
    assert isinstance(net, Backbone)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    net(images(8))
    return net.eval()


def images(count: int, channels: int = 1, side: int = 28) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@every
def test_logits_are_the_answer_to_the_embedding(name: str):
    net = small(name)
    logits = net(images(3))
    assert logits.shape == (3, 5)
    assert torch.equal(net.answer(net.embed(images(3))), logits)
    assert torch.nn.functional.cosine_similarity(logits[0], logits[1], dim=0) < 1 - 1e-9, "it sees what is in an image"


@every
def test_the_head_is_the_last_layer_with_weights_and_sees_the_embedding(name: str):
    net = small(name)
    last = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    assert net.head is last is net.get_submodule(net.HEAD)
    assert last.weight.shape[:2] == (5, net.embed(images(2)).shape[1])


@every
def test_logits_follow_the_head_alone(name: str):
    """Twice the head's weights and biases are twice the logits, so nothing with weights comes behind it."""
    net = small(name)
    before = net(images(2))
    with torch.no_grad():
        for value in net.head.parameters():
            value *= 2
    torch.testing.assert_close(net(images(2)), 2 * before)


@every
def test_a_new_head_leaves_every_other_weight(name: str):
    net = small(name)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    embedded = net.embed(images(2))
    net.new_head(7)
    after = net.state_dict()
    assert list(after) == list(before)
    changed = [key for key in before if before[key].shape != after[key].shape or not torch.equal(before[key], after[key])]
    assert set(changed) <= {f"{net.HEAD}.weight", f"{net.HEAD}.bias"}
    assert torch.equal(net.embed(images(2)), embedded)
    assert net(images(2)).shape == (2, 7)
    assert net.head.weight.dtype == torch.float64
    assert all(parameter.requires_grad for parameter in net.head.parameters())
    assert net.head.weight.std().item() == pytest.approx(0.01, rel=0.5)
    assert not after[f"{net.HEAD}.bias"].any()


@every
def test_a_pyramid_halves_from_fine_to_coarse(name: str):
    net = small(name)
    maps = net.pyramid(images(2))
    strides, heights = list(maps), [each.shape[2] for each in maps.values()]
    assert all(coarse == 2 * fine for fine, coarse in pairwise(strides)), strides
    assert heights == sorted(set(heights), reverse=True)
    assert all(each.ndim == 4 and len(each) == 2 and each.shape[2] == each.shape[3] for each in maps.values())


@every
def test_nothing_writes_into_a_map_or_an_image_after_it_was_given(name: str):
    net, given = small(name), images(2)
    kept = {stride: value.clone() for stride, value in net.pyramid(given).items()}
    assert torch.equal(given, images(2))
    maps = net.pyramid(given)
    net(given)
    assert all(torch.equal(value, kept[stride]) for stride, value in maps.items())


def test_maps_of_the_plain_nets_are_those_in_front_of_each_pool():
    assert {stride: tuple(value.shape[1:]) for stride, value in small("deepconvnet").pyramid(images(1)).items()} == {
        1: (16, 28, 28),
        2: (32, 16, 16),
        4: (64, 8, 8),
        8: (64, 4, 4),
    }
    digitnet = small("digitnet").pyramid(images(1))
    assert {stride: tuple(value.shape[1:]) for stride, value in digitnet.items()} == {
        1: (32, 28, 28),
        2: (48, 14, 14),
        4: (96, 7, 7),
    }


def test_walk_is_the_layers_one_after_another():
    layers = nn.Sequential(
        *(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Identity()),
        *(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)),
    ).double()
    x = images(2)
    assert torch.equal(walk(layers, x)[1], layers[:2](x))
    assert torch.equal(walk(layers, x)[2], layers[:4](x))
    assert torch.equal(walk(layers, x)[4], layers(x))
    assert list(walk(layers, x)) == [1, 2, 4]
    assert list(walk(list(layers)[4:], layers[:4](x))) == [2], "the image itself is no map"


def test_a_share_of_channels():
    assert [share(64, width) for width in (1.0, 0.5, 0.125, 2.0, 1 / 64, 0.01)] == [64, 32, 8, 128, 1, 1]
    for width in (0.0, -1.0, 0.001):
        with pytest.raises(ValueError, match=f"width is {width}"):
            share(64, width)


def test_stems_by_name():
    assert large_stem("imagenet")
    assert not large_stem("small")
    with pytest.raises(ValueError, match="'imagenet' and 'small'"):
        large_stem("large")
