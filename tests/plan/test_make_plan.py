"""A whole plan: numbers that follow from others, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gipi.engine.place import Place
from gipi.errors import ConfigError, DeviceError
from gipi.plan import here as here_module
from gipi.plan import plan as plan_module
from gipi.plan.devices import ASSUMED
from gipi.plan.plan import IMAGENET, Ask, plan
from gipi.plan.report import duration, text
from gipi.recipes import RECIPES

BOOK = RECIPES["deepconvnet-book"].config
MNIST = RECIPES["deepconvnet-mnist"].config


def test_steps_and_hours_of_a_recipe():
    one = plan(Ask(BOOK, "a100"))
    assert (one.batch, one.steps) == (100, 20 * 600)
    assert one.hours == pytest.approx(one.steps * one.step_s / 3600)
    assert (one.exchange_s, one.exposed_s, one.efficiency) == (0, 0, 1)
    assert one.images_s == pytest.approx(100 / one.step_s)
    assert one.step_s == one.times.step


def test_a_batch_of_all_is_shared_out_and_one_of_each_is_not():
    shared, own = (plan(Ask(BOOK, "a100", gpus=5, nodes=2, batch=batch, price=2.0)) for batch in (0, 50))
    assert (shared.batch, shared.steps) == (10, 20 * 600)
    assert (own.batch, own.steps) == (50, 20 * 120)
    assert own.cost == pytest.approx(own.hours * 10 * 2)
    assert 0 < own.efficiency < 1
    assert own.step_s == own.times.step + own.exposed_s


def test_images_of_an_epoch():
    held_out = plan(Ask(MNIST, "a100"))
    assert held_out.steps == 6 * 550
    assert plan(Ask(replace(BOOK, data=replace(BOOK.data, limit=1000)), "a100")).steps == 20 * 10
    assert plan(Ask(BOOK, "a100", images=5000)).steps == 20 * 50
    assert IMAGENET == 1_281_167
    assert plan_module._images(RECIPES["resnet50-imagenet"].config) == IMAGENET


def test_a_slower_network_costs_more_and_changes_nothing_else():
    fast, slow = (plan(Ask(BOOK, "a100", nodes=4, bandwidth=rate)) for rate in (0, 0.001))
    assert slow.efficiency < fast.efficiency
    assert slow.times == fast.times
    late = plan(Ask(BOOK, "a100", nodes=4, latency=1000.0))
    assert late.exchange_s - fast.exchange_s == pytest.approx(2 * 3 * 990e-6)


def test_an_accumulated_batch_computes_the_same_work():
    whole, parts = (plan(Ask(replace(BOOK, optim=replace(BOOK.optim, accumulate=n)), "a100")) for n in (1, 4))
    assert parts.flops == pytest.approx(whole.flops)
    assert parts.ddp.activations < whole.ddp.activations / 3


def test_frozen_steps_cost_the_forward_pass():
    config = RECIPES["finetune"].config
    ask = Ask(replace(config, net=BOOK.net), "a100", images=3200)
    half = plan(replace(ask, config=replace(ask.config, transfer=replace(config.transfer, frozen=0.5))))
    none = plan(replace(ask, config=replace(ask.config, transfer=replace(config.transfer, frozen=0.0))))
    assert half.hours / none.hours == pytest.approx(1 - 0.5 * (1 - none.times.forward / none.step_s))


def test_sharding_is_planned_where_it_is_asked_for():
    config = replace(BOOK, run=replace(BOOK.run, shard=True))
    whole, split = plan(Ask(BOOK, "a100", gpus=4)), plan(Ask(config, "a100", gpus=4))
    assert split.shard
    assert not plan(Ask(config, "a100")).shard, "one process has nothing to split"
    assert split.fsdp == whole.fsdp
    assert split.exchange_s == pytest.approx(1.5 * whole.exchange_s)
    assert split.times.update == pytest.approx(whole.times.update / 4)


def test_json_says_what_the_text_says():
    one = plan(Ask(BOOK, "a100", gpus=2, price=1.0))
    value, page = one.json(), text(one)
    assert value["parameters"] == 123_552
    assert value["memory"]["ddp"]["total"] == one.ddp.total
    assert value["images_a_step"] == 100
    for part in ("123,552 parameters", "2 a100, bf16", f"{one.largest[0]:,}", duration(one.hours), f"costs {one.cost:.2f}"):
        assert part in page
    assert max(map(len, page.splitlines())) <= 150


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        ({"device": "h1000"}, ConfigError, "no device 'h1000'; did you mean 'h100'"),
        ({"gpus": 0}, ConfigError, "--gpus is 0, allowed are 1 to"),
        ({"nodes": -1}, ConfigError, "--nodes is -1"),
        ({"batch": -1}, ConfigError, "--batch is -1"),
        ({"bandwidth": float("nan")}, ConfigError, "--bandwidth is nan"),
        ({"gpus": 8, "nodes": 16}, ConfigError, "data.batch 100, the images in a step of all, is less than 128 GPUs"),
        ({"device": "v100", "precision": "tf32"}, ConfigError, "v100 does not compute tf32"),
        ({"image": 32}, ConfigError, "net 'deepconvnet' takes images of 28 pixels only, got 32"),
        ({"batch": 1_000_000}, DeviceError, r"a100 has 74.5: [\d.]+ are missing; the largest batch that fits is \d+"),
        ({"config": RECIPES["finetune"].config}, ConfigError, "--images N"),
        ({"config": RECIPES["transfer"].config}, ConfigError, "plan finetune"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) and "config" not in value else None,
)
def test_what_is_refused(ask, error, says):
    with pytest.raises(error, match=says):
        plan(Ask(**{"config": BOOK, "device": "a100", **ask}))


def test_not_one_image_fits(monkeypatch):
    tiny = replace(plan_module.DEVICES["t4"], memory=1.0003e9)
    monkeypatch.setitem(plan_module.DEVICES, "t4", tiny)
    with pytest.raises(DeviceError, match=r"not one image fits; what helps: .*--precision"):
        plan(Ask(BOOK, "t4", batch=1))


def test_this_machine_is_measured(monkeypatch):
    """Its probes count their work as the trace does, and their rate is work over time."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(here_module, "_now", lambda place: float(next(ticks)))
    place = Place(torch.device("cpu"), "fp32", 0)
    affine = here_module.Probe("affine", lambda: torch.nn.Linear(6, 5, bias=False), (4, 6))
    assert here_module._rates(affine, place) == (2 * 4 * 6 * 5, 2 * 2 * 4 * 6 * 5)
    norm = here_module.Probe("batch norm", lambda: torch.nn.BatchNorm2d(3), (2, 3, 8, 8))
    forward, backward = here_module._rates(norm, place)
    assert 2 * 1536 < forward < 2 * 1536 + 200
    assert 3 * 1536 < backward < 3 * 1536 + 200


def test_probes_cover_every_kind_that_a_device_has_a_share_of():
    assert {probe.kind for probe in here_module.PROBES} == {kind for kind, _ in ASSUMED}


def test_durations_are_said_in_fitting_units():
    assert [duration(hours) for hours in (72, 3.25, 0.5, 0.01)] == ["3.0 days", "3.2 hours", "30.0 minutes", "36 seconds"]
