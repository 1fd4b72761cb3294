"""Grad-CAM against its formula written out, on nets whose answer can only lie in one place, and by laws."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gipi.errors import ConfigError, DataError
from gipi.inspect.figures import png_bytes
from gipi.inspect.why import grad_cam, why_figure
from gipi.models.alexnet import alexnet
from gipi.models.convstack import digitnet
from gipi.models.deepconvnet import deepconvnet
from gipi.models.ensemble import Ensemble
from gipi.models.googlenet import googlenet
from gipi.models.mobilenetv2 import mobilenet_v2
from gipi.models.resnet import resnet10, resnet50
from gipi.models.squeezenet import squeezenet1_0
from gipi.models.vgg import vgg11_bn
from oracle.pictures import unreadable


class Mean(nn.Module):
    """The mean over all places, as no module that the code under test knows."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def colours() -> nn.Sequential:
    """Class 0 is how much red there is, class 1 how much green, class 2 how little of either."""
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(inplace=True), Mean(), nn.Linear(2, 3, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]]).view(2, 3, 1, 1))
        net[3].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))
    return net


def red_and_green() -> Tensor:
    """A red square at the top left, a green one at the bottom right, on grey."""
    image = torch.full((1, 3, 8, 12), 0.5)
    image[0, :, 1:3, 1:4] = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    image[0, :, 5:7, 8:11] = torch.tensor([0.0, 0.8, 0.0]).view(3, 1, 1)
    return image


def two_layers() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(2, 5, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(5 * 4 * 3, 4))


def test_heat_lies_where_the_only_evidence_is() -> None:
    red, green = (grad_cam(colours(), red_and_green(), label) for label in (0, 1))
    for heat, rows, columns in ((red, (1, 3), (1, 4)), (green, (5, 7), (8, 11))):
        expected = torch.zeros(8, 12)
        expected[slice(*rows), slice(*columns)] = 1.0
        torch.testing.assert_close(heat, expected)


def test_class_without_evidence_is_cold_everywhere() -> None:
    assert torch.equal(grad_cam(colours(), red_and_green(), 2), torch.zeros(8, 12))
    assert torch.equal(grad_cam(colours(), torch.zeros(1, 3, 8, 12), 0), torch.zeros(8, 12))


@pytest.mark.parametrize("label", range(4))
def test_map_is_the_papers_formula_written_out(label: int) -> None:
    net, image = two_layers(), torch.randn(1, 2, 9, 8)
    maps = net[1](net[0](image)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net[3](maps.flatten(1))[0, label], maps)
    channels, rows, columns = maps.shape[1:]
    heat = torch.zeros(rows, columns)
    for channel in range(channels):
        alpha = sum(float(gradient[0, channel, i, j]) for i in range(rows) for j in range(columns)) / (rows * columns)
        heat += alpha * maps[0, channel].detach()
    heat = F.interpolate(heat.clamp(min=0)[None, None], (9, 8), mode="bilinear", align_corners=False)[0, 0]
    assert heat.max() > 0, "the twin must have something to say"
    torch.testing.assert_close(grad_cam(net, image, label), heat / heat.max())


def test_larger_or_shifted_logits_do_not_change_the_map() -> None:
    net, image = two_layers(), torch.randn(1, 2, 9, 8)
    before = grad_cam(net, image, 1)
    with torch.no_grad():
        net[3].weight *= 50
        net[3].bias -= 7
    torch.testing.assert_close(grad_cam(net, image, 1), before)


NETS = {
    "deepconvnet": (lambda: deepconvnet(last_dropout=0.5), (1, 28, 28)),
    "digitnet": (digitnet, (1, 28, 28)),
    "alexnet": (lambda: alexnet(width=0.1, classes=10), (3, 96, 80)),
    "vgg11-bn": (lambda: vgg11_bn(width=0.1, classes=10), (3, 64, 96)),
    "googlenet": (lambda: googlenet(width=0.25, classes=10, auxiliary=True), (3, 64, 64)),
    "resnet10": (lambda: resnet10(width=0.25, classes=10), (3, 64, 96)),
    "resnet50": (lambda: resnet50(width=0.125, classes=10), (3, 64, 64)),
    "squeezenet": (lambda: squeezenet1_0(width=0.25, classes=10), (3, 64, 64)),
    "mobilenet-v2": (lambda: mobilenet_v2(width=0.25, classes=10), (3, 64, 64)),
    "mobilenet-v2, one place": (lambda: mobilenet_v2(width=0.25, classes=10), (3, 32, 32)),
}


