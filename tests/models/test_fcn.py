"""FCN: the paper's counts, exact bilinear upsampling, and classifiers that answer as before when made convolutional."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.inspect.layers import layer_table
from gipi.models.fcn import FCN, Enlarge, fcn8s_resnet18, fcn8s_resnet50, fcn8s_vgg16, fcn16s_vgg16, fcn32s_vgg16
from gipi.models.resnet import resnet18, resnet34, resnet50
from gipi.models.vgg import vgg16, vgg16_bn, vgg19

FROM_VGG = {32: fcn32s_vgg16, 16: fcn16s_vgg16, 8: fcn8s_vgg16}
FROM_RESNET = {fcn8s_resnet18: resnet18, fcn8s_resnet50: resnet50}
ALL = [*FROM_VGG.values(), *FROM_RESNET]
each = pytest.mark.parametrize("make", ALL)
VGG = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]  # channels from convolution to convolution


def images(count: int, height: int, width: int, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def narrow(make: Callable[..., FCN], **args: float) -> FCN:
    """In float64, an eighth as wide unless told otherwise, with scores that are not zero."""
    torch.manual_seed(0)
    net = make(**{"width": 0.125, **args})
    for layer in net.score.values():
        nn.init.normal_(layer.weight, std=0.1)
        nn.init.normal_(layer.bias, std=0.1)
    return net.double()


def seen(net: nn.Module) -> nn.Module:
    """In eval mode; batch norm has the statistics of images such as ours."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    net(images(4, 64, 64))
    return net.eval()


# --- counts


