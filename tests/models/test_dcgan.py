"""The generator and the discriminator: the paper's layers, the sizes that they make, labels, spectral norm, one call for both."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gipi.errors import ConfigError
from gipi.models.dcgan import Both, Discriminator, Generator, dcgan, kernel, opponent, sides
from gipi.models.kinds import build_net


def small(**args: bool | int) -> Generator:
    torch.manual_seed(3)
    net = build_net("dcgan", {"channels": 1, "size": 28, "width": 4, "noise": 6, "classes": 3, **args})
    assert isinstance(net, Generator)
    return net


def test_the_net_of_64_pixels_has_the_maps_of_the_papers_figure_1():
    """100 - 4x4x1024 - 8x8x512 - 16x16x256 - 32x32x128 - 64x64x3."""
    with torch.device("meta"):
        net, maps = dcgan(), torch.zeros(2, 100)
        maps = net.project(maps).view(2, 1024, 4, 4)
        shapes = [tuple((maps := layer(maps)).shape[1:]) for layer in net.layers]
    assert [*dict.fromkeys(shapes)] == [
        (1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64),
    ]  # fmt: skip
    weights = [layer for layer in net.modules() if isinstance(layer, nn.ConvTranspose2d | nn.Linear)]
    normed = sum(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())
    assert (len(weights), normed) == (5, 4), "batch norm behind all layers but the last"


def test_the_parameters_are_those_of_the_layers_by_arithmetic():
    wide = [1024, 512, 256, 128]
    convolutions = sum(16 * one * other for one, other in zip(wide, [*wide[1:], 3], strict=True)) + 3
    assert sum(p.numel() for p in dcgan().parameters()) == 100 * 16 * 1024 + convolutions + 2 * sum(wide)


@pytest.mark.parametrize("size", [5, 8, 13, 28, 30, 32, 48, 64, 100, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_of_the_size_and_the_discriminator_takes_them(size: int, channels: int):
    net = small(size=size, channels=channels, width=2)
    images = net(torch.randn(2, 6, 1, 1))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert opponent(net)(images).shape == (2,)


@pytest.mark.parametrize("size", [4, 1, 0, -8])
def test_images_too_small_to_be_halved_are_refused(size: int):
    with pytest.raises(ValueError, match="allowed are sides of 5 pixels and more"):
        sides(size)
    with pytest.raises(ConfigError, match="cannot be built"):
        build_net("dcgan", {"size": size})


def test_maps_are_halved_until_their_side_is_4_or_3():
    assert [sides(size) for size in (28, 32, 64)] == [[28, 14, 7, 4], [32, 16, 8, 4], [64, 32, 16, 8, 4]]
    for size in range(5, 200):
        assert sides(size)[-1] in (3, 4)
        for large, small in zip(sides(size), sides(size)[1:], strict=False):
            image = torch.zeros(1, 1, large, large, device="meta")
            assert nn.Conv2d(1, 1, kernel(large), 2, 1, device="meta")(image).shape[2:] == (small, small)
            image = torch.zeros(1, 1, small, small, device="meta")
            assert nn.ConvTranspose2d(1, 1, kernel(large), 2, 1, device="meta")(image).shape[2:] == (large, large)


def test_a_discriminator_of_the_paper_is_its_formula():
    """Layer by layer in training mode: batch norm behind all convolutions but the first, LeakyReLU 0.2, one logit."""
    net = small(size=32, width=3)
    against = opponent(net).train()
    images = torch.randn(5, 1, 32, 32)
    values = images
    for number, layer in enumerate(layer for layer in against.layers if isinstance(layer, nn.Conv2d)):
        values = F.conv2d(values, layer.weight, layer.bias, 2, 1)
        assert (layer.bias is None) == (number > 0)
        if number:
            mean, var = values.mean((0, 2, 3), keepdim=True), values.var((0, 2, 3), unbiased=False, keepdim=True)
            norm = [layer for layer in against.layers if isinstance(layer, nn.BatchNorm2d)][number - 1]
            values = (values - mean) / (var + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
        values = torch.where(values > 0, values, 0.2 * values)
    logits = values.permute(0, 2, 3, 1).flatten(1) @ against.judge.weight[0] + against.judge.bias
    torch.testing.assert_close(against(images), logits, rtol=1e-4, atol=1e-5)


def test_initial_weights_are_the_papers():
    net = dcgan(size=32, width=64)
    for layer in [*net.modules(), *opponent(net).modules()]:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and layer.weight.numel() > 10_000:
            assert abs(float(layer.weight.std().detach()) - 0.02) < 0.001
            assert abs(float(layer.weight.mean().detach())) < 0.001


def test_labels_change_what_a_conditional_generator_makes_and_only_that():
    noise, labels = torch.randn(3, 6, 1, 1), torch.tensor([0, 1, 2])
    net, plain = small(conditional=True).eval(), small().eval()
    one, other = net(noise, labels), net(noise, labels.roll(1))
    assert not torch.allclose(one, other)
    assert torch.equal(plain(noise, labels), plain(noise))
    assert net.project.in_features == 6 + 3


def test_without_labels_a_conditional_generator_is_between_its_classes():
    """The first layer is linear: the mean over the classes of what it gives."""
    net, noise = small(conditional=True), torch.randn(4, 6, 1, 1)
    seen: list[torch.Tensor] = []
    net.project.register_forward_hook(lambda layer, given, out: seen.append(out.detach()))
    for label in range(3):
        net(noise, torch.full((4,), label))
    net(noise)
    torch.testing.assert_close(seen[3], torch.stack(seen[:3]).mean(0))


def test_the_projection_is_miyato_and_koyamas():
    """A logit of the image, plus the product of the label's vector with the last map, added up over its places."""
    net = small(conditional=True)
    against = opponent(net).eval()
    assert against.label is not None
    images, labels = torch.randn(4, 1, 28, 28), torch.tensor([2, 0, 1, 2])
    maps = against.layers(images)
    by_hand = [
        against.judge(maps[n].permute(1, 2, 0).flatten()).item() + sum(
            float(against.label.weight[label, c].detach() * maps[n, c].sum().detach()) for c in range(maps.shape[1])
        )
        for n, label in enumerate(labels.tolist())
    ]  # fmt: skip
    torch.testing.assert_close(against(images, labels).detach(), torch.tensor(by_hand), rtol=1e-4, atol=1e-5)


