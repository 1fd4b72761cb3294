"""A segmentation net's faster copy: the same answers, a net that is not changed, and only where it is known to be faster."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gipi.engine import winograd as faster
from gipi.engine.place import decide_place
from gipi.engine.winograd import Winograd, winograd
from gipi.models.kinds import build_net

CPU = decide_place(device="cpu", precision="fp32")


@pytest.fixture(autouse=True)
def avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other machines answer rightly, too, where they have NNPACK."""
    if not torch.backends.nnpack.is_available():
        pytest.skip("PyTorch has no NNPACK here")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def ready(name: str, **args: float) -> nn.Module:
    """A narrow net whose batch norm has statistics that change something."""
    torch.manual_seed(0)
    net = build_net(name, {"width": 0.25, "classes": 5, **args})
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
        if isinstance(layer, nn.Conv2d) and not layer.weight.any():  # an FCN's scores start at 0
            nn.init.normal_(layer.weight)
    with torch.no_grad():
        net(images(4, 3, 64, 96))
    return CPU.put_net(net.eval())


def count(net: nn.Module) -> int:
    return sum(isinstance(layer, Winograd) for layer in net.modules())


@pytest.mark.parametrize(("n", "channels", "out", "height", "width"), [(1, 16, 3, 7, 5), (2, 17, 33, 13, 32), (3, 64, 16, 6, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_is_that_of_double_precision(n: int, channels: int, out: int, height: int, width: int, bias: bool):
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, out, 3, padding=1, bias=bias)
    twin = winograd(nn.Sequential(layer), CPU)
    assert twin is not None
    assert count(twin) == 1
    x = images(n, channels, height, width).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        got, wanted = twin(x), layer.double()(x.double())
    assert (got - wanted).abs().max() < 1e-3 * wanted.std()


# Convolutions of the decoder that have 16 channels at least: the encoder's are in front of pools that tell their places.
@pytest.mark.parametrize(
    ("name", "args", "changed"), [("segnet", {}, 13), ("segnet-basic", {"kernel": 3}, 4), ("fcn8s-resnet18", {}, 13)]
)
def test_a_net_answers_as_before(name: str, args: dict[str, float], changed: int):
    net = ready(name, **args)
    twin = winograd(net, CPU)
    assert twin is not None
    assert count(twin) == changed
    x = CPU.put_images(images(2, 3, 64, 96))
    with torch.inference_mode():
        got, wanted = twin(x), net(x)
    assert (got - wanted).abs().mean() < 1e-3 * wanted.std()  # a few values of random weights are near ties at a pool
    assert (got.argmax(1) == wanted.argmax(1)).float().mean() > 0.999


def test_batch_norm_is_folded_and_the_net_itself_stays_as_it_is():
    net = ready("segnet")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    twin = winograd(net, CPU)
    assert twin is not None
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in twin.modules())
    assert count(net) == 0
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not twin.training


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 16, 3),
        nn.Conv2d(16, 16, 5, padding=2),
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2),
        nn.Conv2d(16, 16, 3, padding=1, groups=2),
        nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(faster.LEAST - 1, 16, 3, padding=1),
    ],
    ids=str,
)
def test_other_convolutions_stay(layer: nn.Module):
    assert winograd(nn.Sequential(layer), CPU) is None


def test_it_is_for_float32_on_cpus_that_it_is_measured_on(monkeypatch: pytest.MonkeyPatch):
    net = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1))
    assert winograd(net, CPU) is not None
    assert winograd(net, replace(CPU, precision="bf16")) is None
    assert winograd(net, replace(CPU, device=torch.device("meta"))) is None
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert winograd(net, CPU) is None