@pytest.mark.parametrize("name", NETS)
def test_every_net_gives_a_map_of_its_own_and_stays_as_it_was(name: str) -> None:
    torch.manual_seed(0)
    build, shape = NETS[name]
    net, image = build().train(), torch.rand(1, *shape)
    net.get_submodule(net.HEAD).eval()  # a mode that is neither all training nor all evaluation
    for number, parameter in enumerate(net.parameters()):
        parameter.requires_grad_(number % 2 == 0)
        parameter.grad = torch.ones_like(parameter) if number % 2 == 0 else None
    before = copy.deepcopy(net)
    with torch.no_grad():
        maps = [grad_cam(net, image, label) for label in range(10)]
    for heat in maps:
        assert tuple(heat.shape) == shape[1:]
        assert not heat.requires_grad
        assert heat.min() >= 0
        assert heat.max() in (0, 1)
    warm = [heat for heat in maps if heat.max() > 0]
    assert warm, "no class has any heat"
    assert all(heat.min() < 0.999 for heat in warm), "the map has one place only"
    assert len({tuple(heat.flatten().tolist()) for heat in warm}) == len(warm)
    assert torch.equal(maps[3], grad_cam(net, image, 3)), "not the same each time"
    assert [module.training for module in net.modules()] == [module.training for module in before.modules()]
    assert all(not module._forward_hooks for module in net.modules())
    for now, then in zip(net.parameters(), before.parameters(), strict=True):
        assert torch.equal(now, then)
        assert now.requires_grad == then.requires_grad
        assert torch.equal(now.grad, torch.ones_like(now)) if now.requires_grad else now.grad is None
    for now, then in zip(net.buffers(), before.buffers(), strict=True):
        assert torch.equal(now, then)


def test_frozen_weights_give_the_same_map() -> None:
    net, image = two_layers(), torch.randn(1, 2, 9, 8)
    assert torch.equal(grad_cam(net, image, 0), grad_cam(copy.deepcopy(net).requires_grad_(False), image, 0))


def test_map_is_that_in_front_of_the_pool_as_in_the_paper() -> None:
    """Of a VGG net the last convolution's, whose one bright place pooling would double in size."""
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.MaxPool2d(2)), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, 2)
    )
    with torch.no_grad():
        net[0][0].weight.fill_(1.0)
        net[3].weight.copy_(torch.tensor([[1.0], [-1.0]]).expand(2, 4))
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 2, 5] = 3.0
    assert grad_cam(net, image, 0).nonzero().tolist() == [[2, 5]]


def test_ensemble_gives_the_mean_of_its_members() -> None:
    torch.manual_seed(0)
    nets, image = [digitnet().eval() for _ in range(3)], torch.rand(1, 1, 28, 28)
    maps = [grad_cam(net, image, 4) for net in nets]
    assert not torch.equal(maps[0], maps[1])
    torch.testing.assert_close(grad_cam(Ensemble(nets), image, 4), (maps[0] + maps[1] + maps[2]) / 3)


@pytest.mark.parametrize(
    ("net", "shape", "label", "says"),
    [
        (colours, (1, 3, 4, 4), 3, "no class 3: allowed are 0 to 2"),
        (colours, (1, 3, 4, 4), -1, "no class -1"),
        (colours, (1, 2, 4, 4), 0, r"does not take an image of shape \(2, 4, 4\)"),
        (colours, (2, 3, 4, 4), 0, r"of one image: allowed is \(1, c, h, w\), got \(2, 3, 4, 4\)"),
        (colours, (1, 3, 1, 1), 0, "no feature map of more than one place"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 1, 2, 2), 0, "no feature map of more than one place"),
    ],
)
def test_asked_wrongly(net, shape, label, says) -> None:
    with pytest.raises(ConfigError, match=says):
        grad_cam(net(), torch.zeros(shape), label)


@pytest.mark.parametrize(("channels", "size"), [(1, (28, 28)), (3, (224, 224)), (3, (40, 90)), (3, (90, 40))])
@pytest.mark.parametrize("names", [("ant", "a $_{ name\nmuch too long for its place, <b>&"), ("bee",)])
def test_figure_shows_the_picture_then_the_heat_of_each_answer(channels, size, names) -> None:
    image = torch.randint(0, 256, (channels, *size), dtype=torch.uint8)
    heat = torch.rand(size)
    fig = why_figure(image, [(name, 0.932, heat / (place + 1)) for place, name in enumerate(names)])
    plain, *panels = fig.axes
    assert plain.get_title() == "what the net sees"
    assert len(plain.images) == 1
    assert len(panels) == len(names)
    for place, (ax, name) in enumerate(zip(panels, names, strict=True)):
        assert ax.get_title().startswith(name[:8])
        assert ax.get_title().endswith(", 93.2 %")
        under, over = ax.images
        assert over.get_extent() == under.get_extent() == plain.images[0].get_extent()
        assert over.get_clim() == (0, 1)
        torch.testing.assert_close(torch.from_numpy(over.get_array().data), heat / (place + 1))
        alpha = torch.from_numpy(over.get_alpha())
        assert (alpha.argsort() == heat.double().argsort()).float().mean() > 0.99, "the hotter, the more is covered"
    assert not unreadable(fig)
    assert png_bytes(fig) == png_bytes(fig)


def test_image_of_two_channels_cannot_be_drawn() -> None:
    with pytest.raises(DataError, match="1 or 3 channels, got 2"):
        why_figure(torch.zeros(2, 8, 8, dtype=torch.uint8), [("a", 1.0, torch.zeros(8, 8))])