def test_spectral_norm_bounds_every_layer_and_replaces_batch_norm():
    torch.manual_seed(0)
    against = opponent(small(), width=4, spectral_norm=True)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in against.modules())
    with torch.no_grad():
        for weight in against.parameters():
            weight.mul_(30)
    for _ in range(200):  # power iterations
        against(torch.randn(2, 1, 28, 28))
    against.eval()
    for layer in against.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            largest = float(torch.linalg.svdvals(layer.weight.detach().flatten(1))[0])
            assert math.isclose(largest, 1, rel_tol=1e-2)


def test_both_sees_each_kind_as_a_batch_of_its_own():
    """Batch norm over real and made images together would tell each of the other."""
    net = small()
    against = opponent(net).train()
    real, made = torch.randn(4, 1, 28, 28), torch.randn(4, 1, 28, 28) + 2
    together = Both(against)(real, made)
    assert torch.equal(together[0], against(real))
    assert torch.equal(together[1], against(made))
    mixed = against(torch.cat([real, made]))
    assert not torch.allclose(mixed[:4], together[0], atol=1e-3)


def test_the_width_of_the_opponent_is_its_own_if_it_is_given():
    net = small()
    assert isinstance(opponent(net), Discriminator)
    assert [opponent(net, width=width).layers[0].out_channels for width in (0, 9)] == [4, 9]