@pytest.mark.parametrize("finest", FROM_VGG)
def test_parameters_and_multiply_adds_are_those_of_the_layers_counted_by_hand(finest: int):
    pairs = list(pairwise(VGG))
    sides = [224 // 2**stage for stage, count in enumerate((2, 2, 3, 3, 3)) for _ in range(count)]
    parameters = sum(9 * i * o + o for i, o in pairs) + 49 * 512 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 21 + 21
    products = sum(9 * i * o * side**2 for (i, o), side in zip(pairs, sides, strict=True))
    products += 7 * 7 * (49 * 512 * 4096 + 4096 * 4096 + 4096 * 21)
    for stride, channels in ((16, 512), (8, 256)):
        if stride >= finest:
            place = (224 // stride) ** 2
            parameters += 21 * 16 + channels * 21 + 21  # a 4x4 filter for each class, scores
            products += 21 * 16 * place // 4 + channels * 21 * place
    parameters += 21 * (2 * finest) ** 2
    products += 21 * (2 * finest) ** 2 * (224 // finest) ** 2
    with torch.device("meta"):
        table = layer_table(FROM_VGG[finest](), (3, 224, 224))
    assert (table.parameters, table.multiply_adds) == (parameters, products)
    assert parameters // 10**6 == 134  # the paper's millions


@pytest.mark.parametrize(("make", "classifier"), FROM_RESNET.items())
def test_from_a_resnet_only_its_last_layer_is_left_out(make, classifier):
    with torch.device("meta"):
        net, old = make(), classifier(classes=1)
    deep = old.fc.in_features
    scores = sum(channels * 21 + 21 for channels in (deep, deep // 2, deep // 4)) + 21 * (16 + 16 + 256)
    counts = [sum(weight.numel() for weight in each.parameters()) for each in (net, old)]
    assert counts[0] == counts[1] - deep - 1 + scores


@pytest.mark.parametrize("finest", FROM_VGG)
def test_a_pixel_is_named_by_what_lies_around_it(finest: int):
    with torch.device("meta"):
        reach = layer_table(FROM_VGG[finest](), (3, 224, 224)).layers[-1].reach
    assert reach is not None
    assert reach.jump == (1, 1)
    assert [start + (field - 1) / 2 for start, field in zip(reach.start, reach.field, strict=True)] == [0, 0]


# --- upsampling


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_enlarging_is_bilinear_interpolation_but_for_the_border(factor: int):
    layer, scores = Enlarge(3, factor).double(), images(2, 5, 4)
    wanted = F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    got, edge = layer(scores), factor // 2
    assert got.shape == wanted.shape
    torch.testing.assert_close(got[..., edge:-edge, edge:-edge], wanted[..., edge:-edge, edge:-edge], rtol=1e-6, atol=1e-6)
    # At the border every class fades by the same share, which changes no pixel's answer.
    share = layer(torch.ones_like(scores))
    torch.testing.assert_close(got, wanted * share, rtol=1e-5, atol=1e-6)
    assert torch.equal(share, share[:1, :1].expand_as(share))


def test_a_new_fcn_8s_enlarges_what_is_scored_at_stride_32():
    torch.manual_seed(0)
    net = fcn8s_vgg16(width=0.125, classes=5).double().eval()
    assert not net(images(1, 64, 64)).any(), "scores begin at zero"
    nn.init.normal_(net.score["32"].weight)
    batch = images(1, 256, 320)
    wanted = net.score["32"](net.maps(batch)[32])
    for _ in range(2):
        wanted = F.interpolate(wanted, scale_factor=2, mode="bilinear", align_corners=False)
    got = net.scores(batch)
    assert got.shape == (1, 5, 32, 40)
    torch.testing.assert_close(got[..., 4:-4, 4:-4], wanted[..., 4:-4, 4:-4], rtol=1e-6, atol=1e-6)
    wanted = F.interpolate(wanted, scale_factor=8, mode="bilinear", align_corners=False)
    torch.testing.assert_close(net(batch)[..., 40:-40, 40:-40], wanted[..., 40:-40, 40:-40], rtol=1e-6, atol=1e-6)


def test_every_skip_is_added_where_it_was_seen():
    """With a skip's scores alone, the answer is the map enlarged: no shift by a place."""
    net = narrow(fcn8s_vgg16, classes=5).eval()
    batch = images(1, 128, 160)
    for stride in (16, 8):
        for name, layer in net.score.items():
            nn.init.normal_(layer.weight) if name == str(stride) else nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        wanted = net.score[str(stride)](net.maps(batch)[stride])
        for factor in (2, 8) if stride == 16 else (8,):
            wanted = F.interpolate(wanted, scale_factor=factor, mode="bilinear", align_corners=False)
        torch.testing.assert_close(net(batch)[..., 16:-16, 16:-16], wanted[..., 16:-16, 16:-16], rtol=1e-6, atol=1e-6)


def test_skips_are_the_papers_pools():
    net = narrow(fcn8s_vgg16, width=0.0625).eval()
    batch = images(1, 64, 96)
    maps = net.maps(batch)
    pools = [place for place, layer in enumerate(net.features) if isinstance(layer, nn.MaxPool2d)]
    assert torch.equal(maps[8], net.features[: pools[2] + 1](batch))
    assert torch.equal(maps[16], net.features[: pools[3] + 1](batch))
    assert [net.score[stride].in_channels for stride in ("32", "16", "8")] == [256, 32, 16]


# --- from a classifier


@pytest.mark.parametrize("width", [0.125, 0.07])
def test_a_converted_vgg16_answers_as_before(width: int):
    """Without padding it is the classifier; with it, in the middle of the 7x7 places, which sees no padding."""
    torch.manual_seed(1)
    classifier = vgg16(width=width, classes=7).double().eval()
    net = narrow(fcn32s_vgg16, width=width, classes=7).eval()
    net.load_state_dict(net.from_classifier(classifier.state_dict()))
    batch = images(2, 224, 224)
    wanted = classifier(batch)
    torch.testing.assert_close(net.scores(batch)[..., 3, 3], wanted)
    net.fc6.padding = (0, 0)
    assert net.scores(batch).shape == (2, 7, 1, 1)
    torch.testing.assert_close(net.scores(batch).flatten(1), wanted)


def test_on_a_larger_image_a_converted_vgg16_answers_as_the_classifier_to_each_7x7_places():
    """What its affine layers answer to 7x7 places of its own map. Of a window cut out, where the classifier pads with zeros what
    the larger image goes on with, only the place in the middle is the same: the one that sees no padding."""
    torch.manual_seed(1)
    classifier = vgg16(width=0.125, classes=7).double().eval()
    net = narrow(fcn32s_vgg16, classes=7).eval()
    net.load_state_dict(net.from_classifier(classifier.state_dict()))
    net.fc6.padding = (0, 0)
    large = images(1, 256, 320)
    scores, places = net.scores(large), classifier.features(large)
    assert scores.shape == (1, 7, 2, 4)
    for row, column in ((0, 0), (1, 0), (1, 3), (0, 2)):
        part = places[..., row : row + 7, column : column + 7]
        torch.testing.assert_close(scores[..., row, column], classifier.classifier(part.flatten(1)))
        window = classifier.features(large[..., 32 * row : 32 * row + 224, 32 * column : 32 * column + 224])
        same = torch.isclose(window, part, rtol=1e-9, atol=1e-12).all(1)[0]
        assert same[3, 3]
    assert not same[0, 0]


@pytest.mark.parametrize(("make", "classifier"), FROM_RESNET.items())
def test_a_converted_resnet_answers_as_before_in_the_mean_over_its_places(make, classifier):
    torch.manual_seed(1)
    old = seen(classifier(width=0.125, classes=7).double())
    net = narrow(make, classes=7).eval()
    net.load_state_dict(net.from_classifier(old.state_dict()))
    batch = images(2, 96, 64)
    torch.testing.assert_close(net.score["32"](net.maps(batch)[32]).mean((2, 3)), old(batch))


@each
def test_for_other_classes_the_scores_begin_as_they_were(make):
    classifier = (vgg16 if make in FROM_VGG.values() else FROM_RESNET[make])(width=0.125, classes=9)
    net = narrow(make, classes=7)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    taken = net.from_classifier(classifier.state_dict())
    assert list(taken) == list(before)
    kept = {name for name, value in taken.items() if value.shape == before[name].shape and torch.equal(value, before[name])}
    fresh = {name for name in before if name.startswith(("score.", "up.", "enlarge."))}
    assert fresh <= kept
    assert all(name in fresh or not name.endswith("weight") or ".bn" in name or "downsample.1" in name for name in kept)
    net.load_state_dict(taken)


@pytest.mark.parametrize(
    ("make", "classifier", "told"),
    [
        (fcn8s_vgg16, lambda: vgg16(width=0.25), r"a vgg16 as wide as this net: features\.0\.weight has shape \(16, 3, 3, 3\)"),
        (fcn8s_vgg16, lambda: vgg16(width=0.125, channels=1), r"has shape \(8, 1, 3, 3\), here is place for \(8, 3, 3, 3\)$"),
        (fcn8s_vgg16, lambda: vgg16_bn(width=0.125), r"missing features\.2\.weight.* more"),
        (fcn8s_vgg16, lambda: vgg19(width=0.125), r"missing features\.17\.weight.* more"),
        (fcn8s_resnet18, lambda: resnet34(width=0.125), r"a resnet18 as .*: unexpected layer1\.2\.conv1\.weight.* more"),
        (fcn8s_resnet50, lambda: resnet18(width=0.125), r"missing layer1\.0\.conv3\.weight"),
    ],
)
def test_other_weights_are_refused_by_name(make, classifier, told: str):
    net = narrow(make)
    with pytest.raises(ValueError, match=told):
        net.from_classifier(classifier().state_dict())


# --- the whole net


@each
def test_sizes(make):
    net = seen(narrow(make, classes=4))
    for height, width in ((32, 32), (64, 96), (96, 32)):
        assert net(images(2, height, width)).shape == (2, 4, height, width)
        assert net.scores(images(1, height, width)).shape[2] == height // (
            32 if make is fcn32s_vgg16 else 16 if make is fcn16s_vgg16 else 8
        )
    for height, width in ((32, 33), (16, 32), (0, 32)):
        with pytest.raises(ValueError, match=f"multiples of 32, got {height}x{width}: pad them to 32x{-(-width // 32) * 32} and"):
            net(images(1, height, width))


@each
def test_an_image_moved_by_the_stride_moves_the_answer(make):
    net = seen(narrow(make, width=1 / 32, classes=4))
    tall = images(1, 1024, 32)
    whole, moved = net(tall), net(tall[..., 32:, :])
    torch.testing.assert_close(moved[..., 448:480, :], whole[..., 480:512, :], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(moved[..., 480:512, :], whole[..., 480:512, :], rtol=1e-3)


@each
def test_every_weight_learns_but_the_last_layers_which_stay_bilinear(make):
    net = narrow(make, classes=3).train()
    labels = torch.randint(3, (2, 64, 64), generator=torch.Generator().manual_seed(0))
    F.cross_entropy(net(images(2, 64, 64)), labels).backward()
    for name, weight in net.named_parameters():
        if name == "enlarge.weight":
            assert weight.grad is None
            assert not weight.requires_grad
            continue
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("make", "args"), [(fcn8s_vgg16, {"dropout": 0.0}), (fcn8s_resnet18, {})])
def test_the_first_steps_learn_from_scores_of_zero(make, args):
    torch.manual_seed(0)
    net = make(width=0.125, classes=2, **args)
    labels = torch.arange(4)[:, None, None].expand(4, 32, 32) % 2
    batch = images(4, 32, 32).float() * 0.3 + 2 * labels[:, None]
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = F.cross_entropy(net(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert losses[-1] < 0.35, losses


@each
def test_memory_layout_and_bfloat16_do_not_change_the_answer(make):
    net = seen(narrow(make, width=0.07, classes=3)).float()
    batch = images(2, 64, 96).float()
    wanted = net(batch)
    last = net.to(memory_format=torch.channels_last)(batch.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, wanted, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(batch)
    assert (half.float() - wanted).abs().max() < 0.1 * wanted.abs().max()


def test_dropout_is_behind_both_affine_layers_and_as_told():
    net = narrow(fcn32s_vgg16, dropout=0.3)
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    batch = images(1, 32, 32)
    assert not torch.equal(net.train()(batch), net(batch))
    assert torch.equal(net.eval()(batch), net(batch))
