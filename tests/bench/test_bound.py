"""The bound of a step, and the small questions: their layers, their arithmetic, what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gipi.bench.bound import Alone, layers_alone, time_by_kind
from gipi.bench.data import Data, data
from gipi.bench.rungs import GIPI, Rung
from gipi.bench.scale import Scale, counts, scale
from gipi.bench.step import Step, random_task, step
from gipi.bench.table import Measured
from gipi.bench.timing import Spread, peak_memory, windows
from gipi.config import Config, DataConfig, NetConfig, RunConfig
from gipi.engine.place import Place
from gipi.errors import ConfigError, DeviceError
from gipi.inspect.layers import layer_table
from gipi.models.kinds import build_net

PLACE = Place(torch.device("cpu"), "fp32", 0)
TINY = Config(
    net=NetConfig("convstack", {"depth": 1, "width": 2}),
    data=DataConfig("digits", batch=10, limit=40),
    run=RunConfig(device="cpu", precision="fp32"),
)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Windows of one piece of work: nothing here depends on how long it takes."""
    monkeypatch.setattr("gipi.bench.bound.LAYER_S", 0.0)
    for module in ("step", "data"):
        monkeypatch.setattr(f"gipi.bench.{module}.windows", lambda work, place: windows(work, place, 1))
    monkeypatch.setattr("gipi.bench.step.matmul_peak", lambda place: 1e9)


@pytest.mark.parametrize(
    ("net", "size"), [("deepconvnet", (1, 28, 28)), ("resnet10", (3, 64, 64)), ("mobilenet-v2", (3, 64, 64))]
)
def test_the_bound_is_made_of_the_layers_that_multiply_in_the_layer_table(net, size):
    built = build_net(net, {})
    table = layer_table(built, size if net != "deepconvnet" else (1, 28, 28))
    expected = [layer.name for layer in table.layers if layer.multiply_adds]
    assert [layer.name for layer in layers_alone(built, size, 2, PLACE)] == expected


def test_a_layer_alone_is_run_forward_and_backward_on_a_whole_batch_and_the_net_stays_as_it_was():
    seen = []

    class Watched(nn.Linear):
        def forward(self, inputs):
            seen.append((tuple(inputs.shape), inputs.requires_grad, torch.is_grad_enabled()))
            return super().forward(inputs)

    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.first, self.second = nn.Flatten(), Watched(12, 3), Watched(3, 2)

        def forward(self, images):
            return self.second(self.first(self.flat(images)))

    net = Stack()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    alone = layers_alone(net, (3, 2, 2), 7, PLACE)
    assert [layer.name for layer in alone] == ["first", "second"]
    assert all(layer.seconds > 0 for layer in alone)
    assert ((7, 12), False, True) in seen, "the first layer's input needs no gradient"
    assert ((7, 3), True, True) in seen, "that of a later one does"
    assert all(weight.grad is None for weight in net.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in net.state_dict().items())


def test_time_by_kind_names_what_dominates_and_adds_up():
    layer, images = nn.Conv2d(16, 16, 3), torch.rand(8, 16, 40, 40)
    shares = time_by_kind(lambda: layer(images).sum().backward(), PLACE)
    assert next(iter(shares)) == "convolution"
    assert sum(shares.values()) == pytest.approx(1)


def test_arithmetic_of_a_step():
    layers = (Alone("a", 0.004), Alone("b", 0.002))
    found = Step("net", 100, "cpu", Spread(10, 8, 12, 5), Spread(10_000, 9000, 11_000, 5), 0.5, {"convolution": 1.0}, layers)
    assert found.bound_ms == pytest.approx(6)
    assert found.bound_share == pytest.approx(0.6)
    assert "60.0%" in found.text()
    assert found.json()["layers"][1] == {"name": "b", "seconds": 0.002}


def test_the_share_of_the_data_in_a_step_is_that_of_its_time():
    found = Data("digits", 10, "cpu", Spread(5000, 1, 1, 5), Spread(1000, 1, 1, 5))
    assert found.share == pytest.approx(0.2)


@pytest.mark.parametrize(("device", "efficiency"), [("cpu", [1, 1.2]), ("cuda", [1, 0.6])])
def test_efficiency_is_by_what_is_in_use(device, efficiency):
    """More processes of a CPU share the same cores; on CUDA each takes a device more."""
    rows = tuple(Measured(replace(Rung(GIPI, ""), name=f"{count} processes", processes=count), (speed,) * 5, accuracy, 1000, 0, 0, 0, 0)
                 for count, speed, accuracy in ((1, 100.0, 0.95), (2, 120.0, 0.8)))  # fmt: skip
    found = Scale("net", "digits", 10, device, rows)
    assert [found.efficiency(one) for one in rows] == pytest.approx(efficiency)
    assert found.wrong == ("2 processes",)
    assert "WRONG" in found.text().splitlines()[2]


def test_numbers_of_processes():
    assert counts(1) == [1]
    assert counts(2) == [1, 2]
    assert counts(6) == [1, 2, 4, 6]
    assert counts(8) == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("processes", "error", "says"), [(0, ConfigError, "processes is 0"), (10_000, DeviceError, "give --processes")]
)
def test_processes_that_the_machine_does_not_have(processes, error, says):
    with pytest.raises(error, match=says):
        scale(TINY, processes=processes)


def test_windows_count_what_they_say():
    calls = []
    assert len(windows(lambda: calls.append(1), PLACE, 3)) == 5
    assert len(calls) == 15


def test_spread_is_median_lowest_and_highest():
    assert Spread.of((3.0, 1.0, 10.0, 2.0, 4.0)) == (3.0, 1.0, 10.0, 5)


def test_peak_memory_sees_what_was_taken():
    before = peak_memory(PLACE)["peak_bytes"]
    block = torch.ones((before + (64 << 20)) // 4)
    assert peak_memory(PLACE)["peak_bytes"] >= before + block.nbytes - before
    assert peak_memory(PLACE)["device_peak_bytes"] == 0


def test_a_step_and_its_data_are_measured():
    found = step(TINY)
    assert (found.net, found.batch) == ("convstack", 10)
    assert found.images_per_s.n == found.step_ms.n == 5
    assert found.images_per_s.median == pytest.approx(10_000 / found.step_ms.median)
    multiply_adds = layer_table(build_net("convstack", {"depth": 1, "width": 2}), (1, 28, 28)).multiply_adds
    assert found.matmul_share == pytest.approx(6 * multiply_adds * found.images_per_s.median / 1e9)
    assert data(TINY).images_per_s.n == 5


def test_random_images_are_of_the_nets_own_size():
    config, images = random_task("vgg16", 3)
    assert (config.net.name, config.data.batch) == ("vgg16", 3)
    assert tuple(images.train.images.shape[1:]) == (3, 224, 224)
    with pytest.raises(ConfigError, match="did you mean 'vgg19'"):
        random_task("vgg61", 3)
    with pytest.raises(ConfigError, match="batch is 0"):
        random_task("vgg16", 0)
