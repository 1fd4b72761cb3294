"""Naming pixels window by window and in one pass: the counts and the values against all windows really run."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from gipi.errors import ConfigError
from gipi.inspect.dense import Dense, Way, classifier, compare, dense_figure, fcn_of_vgg, windows
from gipi.inspect.layers import layer_table
from gipi.models.fcn import FCNVGG, fcn8s_resnet18, fcn8s_vgg16, fcn32s_vgg16
from gipi.models.vgg import vgg16

SMALL = {"classes": 5, "width": 1 / 32}


def small(width: float = 1 / 32) -> FCNVGG:
    """A narrow FCN-32s with scores that are not all 0."""
    torch.manual_seed(0)
    net = fcn32s_vgg16(classes=5, width=width).eval()
    nn.init.normal_(net.get_parameter("score.32.weight"))
    nn.init.normal_(net.get_parameter("score.32.bias"))
    return net


def pixelwise(net: FCNVGG) -> FCNVGG:
    """Every 3x3 filter looks at its own place only, so that nothing depends on what lies beside a window."""
    for layer in net.features:
        if isinstance(layer, nn.Conv2d):
            middle = layer.weight[:, :, 1, 1].detach().abs().clone()
            nn.init.zeros_(layer.weight)
            with torch.no_grad():
                layer.weight[:, :, 1, 1] = middle
    return net


@torch.no_grad()
def test_the_classifier_inside_is_the_vgg_it_was_made_from() -> None:
    torch.manual_seed(1)
    vgg = vgg16(classes=5, width=1 / 32).eval()
    net = small()
    net.load_state_dict(net.from_classifier(vgg.state_dict()))
    images = torch.randn(2, 3, 224, 224)
    torch.testing.assert_close(classifier(net)(images), vgg(images))
    assert layer_table(classifier(net), (3, 224, 224)).multiply_adds == layer_table(vgg, (3, 224, 224)).multiply_adds


@torch.no_grad()
def test_all_windows_really_run_are_as_many_as_counted() -> None:
    net, image = pixelwise(small(1 / 64)), torch.rand(1, 3, 32, 32)
    reader = classifier(net)
    centres = list(product(range(32), range(32)))
    scores = torch.cat([reader(windows(image, centres[at : at + 8])) for at in range(0, 1024, 8)])
    found = compare(net, image)
    assert len(scores) == found.ways[0].passes == 1024
    assert found.ways[1].passes == 1
    torch.testing.assert_close(scores.view(32, 32, 5)[16, 16], net.scores(image)[0, :, 0, 0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_windows_at_the_stride_make_the_scores_of_the_one_pass_where_no_border_counts() -> None:
    net, image = pixelwise(small()), torch.rand(1, 3, 64, 96)
    centres = [(row, column) for row in (16, 48) for column in (16, 48, 80)]
    scores, seen = classifier(net)(windows(image, centres)), net.scores(image)[0].flatten(1).T
    torch.testing.assert_close(scores, seen, rtol=1e-4, atol=1e-5)
    assert torch.cdist(seen, seen).fill_diagonal_(1).min() > 1e-3  # else any place would do
    assert compare(net, image).within is None  # no whole window


@torch.no_grad()
def test_of_windows_within_the_image_both_make_the_same_where_no_border_counts_and_similar_ones_where_it_does() -> None:
    image = torch.rand(1, 3, 256, 288)
    same, similar = compare(pixelwise(small()), image), compare(small(), image)
    assert same.within == pytest.approx(1, abs=1e-5)
    assert similar.within is not None
    assert 0.2 < similar.within < 0.9999
    assert max(same.alone, similar.alone) < 1e-5


def test_multiply_adds_are_passes_times_those_of_the_net() -> None:
    net = fcn8s_vgg16(**SMALL)
    found = compare(net, torch.rand(1, 3, 64, 96))
    every, strided, once = found.ways
    each = layer_table(vgg16(**SMALL), (3, 224, 224)).multiply_adds
    assert (every.passes, strided.passes, once.passes) == (64 * 96, 2 * 3, 1)
    assert (every.multiply_adds, strided.multiply_adds) == (64 * 96 * each, 6 * each)
    assert once.multiply_adds == layer_table(net, (3, 64, 96)).multiply_adds
    assert every.seconds == pytest.approx(1024 * strided.seconds)
    assert all(way.seconds > 0 for way in found.ways)


def test_net_is_left_as_it_was() -> None:
    net = fcn32s_vgg16(**SMALL).train()
    net.fc6.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = {name: module.training for name, module in net.named_modules()}
    compare(net, torch.rand(1, 3, 32, 32))
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_other_nets_and_images_are_refused() -> None:
    net = fcn32s_vgg16(**SMALL)
    assert fcn_of_vgg(net) is net
    with pytest.raises(ConfigError, match="FCNResNet: take fcn32s-vgg16"):
        fcn_of_vgg(fcn8s_resnet18(width=1 / 16))
    with pytest.raises(ConfigError, match="multiples of 32 pixels, got 32x40"):
        compare(net, torch.rand(1, 3, 32, 40))
    with pytest.raises(ConfigError, match=r"\(1, 32, 32\)"):
        compare(net, torch.rand(1, 1, 32, 32))


FOUND = Dense(
    (3, 64, 96),
    (Way("all", 6144, 6144 * 10**9, 1843.2, 12), Way("some", 6, 6 * 10**9, 1.8, 12), Way("one pass", 1, 2 * 10**9, 0.6, 1)),
    1e-7,
    None,
)


def test_text_and_json_say_the_same() -> None:
    value = json.loads(json.dumps(FOUND.json()))
    assert [way["times_one_pass"]["multiply_adds"] for way in value["ways"]] == [3072, 3, 1]
    assert [way["times_one_pass"]["seconds"] for way in value["ways"]] == pytest.approx([3072, 3, 1])
    _, _, header, *lines = FOUND.text().splitlines()
    assert header.split("  ")[-1] == "x one pass"
    assert [line.split()[-1] for line in lines[:3]] == ["3,072", "3", "1"]
    assert "about 1,843" in lines[0]
    assert "about" not in lines[2]
    assert "correlate" not in FOUND.text()


@pytest.mark.parametrize("size", [(64, 96), (500, 375)])
def test_figure_shows_windows_on_the_image_and_bars_as_long_as_the_logarithms(size: tuple[int, int]) -> None:
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    picture, *bars = dense_figure(FOUND, image).axes
    assert [patch.get_width() for patch in picture.patches] == [224, 224]
    first, second = (np.array(patch.get_xy()) for patch in picture.patches)
    assert (second - first).tolist() == [32, 0]
    middle = first + 112 + 0.5  # of the window, in the picture's pixels
    (dots,) = picture.collections
    assert middle.tolist() in dots.get_offsets().tolist()
    assert len(dots.get_offsets()) == (size[0] // 32 + (size[0] % 32 > 16)) * (size[1] // 32 + (size[1] % 32 > 16))
    left, right = picture.get_xlim()
    assert left < first[0]
    assert right > second[0] + 224
    for ax, name in zip(bars, ("multiply_adds", "seconds"), strict=True):
        assert ax.get_xscale() == "log"
        assert [bar.get_width() for bar in ax.patches] == [getattr(way, name) for way in FOUND.ways]
    assert [label.get_text() for label in bars[0].get_yticklabels()] == ["all", "some", "one pass"]
